"""Some minutes of ticks in memory: a row of values a tick, one time for all of them.

A row is what the frame gave, in its order; which series that are is said once for as long as
it stands (a layout). Columns are taken out only for the series that somebody wants.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from agent.store.series import STALE, Labels, Matcher, milliseconds
from agent.store.target import Directory

WINDOW: Final = 300_000
"""Milliseconds of a window; windows begin at whole multiples of it since the epoch."""


class Layout:
    """Which series a row holds, and where."""

    def __init__(self, ids: Sequence[int], directory: Directory) -> None:
        self.ids = list(ids)
        self.positions = {series_id: position for position, series_id in enumerate(self.ids)}
        self._directory = directory
        self._by_name: dict[str, list[int]] | None = None
        self._matched: dict[tuple[Matcher, ...], list[tuple[int, Labels]]] = {}

    def matching(self, matchers: tuple[Matcher, ...]) -> list[tuple[int, Labels]]:
        """Return the series that satisfy every matcher, with their labels."""
        found = self._matched.get(matchers)
        if found is None:
            if len(self._matched) >= REMEMBERED:
                self._matched.clear()
            found = self._matched[matchers] = list(self._search(matchers))
        return found

    def _search(self, matchers: tuple[Matcher, ...]) -> Iterable[tuple[int, Labels]]:
        """Yield the series that satisfy every matcher."""
        for name, ids in self._names().items():
            if all(m.matches(name) for m in matchers if m.name == "__name__"):
                others = [matcher for matcher in matchers if matcher.name != "__name__"]
                for series_id in ids:
                    labels = self._directory.labels(series_id)
                    if satisfies(labels, others):
                        yield series_id, labels

    def _names(self) -> dict[str, list[int]]:
        """Return the series by the name of their samples."""
        if self._by_name is None:
            by_name: dict[str, list[int]] = {}
            for series_id in self.ids:
                by_name.setdefault(self._directory.table[series_id].sample_name, []).append(
                    series_id
                )
            self._by_name = by_name
        return self._by_name


REMEMBERED = 512  # selectors a layout; rules repeat theirs each second, people ask ever new ones


def satisfies(labels: Labels, matchers: Sequence[Matcher]) -> bool:
    """Return whether these labels satisfy every matcher."""
    if not matchers:
        return True
    found = dict(labels)
    return all(matcher.matches(found.get(matcher.name, "")) for matcher in matchers)


@dataclass(slots=True)
class Column:
    """The values of one series and the ticks at which it had them.

    Attributes:
        runs: half-open ranges of ticks, ascending, none touching the next.
        values: one for each tick in them.
    """

    runs: list[tuple[int, int]]
    values: "array[float]"

    def add(self, start: int, values: Iterable[float]) -> None:
        """Append values for the ticks from `start` on."""
        before = len(self.values)
        self.values.extend(values)
        end = start + len(self.values) - before
        if self.runs and self.runs[-1][1] == start:
            self.runs[-1] = (self.runs[-1][0], end)
        else:
            self.runs.append((start, end))

    def times(self, times: "array[float]") -> "array[float]":
        """Return the time of each value, given those of all ticks."""
        if len(self.runs) == 1:
            start, end = self.runs[0]
            return times if (start, end) == (0, len(times)) else times[start:end]
        picked = array("d")
        for start, end in self.runs:
            picked.extend(times[start:end])
        return picked


@dataclass(eq=False, slots=True)
class Segment:
    """Ticks that belong together: those of one five-minute window, or a part of it.

    Attributes:
        stream: name of the stream that it is a part of.
        window: number of the window, counted from the epoch.
        times: Unix seconds of each tick, whole milliseconds, ascending.
        rows: the values of each tick.
        spans: first tick and layout; each holds up to the next.
        ended: by tick, the series that the tick before still had.
        number: its number in the database, once it is being written.
        saved: all of it is in the database.
        abandoned: it never will be.
    """

    stream: str
    window: int
    times: "array[float]" = field(default_factory=lambda: array("d"))
    rows: list["array[float]"] = field(default_factory=list)
    spans: list[tuple[int, Layout]] = field(default_factory=list)
    ended: dict[int, list[int]] = field(default_factory=dict)
    number: int | None = None
    saved: bool = False
    abandoned: bool = False

    @property
    def first(self) -> int:
        """Time of the first tick in milliseconds."""
        return milliseconds(self.times[0])

    @property
    def last(self) -> int:
        """Time of the last tick in milliseconds."""
        return milliseconds(self.times[-1])

    def add(self, time: float, layout: Layout, row: "array[float]", ended: list[int]) -> None:
        """Append a tick; `ended` are the series that the tick before had and this one has not."""
        tick = len(self.rows)
        if not self.spans or self.spans[-1][1] is not layout:
            self.spans.append((tick, layout))
        if ended:
            self.ended[tick] = ended
        self.rows.append(row)
        # Last, so that a reader in another thread finds a row for each time.
        self.times.append(time)

    def ticks_within(self, first: int, last: int) -> tuple[int, int]:
        """Return the half-open range of ticks from `first` to `last`, in milliseconds."""
        return (
            bisect_left(self.times, first, key=milliseconds),
            bisect_right(self.times, last, key=milliseconds),
        )

    def count(self) -> int:
        """Return how many values there are."""
        return sum(map(len, self.rows))

    def series(self) -> set[int]:
        """Return every series that has a value or an end here."""
        found: set[int] = set()
        for _tick, layout in self.spans:
            found.update(layout.ids)
        for ids in self.ended.values():
            found.update(ids)
        return found

    def matching(self, matchers: tuple[Matcher, ...], directory: Directory) -> dict[int, Labels]:
        """Return the series here that satisfy every matcher, with their labels."""
        found: dict[int, Labels] = {}
        for _tick, layout in list(self.spans):
            found.update(layout.matching(matchers))
        for ids in list(self.ended.values()):
            for series_id in ids:
                if series_id not in found:
                    labels = directory.labels(series_id)
                    if satisfies(labels, matchers):
                        found[series_id] = labels
        return found

    def columns(self, ids: Sequence[int], start: int, end: int) -> dict[int, Column]:
        """Return the columns of these series over the ticks from `start` up to `end`.

        Series without a value there are left out. Ticks in the runs count from the segment's
        first.
        """
        found: dict[int, Column] = {}
        spans = list(self.spans)
        for index, (first, layout) in enumerate(spans):
            last = spans[index + 1][0] if index + 1 < len(spans) else end
            low, high = max(first, start), min(last, end)
            if low >= high:
                continue
            if first in self.ended and first >= start:
                ended = set(self.ended[first])
                for series_id in ids:
                    if series_id in ended:
                        _column(found, series_id).add(first, (STALE,))
            present = [series_id for series_id in ids if series_id in layout.positions]
            for series_id, values in zip(
                present,
                _taken([layout.positions[i] for i in present], self.rows[low:high]),
                strict=True,
            ):
                _column(found, series_id).add(low, values)
        return found


def _column(found: dict[int, Column], series_id: int) -> Column:
    """Return the column of a series, a new one at first."""
    column = found.get(series_id)
    if column is None:
        column = found[series_id] = Column([], array("d"))
    return column


def _taken(positions: Sequence[int], rows: Sequence["array[float]"]) -> Iterable[Iterable[float]]:
    """Return for each position the values that the rows have there."""
    if len(positions) <= 1:
        return [[row[position] for row in rows] for position in positions]
    return zip(*map(itemgetter(*positions), rows), strict=True)
