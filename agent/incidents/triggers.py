"""What makes an incident: a death, an XID, a kill for memory, memory that runs out, an alert."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from agent.alerts.severe import SEVERE
from agent.analysis.deaths.causes import CONSEQUENCES, Cause
from agent.catalog import forecast
from agent.model import Event, Frame, Metric

QUIET: Final = 600.0
"""Seconds after its last occurrence in which the same trouble is no new incident."""

NEAR: Final = 120.0
"""Seconds within which memory is foreseen to run out, for that to be an incident."""

# The KV cache is not among them: that it fills is daily business, and costs no process its life.
_FORECASTS: Final[Mapping[Metric, str]] = {
    forecast.GPU_MEMORY_EXHAUSTION: "free memory of GPU {gpu}",
    forecast.HOST_MEMORY_EXHAUSTION: "available memory of the host",
    forecast.CGROUP_MEMORY_EXHAUSTION: "memory of the cgroup of {instance_name}",
}


class Trigger(NamedTuple):
    """A reason to record.

    Attributes:
        kind: as in `inferwatch_incidents_total{trigger}`.
        engine: name of the instance that it is about; empty where it is about none.
        subject: tells it from others of its kind.
        text: a sentence.
        since: Unix seconds since when it has been so.
    """

    kind: str
    engine: str
    subject: str
    text: str
    since: float


class Triggers:
    """Finds triggers in frames; each trouble once, however often it is reported."""

    def __init__(self) -> None:
        self._seen: Sequence[int] | None = None
        self._forecasts: list[tuple[int, str, str]] = []
        self._last: dict[tuple[str, str], float] = {}

    def observe(self, frame: Frame, now: float) -> list[Trigger]:
        """Return what is new at this tick.

        Args:
            frame: with what rules made of it.
            now: seconds on a clock that nobody sets.
        """
        found = [trigger for event in frame.events for trigger in _of_event(event)]
        found += self._near(frame)
        if not found:
            return []
        fresh = [one for one in found if self._is_new(one, now)]
        self._last = {key: last for key, last in self._last.items() if now - last < QUIET}
        return fresh

    def _is_new(self, trigger: Trigger, now: float) -> bool:
        """Return whether it was not there a while ago; a death is new each time."""
        key = (trigger.kind, trigger.subject)
        last, self._last[key] = self._last.get(key), now
        return last is None or now - last >= QUIET or trigger.kind == "engine_died"

    def _near(self, frame: Frame) -> Iterator[Trigger]:
        """Yield the memory that is foreseen to run out soon."""
        if frame.ids is not self._seen:
            self._seen = frame.ids
            self._forecasts = list(_forecasts(frame))
        for position, engine, what in self._forecasts:
            seconds = frame.values[position]
            if seconds <= NEAR:
                text = f"the {what} is foreseen to be used up in {seconds:.0f} s"
                yield Trigger("oom_near", engine, what, text, frame.time)


def _forecasts(frame: Frame) -> Iterator[tuple[int, str, str]]:
    """Yield position, engine and words of each forecast of memory in a frame."""
    for position, series_id in enumerate(frame.ids):
        series = frame.table[series_id]
        words = _FORECASTS.get(series.metric)
        if words is not None:
            labels = dict(zip(series.metric.labels, series.labels, strict=True))
            if labels["bound"] == "estimate":
                yield position, labels.get("instance_name", ""), words.format(**labels)


def _of_event(event: Event) -> Iterator[Trigger]:
    """Yield the trigger that an event is, if it is one."""
    labels = event.labels
    engine = labels.get("instance_name", "")
    match event.kind:
        # One that was stopped on purpose is no incident.
        case "engine_died" | "engine_hung" if labels.get("cause") != Cause.STOPPED:
            yield Trigger(event.kind, engine, engine, event.message, event.time)
        case "xid" if labels.get("code") not in CONSEQUENCES:
            gpu = labels.get("uuid") or labels.get("pci_bus_id", "")
            subject = f"{gpu} {labels.get('code', '')}"
            yield Trigger("xid", engine, subject, event.message, event.time)
        case "oom_kill":
            subject = labels.get("process", "")
            yield Trigger("oom_kill", engine, subject, event.message, event.time)
        case "alert_firing" if labels.get("severity") in SEVERE:
            subject = " ".join(f"{name}={value}" for name, value in sorted(labels.items()))
            yield Trigger("alert", engine, subject, event.message, event.time)
        case _:
            pass
