"""Limits of engines that somebody told stand in the place of those that were read.

They do so before anything is concluded or shown; `limits` says which there are, and from where.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from agent.analysis.capacity.estimate import UNKNOWN, Limits
from agent.analysis.limits import by_metric
from agent.analysis.replicas import Replica
from agent.analysis.window import MOST
from agent.catalog import engine
from agent.model import EMPTY_READING, Event, Frame, Metric, Reading

Instance: TypeAlias = tuple[str, ...]
"""An engine by the labels `engine.INSTANCE`."""

_INSTANCE: Final = len(engine.INSTANCE)
_REPLICA: Final = len(engine.LABELS)


@dataclass(frozen=True, slots=True)
class _Watched:
    """A value of a frame that may contradict what was told.

    Attributes:
        place: in the frame.
        metric: what it is: the limit itself, or how many requests run.
        instance: whose.
        told: the limit.
    """

    place: int
    metric: Metric
    instance: Instance
    told: float

    @property
    def ran(self) -> bool:
        """Whether it is how many requests run, and not a limit."""
        return self.metric is engine.REQUESTS_RUNNING

    def denies(self, value: float) -> bool:
        """Return whether a value contradicts what was told."""
        if not 0.0 <= value < MOST:
            return False
        return value > self.told if self.ran else value != self.told

    def event(self, value: float, *, time: float) -> Event:
        """Return what there is to tell of a value that contradicts it."""
        labels: dict[str, str] = dict(zip(engine.INSTANCE, self.instance, strict=True))
        limit = engine.MAX_NUM_SEQS if self.ran else self.metric
        told = f"{limit.name.removeprefix('inferwatch_engine_')} is told as {self.told:g}"
        seen = (
            f"{value:g} requests run: it counts no more"
            if self.ran
            else f"its page or command line says {value:g}: what is told counts"
        )
        message = f"{labels['instance_name']}: {told}, but {seen}; see capacity.limits"
        return Event(time, "limit_contradicted", "analysis", labels, message)


class ToldLimits:
    """Says the limits that were told of the engines in a frame.

    A limit is one of an instance. Where replicas of an instance are told different ones, none is
    said.

    Args:
        told: of a replica.
    """

    def __init__(self, told: Callable[[Replica], Limits]) -> None:
        self._told = told
        self._ids: Sequence[int] | None = None
        self._reading = EMPTY_READING
        self._watched: Sequence[_Watched] = ()
        self._noted: dict[tuple[Metric, Instance], float] = {}
        self._exceeded: set[Instance] = set()

    def use(self, told: Callable[[Replica], Limits]) -> None:
        """Go on with what is told now."""
        self._told = told
        self._ids = None
        self._noted = {}
        self._exceeded = set()

    def of(self, replica: Replica) -> Limits:
        """Return what is told of a replica; a limit that more requests exceeded is none."""
        told = self._told(replica)
        return replace(told, sequences=UNKNOWN) if replica[:_INSTANCE] in self._exceeded else told

    def observe(self, frame: Frame) -> Reading:
        """Return the told limits, and an event for each that the frame begins to contradict."""
        if frame.ids is not self._ids:
            self._ids = frame.ids
            self._lay_out(frame)
        events = [*self._contradictions(frame)] if self._watched else ()
        return Reading(self._reading.ids, self._reading.values, events) if events else self._reading

    def _lay_out(self, frame: Frame) -> None:
        """Find the engines of a frame, what is told of each, and what would contradict it."""
        series = [frame.table[series_id] for series_id in frame.ids]
        running = [one.labels for one in series if one.metric is engine.REQUESTS_RUNNING]
        # One that went and came back may be another.
        self._exceeded &= {labels[:_INSTANCE] for labels in running}
        each: dict[Instance, list[Mapping[Metric, float]]] = {}
        for labels in running:
            told_here = by_metric(self.of(Replica(*labels[:_REPLICA])))
            each.setdefault(labels[:_INSTANCE], []).append(told_here)
        told = {
            (metric, instance): value
            for instance, replicas in each.items()
            for metric, value in replicas[0].items()
            if all(other.get(metric) == value for other in replicas)
        }
        self._reading = Reading([frame.table.intern(*key) for key in told], [*told.values()])
        self._watched = [
            _Watched(place, one.metric, one.labels[:_INSTANCE], limit)
            for place, one in enumerate(series)
            if (limit := told.get((_limit_of(one.metric), one.labels[:_INSTANCE]))) is not None
        ]
        kept = {(one.metric, one.instance) for one in self._watched}
        self._noted = {key: value for key, value in self._noted.items() if key in kept}

    def _contradictions(self, frame: Frame) -> Iterator[Event]:
        """Yield an event for each told limit that the frame contradicts otherwise than before."""
        exceeded = set(self._exceeded)
        for one in self._watched:
            value, key = frame.values[one.place], (one.metric, one.instance)
            known = one.instance in exceeded if one.ran else self._noted.get(key) == value
            if known or not one.denies(value):
                continue
            yield one.event(value, time=frame.time)
            if one.ran:
                exceeded.add(one.instance)
            else:
                self._noted[key] = value
        if exceeded != self._exceeded:
            self._exceeded = exceeded
            self._lay_out(frame)


def _limit_of(metric: Metric) -> Metric:
    """Return the limit that a metric tells something of."""
    return engine.MAX_NUM_SEQS if metric is engine.REQUESTS_RUNNING else metric
