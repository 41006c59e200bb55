"""The history as rules use it: they read it, write to it, and read again in the same tick."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, TypeAlias

from agent.store.recent import Columns, Newest, Recent
from agent.store.series import (
    Labels,
    Matcher,
    SeriesSamples,
    Source,
    is_stale,
    milliseconds,
    plain_name,
)
from agent.store.watch import Watched

NAME = "__name__"


_Key: TypeAlias = tuple[tuple[Matcher, ...], float, float]


class History(Source, Protocol):
    """A source of samples that takes samples too; memory only."""

    def latest(
        self, matchers: Sequence[Matcher], start: float, end: float
    ) -> Sequence[tuple[Labels, float, float]]:
        """Return labels, time and value of the newest sample of each series that has not ended."""
        ...

    def recent(self) -> Recent | None:
        """Return the ticks in memory as they are now, None where there is no such thing."""
        ...

    def record(self, time: float, ids: Sequence[int], values: Sequence[float]) -> None:
        """Take what rules wrote; the next `select` gives it.

        Args:
            time: Unix seconds.
            ids: series of the table of the history.
            values: as many; the staleness marker where a series ends.
        """
        ...


class OneTick:
    """The history within one tick.

    What two rules ask for in the same words is fetched once. What the rules of a group write
    reaches the history when the group is done, at once; those that follow see it before.

    Attributes:
        recent: the ticks in memory, None where there is no such thing.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self.recent = history.recent()
        self._known: dict[_Key, Sequence[SeriesSamples]] = {}
        self._newest: dict[_Key, Sequence[tuple[Labels, float, float]]] = {}
        self._written: list[Mapping[Labels, float]] = []
        self._new: set[str] = set()
        self._time = 0.0
        self._gap: tuple[float, float] | None = None

    def select(
        self, matchers: Sequence[Matcher], start: float, end: float
    ) -> Sequence[SeriesSamples]:
        """Return the series that satisfy every matcher, with their samples."""
        key = (tuple(matchers), start, end)
        found = self._known.get(key)
        if found is None:
            found = self._history.select(matchers, start, end)
            if self._within(start, end):
                found = self._joined(matchers, found)
            self._known[key] = found
        return found

    def latest(
        self, matchers: Sequence[Matcher], start: float, end: float
    ) -> Sequence[tuple[Labels, float, float]]:
        """Return labels, time and value of the newest sample of each series that has not ended."""
        key = (tuple(matchers), start, end)
        found = self._newest.get(key)
        if found is None:
            found = self._history.latest(matchers, start, end)
            if self._within(start, end):
                found = self._overlaid(matchers, found)
            self._newest[key] = found
        return found

    def newest(self, matchers: tuple[Matcher, ...], start: int, end: int) -> Newest | None:
        """Return the newest samples in (start, end], in milliseconds; None if `latest` has to."""
        recent = self.recent
        if recent is None or self._changed(matchers):
            return None
        return recent.newest(matchers, start, end)

    def columns(
        self, matchers: tuple[Matcher, ...], start: int, end: int
    ) -> tuple[Columns, ...] | None:
        """Return the samples in (start, end], in milliseconds; None if `select` has to."""
        recent = self.recent
        if recent is None or self._changed(matchers):
            return None
        return recent.columns(matchers, start, end)

    def steady(self, watched: Watched, row: int, shortest: float, time: float) -> bool:
        """Return whether nothing has changed in what is watched.

        Args:
            watched: the series.
            row: the row since which nothing has.
            shortest: a range of milliseconds in which there must be two samples still.
            time: Unix seconds, that of the newest row, or it is said that something has.
        """
        recent = self.recent
        if recent is None:
            return False
        if self._gap is None or self._gap[0] != time:
            self._gap = time, recent.gap(milliseconds(time))
        if watched.changed > row or self._gap[1] >= shortest:
            return False
        return watched.names.isdisjoint(self._new) and recent.has(watched)

    def _changed(self, matchers: Sequence[Matcher]) -> bool:
        """Return whether something was written in this tick that these matchers may choose."""
        return bool(self._new) and _may_give(matchers, self._new)

    def _within(self, start: float, end: float) -> bool:
        """Return whether what was written lies in a range; times compare in milliseconds."""
        if not self._written:
            return False
        return milliseconds(start) < milliseconds(self._time) <= milliseconds(end)

    def write(self, time: float, samples: Mapping[Labels, float], names: Collection[str]) -> None:
        """Let the rules that follow in the same group see what one wrote under some names."""
        self._time = time
        self._written.append(samples)
        self._new.update(names)
        self._forget(names)

    def record(
        self, time: float, ids: Sequence[int], values: Sequence[float], names: Collection[str]
    ) -> None:
        """Hand over what a group wrote under some names."""
        self._history.record(time, ids, values)
        self._written.clear()
        self._new.update(names)
        self._forget(names)

    def _joined(
        self, matchers: Sequence[Matcher], found: Sequence[SeriesSamples]
    ) -> Sequence[SeriesSamples]:
        """Return what the history gave with what was written since."""
        fresh = self._fresh(matchers)
        if not fresh:
            return found
        joined: list[SeriesSamples] = []
        for series in found:
            if series.labels in fresh:
                times = [*series.times, self._time]
                values = [*series.values, fresh.pop(series.labels)]
                joined.append(SeriesSamples(series.labels, times, values))
            else:
                joined.append(series)
        joined += [SeriesSamples(labels, [self._time], [value]) for labels, value in fresh.items()]
        return joined

    def _overlaid(
        self, matchers: Sequence[Matcher], found: Sequence[tuple[Labels, float, float]]
    ) -> Sequence[tuple[Labels, float, float]]:
        """Return the same for the newest samples."""
        fresh = self._fresh(matchers)
        if not fresh:
            return found
        kept = [one for one in found if one[0] not in fresh]
        kept += [(labels, self._time, v) for labels, v in fresh.items() if not is_stale(v)]
        return kept

    def _fresh(self, matchers: Sequence[Matcher]) -> dict[Labels, float]:
        """Return what was written and is wanted."""
        return {
            labels: value
            for written in self._written
            for labels, value in written.items()
            if _matches(matchers, dict(labels))
        }

    def _forget(self, names: Collection[str]) -> None:
        """Forget what may have changed with series of these names."""
        if names:
            for key in [key for key in self._known if _may_give(key[0], names)]:
                del self._known[key]
            for key in [key for key in self._newest if _may_give(key[0], names)]:
                del self._newest[key]


def _may_give(matchers: Sequence[Matcher], names: Collection[str]) -> bool:
    """Return whether matchers may choose a series of one of these names."""
    name = plain_name(matchers)
    if name is not None and name not in names:
        return False
    conditions = [matcher for matcher in matchers if matcher.name == NAME]
    return any(all(matcher.matches(name) for matcher in conditions) for name in names)


def _matches(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether labels satisfy every matcher."""
    return all(matcher.matches(labels.get(matcher.name, "")) for matcher in matchers)
