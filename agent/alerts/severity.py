"""Other severities for some alerts, models, instances: what pages for one is a ticket for another.

Of several that match the last counts, as with the `alert_relabel_configs` that do the same in
Prometheus. An alert without the label `model_name` is of the model that its instance serves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from agent.alerts.rule import ENGINE_INFO, AlertRule, Group, Severity
from agent.alerts.source import NAME, OneTick
from agent.store.series import Matcher, MatchOp

LABEL: Final = "severity"
_MODEL: Final = "model_name"
_INSTANCE: Final = "instance_name"
# An engine that is down says nothing of its model; within this time it did.
_LOOKBACK: Final = 3600.0
_RENEWED: Final = 60.0


def names(groups: Iterable[Group]) -> frozenset[str]:
    """Return the names of all alerts of groups."""
    return frozenset(
        rule.name for group in groups for rule in group.rules if isinstance(rule, AlertRule)
    )


def with_severities(
    groups: Iterable[Group], told: Sequence[tuple[str | None, Severity]]
) -> Iterator[Group]:
    """Yield groups with the severities that are told, each with the name of an alert or None."""
    for group in groups:
        rules = tuple(
            replace(rule, severities=_of(rule, told)) if isinstance(rule, AlertRule) else rule
            for rule in group.rules
        )
        yield replace(group, rules=rules)


def _of(rule: AlertRule, told: Sequence[tuple[str | None, Severity]]) -> tuple[Severity, ...]:
    """Return the severities that are about the alerts of a rule."""
    return tuple(severity for name, severity in told if name in (None, rule.name))


class Severities:
    """The severities of one rule.

    Args:
        told: in the order in which they are told.

    Attributes:
        by_model: some depend on the model, which the labels of an alert may not say.
    """

    def __init__(self, told: Sequence[Severity]) -> None:
        self._told = told
        self.by_model = any(one.model_name is not None for one in told)
        self._models: dict[tuple[str, str], tuple[float, frozenset[str]]] = {}

    def of(self, labels: Mapping[str, str], time: float, tick: OneTick) -> str | None:
        """Return the severity of an alert, None for that of its rule.

        Args:
            labels: of the alert.
            time: Unix seconds.
            tick: the history.
        """
        models = self._models_of(labels, time, tick) if self.by_model else ()
        matching = [one.severity for one in self._told if one.matches(labels, models)]
        return matching[-1] if matching else None

    def knows(self, labels: Mapping[str, str], time: float, tick: OneTick) -> bool:
        """Return whether the model that an alert is about is known, as far as one is asked for."""
        if not self.by_model or not labels.get(_INSTANCE):
            return True
        return bool(self._models_of(labels, time, tick))

    def _models_of(self, labels: Mapping[str, str], time: float, tick: OneTick) -> frozenset[str]:
        """Return the model that an alert is about; none for one about a GPU or the host."""
        if labels.get(_MODEL):
            return frozenset({labels[_MODEL]})
        instance = labels.get(_INSTANCE)
        if not instance:
            return frozenset()
        key = (labels.get("engine", ""), instance)
        asked, models = self._models.get(key, (float("-inf"), frozenset[str]()))
        if not 0 <= time - asked < _RENEWED:
            models = frozenset(_served(*key, time, tick))
            self._models[key] = (time, models)
        return models


def _served(kind: str, instance: str, time: float, tick: OneTick) -> Iterator[str]:
    """Yield the model that an instance served last."""
    matchers = [
        Matcher(NAME, MatchOp.EQUAL, ENGINE_INFO),
        Matcher(_INSTANCE, MatchOp.EQUAL, instance),
    ]
    if kind:
        matchers.append(Matcher("engine", MatchOp.EQUAL, kind))
    found = [
        (series.times[-1], dict(series.labels).get(_MODEL, ""))
        for series in tick.select(matchers, time - _LOOKBACK, time)
        if len(series.times)
    ]
    if found:
        yield max(found)[1]
