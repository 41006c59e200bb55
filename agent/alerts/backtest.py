"""When rules would have fired on what was recorded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent.alerts.engine import RuleEngine
from agent.alerts.source import History
from agent.alerts.state import Instance, State
from agent.model import Frame
from agent.store.series import Labels


class FrameHistory(History, Protocol):
    """A history that takes frames too, see `agent.store.history`."""

    def append(self, frame: Frame) -> None:
        """Take over a frame."""
        ...


@dataclass(slots=True, kw_only=True)
class Firing:
    """One time that an alert fired.

    Attributes:
        alert: name of the alert.
        labels: its labels.
        active_at: since when its expression held, Unix seconds.
        fired_at: when it fired.
        resolved_at: when it ended, None if it fired at the end of the recording.
        annotations: what people would have been told.
    """

    alert: str
    labels: Labels
    active_at: float
    fired_at: float
    resolved_at: float | None = None
    annotations: dict[str, str] = field(default_factory=dict)

    def lead(self, incidents: Sequence[float]) -> float | None:
        """Return the seconds by which it came before the incident after it began to fire.

        An incident while it fires, or before it fired but not resolved in between, counts with
        the time that it came too late, below zero. None where there is none to compare with.
        """
        later = [time for time in incidents if time >= self.fired_at]
        if later:
            return min(later) - self.fired_at
        earlier = [time for time in incidents if time < self.fired_at]
        return max(earlier) - self.fired_at if earlier else None


@dataclass(slots=True)
class Backtest:
    """What a recording gave.

    Attributes:
        firings: in the order in which they began.
        incidents: times of the events that mark one.
        failures: group, rule and reason of rules that had no result, each once.
        start: time of the first frame, None for no frame.
        end: time of the last one.
    """

    firings: list[Firing] = field(default_factory=list)
    incidents: list[float] = field(default_factory=list)
    failures: dict[tuple[str, str, str], None] = field(default_factory=dict)
    start: float | None = None
    end: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        return {
            "start": self.start,
            "end": self.end,
            "incidents": self.incidents,
            "failures": [list(failure) for failure in self.failures],
            "firings": [
                {
                    "alert": firing.alert,
                    "labels": dict(firing.labels),
                    "active_at": firing.active_at,
                    "fired_at": firing.fired_at,
                    "resolved_at": firing.resolved_at,
                    "lead": firing.lead(self.incidents),
                    "annotations": firing.annotations,
                }
                for firing in self.firings
            ],
        }


def backtest(frames: Iterable[Frame], engine: RuleEngine, history: FrameHistory) -> Backtest:
    """Evaluate rules on frames, one after another.

    Args:
        frames: of the table of the history.
        engine: with the rules; fresh.
        history: fresh.
    """
    result = Backtest()
    open_: dict[tuple[str, Labels], Firing] = {}
    for frame in frames:
        result.start = frame.time if result.start is None else result.start
        result.end = frame.time
        result.incidents += [event.time for event in frame.events if event.kind == "incident"]
        history.append(frame)
        outcome = engine.evaluate(frame.time, history)
        result.failures.update(dict.fromkeys(outcome.failures))
        firing = {
            (name, instance.labels): instance
            for name, instance in engine.alerts()
            if instance.state is State.FIRING
        }
        for key in [key for key in open_ if key not in firing]:
            open_.pop(key).resolved_at = frame.time
        for key, instance in firing.items():
            if key not in open_:
                open_[key] = _begun(key[0], instance)
                result.firings.append(open_[key])
        for alert in outcome.alerts:
            told = open_.get((alert.labels["alertname"], tuple(sorted(alert.labels.items()))))
            if told is not None and not told.annotations:
                told.annotations = dict(alert.annotations)
    return result


def _begun(name: str, instance: Instance) -> Firing:
    """Return an alert that has just begun to fire."""
    fired_at = instance.active_at if instance.fired_at is None else instance.fired_at
    return Firing(
        alert=name, labels=instance.labels, active_at=instance.active_at, fired_at=fired_at
    )
