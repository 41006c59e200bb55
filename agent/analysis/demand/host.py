"""The demands of a host, by model and together: learned once a minute, said at each tick."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from agent.analysis.capacity.estimate import Capacity
from agent.analysis.demand import said
from agent.analysis.demand.forecaster import HORIZON, HOUR, DemandForecaster
from agent.analysis.demand.said import HOST, Room, Said, Sample
from agent.analysis.demand.week import MINUTE
from agent.analysis.guard import Guard
from agent.analysis.replica_capacity import CapacityResult
from agent.analysis.replicas import Replica
from agent.analysis.window import rounded
from agent.catalog import demand as catalog
from agent.model import Frame, Reading, SeriesTable
from agent.steps import Steps, at_once

Key: TypeAlias = tuple[str, ...]
"""Name of a model, or nothing for all of them."""

Results: TypeAlias = Mapping[Replica, CapacityResult]

MOST: Final = 64
"""Models that are followed; each takes a quarter of a megabyte."""

_FRESH: Final = 60.0  # seconds after which what is known of a replica is no longer so
_JUMP: Final = 3600.0  # seconds by which a clock must be set for what was learned to be in doubt
_GONE: Final = 7 * 86_400.0  # seconds after which a model that nobody serves is forgotten
_WAITING: Final = 1440  # minutes that are kept while a history is read


class Demands:
    """Follows the demand on each model of a host, and on all of them.

    Args:
        results: what is known of each replica, newest.

    Attributes:
        horizon: seconds ahead that are foreseen.
        unread: what was before this run, or before the clock was set, is still to be learned;
            until `adopt` is called, minutes wait.
    """

    def __init__(self, results: Callable[[], Results]) -> None:
        self.horizon = HORIZON
        self.unread = False
        self._is_read = False
        self._results = results
        self._known: dict[Key, DemandForecaster] = {}
        self._seen: dict[Key, float] = {}
        self._waiting: list[tuple[float, dict[Key, float]]] = []
        self._said: dict[Key, Said] = {}
        self._time: float | None = None
        self._guard = Guard()
        self._ids: list[int] = []
        self._values: list[float] = []

    def observe(self, frame: Frame) -> Reading:
        """Return what is foreseen at the time of a frame."""
        return at_once(self.in_steps(frame))

    def in_steps(self, frame: Frame) -> Steps[Reading]:
        """Do what `observe` does, model by model."""
        before, self._time = self._time, frame.time
        if before is not None and not -_JUMP < frame.time - before < _JUMP:
            # What was learned stands at the wrong times; a history knows where it belongs.
            self._known, self._said, self._seen, self._waiting = {}, {}, {}, []
            self.unread = self._is_read
        if before is not None and before // MINUTE != frame.time // MINUTE:
            yield from self._minute(frame.time)
            self._put_down(frame.table)
        failed = self._guard.reading(frame.table)
        if not failed.ids:
            return Reading(self._ids, self._values)
        ids, values = [*self._ids, *failed.ids], [*self._values, *failed.values]
        return Reading(ids, values, failed.events)

    def expect_history(self) -> None:
        """Begin with what a history holds: somebody reads it whenever `unread` says so."""
        self._is_read = self.unread = True

    def adopt(self, known: Mapping[Key, DemandForecaster]) -> None:
        """Go on with forecasters that learned what was before; the minutes since then are added."""
        self._known = {**self._known, **known}
        self._seen.update(dict.fromkeys(known, self._time or 0.0))
        self.unread = False
        for time, demands in self._waiting:
            for key, value in demands.items():
                self._learn(key, time, value)
        self._waiting = []

    def ahead(self, key: Key = HOST) -> Said | None:
        """Return what is said of a model, or of the host; None where nothing is."""
        return self._said.get(key)

    def as_json(self) -> dict[str, Any]:
        """Return what is said of all."""
        each = {key: said.as_json(one) for key, one in self._said.items()}
        return {
            "horizon_seconds": self.horizon,
            "models": [{"model_name": key[0], **one} for key, one in each.items() if key],
            "host": each.get(HOST),
        }

    def _minute(self, time: float) -> Steps[None]:
        """Take over what was asked in the minute that ended, and say anew what is foreseen."""
        end = time // MINUTE * MINUTE
        results = {
            replica: result
            for replica, result in self._results().items()
            if result.time is not None and abs(time - result.time) < _FRESH
        }
        demands, rooms = demands_of(results), rooms_of(results)
        waits = self.unread  # a history may be there before the last model had its turn
        if waits:
            self._waiting = [*self._waiting[1 - _WAITING :], (end, demands)]
        said_before, self._said = self._said, {}
        for key in [*dict.fromkeys((*demands, *said_before))]:
            yield
            if key in demands and not waits:
                self._learn(key, end, demands[key])
            if key not in self._known:
                continue
            saying = partial(self._say, key, time, rooms.get(key))
            found = self._guard.run("demand_forecast", saying, time=time, about=_about(key))
            if found is not None and time - self._seen[key] < HOUR:
                self._said[key] = found
        for key in [key for key, seen in self._seen.items() if seen < time - _GONE]:
            self._known.pop(key, None)
            del self._seen[key]

    def _learn(self, key: Key, time: float, value: float) -> None:
        """Learn a minute."""
        if key not in self._known:
            if len(self._known) > MOST:
                return
            self._known[key] = DemandForecaster(horizon=self.horizon)
        self._seen[key] = time
        learning = partial(self._known[key].learn, (time,), (value,))
        self._guard.run("demand", learning, time=time, about=_about(key))

    def _say(self, key: Key, time: float, room: Room | None) -> Said:
        """Return what is said of a demand now."""
        return said.say(self._known[key], time=time, horizon=self.horizon, room=room)

    def _put_down(self, table: SeriesTable) -> None:
        """Make samples of what is said; the list of series stays the same object while it can."""
        known = [*self._samples()]
        ids = [table.intern(metric, labels) for metric, labels, _value in known]
        if ids != self._ids:
            self._ids = ids
        self._values = [rounded(value) for _metric, _labels, value in known]

    def _samples(self) -> Iterator[Sample]:
        """Yield the samples of all that is said."""
        if self._said:
            yield catalog.HORIZON, (), self.horizon
        for key, one in self._said.items():
            yield from said.samples(one, key)


def demands_of(results: Results) -> dict[Key, float]:
    """Return the tokens a minute asked of each model and of all; none where a part is unknown."""
    parts: dict[Key, list[float | None]] = {}
    for replica, result in results.items():
        for key in _keys(replica):
            parts.setdefault(key, []).append(result.demand.tokens_per_minute)
    known = {key: [one for one in each if one is not None] for key, each in parts.items()}
    return {key: sum(each) for key, each in known.items() if len(each) == len(parts[key])}


def rooms_of(results: Results) -> dict[Key, Room]:
    """Return what each model and all can carry; none where a part is unknown.

    The ends are added up, which is wider than needed where replicas err independently.
    """
    parts: dict[Key, list[Room | None]] = {}
    for replica, result in results.items():
        for key in _keys(replica):
            parts.setdefault(key, []).append(_room(result.capacity, result.declared))
    found: dict[Key, Room] = {}
    for key, each in parts.items():
        known = [one for one in each if one is not None]
        if len(known) == len(each):
            found[key] = Room(*(sum(end) for end in zip(*known, strict=True)))
    return found


def _room(capacity: Capacity, declared: float | None) -> Room | None:
    """Return what a replica can carry."""
    if capacity.known is not None:
        estimate, low, high = capacity.known.under_targets.tokens_per_minute
        return Room(low, estimate, high)
    return None if declared is None else Room(declared, declared, declared)


def _keys(replica: Replica) -> tuple[Key, Key]:
    """Return what a replica counts towards."""
    return (replica.model_name,), HOST


def _about(key: Key) -> Mapping[str, str]:
    """Return the labels of a demand."""
    return {"model_name": key[0]} if key else {}
