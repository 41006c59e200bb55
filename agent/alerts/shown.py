"""Rules and alerts as the Prometheus API tells them (`/api/v1/rules`)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agent.alerts.engine import RuleEngine
from agent.alerts.group import Alerting, GroupState, expanded
from agent.alerts.rule import RecordingRule
from agent.alerts.source import History, OneTick
from agent.alerts.state import Instance, State
from agent.steps import Steps

_NEVER: Final = "0001-01-01T00:00:00Z"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Shown:
    """Tells the rules of an engine.

    Args:
        engine: evaluates them.
        history: what templates ask.
        number: writes the value of an alert.
        shift: seconds that every time is put forward.
    """

    def __init__(
        self,
        engine: RuleEngine,
        history: History,
        *,
        number: Callable[[float], str],
        shift: float = 0.0,
    ) -> None:
        self._engine = engine
        self._history = history
        self._number = number
        self._shift = shift

    def groups(self, time: float) -> Steps[list[dict[str, Any]]]:
        """Give every group with its rules and their alerts; others may run between two alerts.

        Args:
            time: Unix seconds, for the templates.
        """
        told: list[dict[str, Any]] = []
        for group in [*self._engine.groups]:
            rules: list[dict[str, Any]] = []
            for place, rule in enumerate(group.rules):
                about = self._about(group, place)
                if isinstance(rule, Alerting):
                    alerts = yield from self._alerts(rule, time)
                    rules.append(_alerting(rule, alerts) | about)
                else:
                    rules.append(_recording(rule.rule) | about)
                yield
            told.append(
                {
                    "name": group.group.name,
                    "file": group.group.file,
                    "rules": rules,
                    "interval": group.group.interval or self._engine.tick,
                    "limit": group.group.limit,
                    "evaluationTime": group.took,
                    "lastEvaluation": self._moment(group.evaluated_at),
                }
            )
        return told

    def _about(self, group: GroupState, place: int) -> dict[str, Any]:
        """Return how the last evaluation of a rule went."""
        why = group.failing.get(place, "")
        told = {
            "health": "unknown" if group.evaluated_at is None else "err" if why else "ok",
            "lastEvaluation": self._moment(group.evaluated_at),
        }
        return told | ({"lastError": why} if why else {})

    def _alerts(self, rule: Alerting, time: float) -> Steps[list[dict[str, Any]]]:
        """Give the alerts of a rule that are pending or firing."""
        told: list[dict[str, Any]] = []
        for instance in rule.states.active():
            told.append(self._alert(rule, instance, time))
            yield
        return told

    def _alert(self, rule: Alerting, instance: Instance, time: float) -> dict[str, Any]:
        """Return one alert."""
        data = rule.data(instance.element, instance.value, time, OneTick(self._history))
        notes = self._flapping(instance)
        notes |= {name: expanded(text, data) for name, text in rule.rule.annotations.items()}
        if "runbook_url" in notes:
            notes["runbook_url"] = self._engine.runbook(notes["runbook_url"])
        told: dict[str, Any] = {
            "labels": dict(instance.labels),
            "annotations": notes,
            "state": str(instance.state),
            "activeAt": self._moment(instance.active_at),
            "value": self._number(instance.value),
        }
        if instance.kept_since is not None:
            told["keepFiringSince"] = self._moment(instance.kept_since)
        return told

    def _flapping(self, instance: Instance) -> dict[str, str]:
        """Return the annotation of an alert that flaps."""
        note = self._engine.flapping.note(instance.labels)
        return {"flapping": note} if note else {}

    def _moment(self, time: float | None) -> str:
        """Return a time as RFC 3339 has it."""
        if time is None:
            return _NEVER
        moment = _EPOCH + timedelta(seconds=time + self._shift)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _alerting(rule: Alerting, alerts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an alerting rule."""
    states = {alert["state"] for alert in alerts}
    state = next((one for one in (State.FIRING, State.PENDING) if one in states), "inactive")
    written = rule.rule
    return {
        "state": str(state),
        "name": written.name,
        "query": written.query.text,
        "duration": written.hold,
        "keepFiringFor": written.keep,
        "labels": {name: template.text for name, template in written.labels.items()},
        "annotations": {name: template.text for name, template in written.annotations.items()},
        "alerts": alerts,
        "type": "alerting",
    }


def _recording(rule: RecordingRule) -> dict[str, Any]:
    """Return a recording rule."""
    labels = {"labels": dict(rule.labels)} if rule.labels else {}
    return {"name": rule.name, "query": rule.query.text, "type": "recording"} | labels
