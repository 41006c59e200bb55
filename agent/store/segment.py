"""Some minutes of ticks in memory: a row of values a tick, one time for all of them.

A row is what the frame gave, in its order; which series that are is said once for as long as
it stands (a layout). Columns are taken out only for the series that somebody wants.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.store.rows import Places, Rows
from agent.store.series import (
    STALE,
    Labels,
    Matcher,
    MatchOp,
    after,
    milliseconds,
    plain_name,
    satisfies,
)
from agent.store.shape import Shape
from agent.store.target import Directory

WINDOW: Final = 300_000
"""Milliseconds of a window; windows begin at whole multiples of it since the epoch."""


@dataclass(eq=False, slots=True)
class Selection:
    """What a selector finds in a layout.

    Attributes:
        ids: the series.
        labels: theirs.
        places: where they are in a row.
        begun: the first and the last of the rows with which one of them came, see `Changes.begun`;
            None where nobody has asked.
    """

    ids: tuple[int, ...]
    labels: Shape
    places: Places
    begun: tuple[int, int] | None = None


class Layout:
    """Which series a row holds, and where.

    Args:
        ids: the series.
        directory: their labels.
        before: what the row before holds. Its selections of names of which no series came or went
            are taken over: it is hardly asked again, and most rows differ in few series.

    Attributes:
        ids: the series.
        origins: where each is in the row before, below 0 for nowhere.
        gone: those that the row before holds and this one does not.
        gone_names: the names of their samples.
    """

    def __init__(
        self, ids: Sequence[int], directory: Directory, before: "Layout | None" = None
    ) -> None:
        self.ids = list(ids)
        self._positions: dict[int, int] | None = None
        self._directory = directory
        self._by_name: dict[str, list[int]] | None = None
        self._selected: dict[tuple[Matcher, ...], Selection] = {}
        self._places: dict[tuple[int, ...], Places] = {}
        places = {} if before is None else before.positions
        self.origins: Places = np.fromiter(
            map(places.get, self.ids, repeat(-1)), dtype=np.intp, count=len(self.ids)
        )
        positions = self.positions
        self.gone = [] if before is None else [i for i in before.ids if i not in positions]
        self.gone_names = self._names_of(self.gone)
        if before is not None:
            self._take_over(before)

    def _take_over(self, before: "Layout") -> None:
        """Take over what was found in the row before, unless it may be another now."""
        kept = self.origins >= 0
        new = [self.ids[place] for place in np.nonzero(~kept)[0]]
        touched = self.gone_names | self._names_of(new)
        moved = np.full(len(before.ids), -1, dtype=np.intp)
        moved[self.origins[kept]] = np.nonzero(kept)[0]
        selected, by_name = before.hand_over()
        for matchers, found in selected.items():
            name = plain_name(matchers)
            if name is not None and name not in touched:
                self._selected[matchers] = Selection(
                    found.ids, found.labels, moved[found.places], found.begun
                )
        if by_name is not None:
            named = self._by_name = by_name
            positions = self.positions
            for name in touched:
                named[name] = [i for i in named.get(name, ()) if i in positions]
            for series_id in new:
                named[self._directory.name(series_id)].append(series_id)
            for name in touched:
                named[name].sort(key=positions.__getitem__)

    def hand_over(
        self,
    ) -> tuple[dict[tuple[Matcher, ...], Selection], dict[str, list[int]] | None]:
        """Give away what was found: thousands of numbers a row, which can be had again."""
        given = self._selected, self._by_name
        self._selected, self._by_name, self._positions = {}, None, None
        return given

    @property
    def positions(self) -> dict[int, int]:
        """Where each series is."""
        found = self._positions
        if found is None:
            found = self._positions = dict(zip(self.ids, range(len(self.ids)), strict=True))
        return found

    def _names_of(self, ids: Sequence[int]) -> set[str]:
        """Return the names of the samples of any series."""
        return set(map(self._directory.name, ids))

    def places(self, selection: Selection) -> Places:
        """Return where the series of a selection are in a row, which has all of them."""
        found = self._places.get(selection.ids)
        if found is None:
            if len(self._places) >= REMEMBERED:
                self._places.clear()
            positions = self.positions
            found = np.array([positions[i] for i in selection.ids], dtype=np.intp)
            self._places[selection.ids] = found
        return found

    def select(self, matchers: tuple[Matcher, ...]) -> Selection:
        """Return the series that satisfy every matcher."""
        found = self._selected.get(matchers)
        if found is None:
            if len(self._selected) >= REMEMBERED:
                self._selected.clear()
            found = self._selected[matchers] = self._search(matchers)
        return found

    def _search(self, matchers: tuple[Matcher, ...]) -> Selection:
        """Find the series that satisfy every matcher."""
        others = tuple(matcher for matcher in matchers if matcher.name != "__name__")
        named = self._named([m for m in matchers if m.name == "__name__"])
        ids = self._directory.choose(tuple(named), others)
        positions = self.positions
        places = np.array([positions[i] for i in ids], dtype=np.intp)
        return Selection(ids, self._directory.shape(ids), places)

    def _named(self, matchers: Sequence[Matcher]) -> list[int]:
        """Return the series whose name satisfies every matcher."""
        names = self._names()
        if len(matchers) == 1 and matchers[0].op is MatchOp.EQUAL:
            return names.get(matchers[0].value, [])
        return [
            series_id
            for name, ids in names.items()
            if all(matcher.matches(name) for matcher in matchers)
            for series_id in ids
        ]

    def _names(self) -> dict[str, list[int]]:
        """Return the series by the name of their samples."""
        if self._by_name is None:
            by_name: dict[str, list[int]] = {}
            for series_id, name in zip(self.ids, map(self._directory.name, self.ids), strict=True):
                by_name.setdefault(name, []).append(series_id)
            self._by_name = by_name
        return self._by_name


REMEMBERED = 512  # selectors a layout; rules repeat theirs each second, people ask ever new ones


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
        """Append values for the ticks from `start` on; an array of them at little cost."""
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
class Span:
    """Ticks of one layout.

    Attributes:
        first: the first of them, counted from that of the segment.
        layout: what each row holds.
        rows: one a tick.
    """

    first: int
    layout: Layout
    rows: Rows


@dataclass(eq=False, slots=True)
class Segment:
    """Ticks that belong together: those of one five-minute window, or a part of it.

    Attributes:
        stream: name of the stream that it is a part of.
        window: number of the window, counted from the epoch.
        times: Unix seconds of each tick, whole milliseconds, ascending.
        spans: the rows, by layout.
        ended: by tick, the series that the tick before still had.
        number: its number in the database, once it is being written.
        saved: all of it is in the database.
        abandoned: it never will be.
    """

    stream: str
    window: int
    times: "array[float]" = field(default_factory=lambda: array("d"))
    spans: list[Span] = field(default_factory=list)
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

    def add(self, time: float, layout: Layout, row: NDArray[np.float64], ended: list[int]) -> None:
        """Append a tick; `ended` are the series that the tick before had and this one has not."""
        tick = len(self.times)
        if ended:
            self.ended[tick] = ended
        if not self.spans or self.spans[-1].layout is not layout:
            self.spans.append(Span(tick, layout, Rows(len(layout.ids))))
        self.spans[-1].rows.append(row)
        # Last, so that a reader in another thread finds a row for each time.
        self.times.append(time)

    def ticks_within(self, first: int, last: int) -> tuple[int, int]:
        """Return the half-open range of ticks from `first` to `last`, in milliseconds."""
        return (
            bisect_left(self.times, after(first - 1)),
            bisect_left(self.times, after(last)),
        )

    def count(self) -> int:
        """Return how many values there are."""
        return sum(len(span.rows) * span.rows.width for span in self.spans)

    def series(self) -> set[int]:
        """Return every series that has a value or an end here."""
        found: set[int] = set()
        for span in self.spans:
            found.update(span.layout.ids)
        for ids in self.ended.values():
            found.update(ids)
        return found

    def matching(self, matchers: tuple[Matcher, ...], directory: Directory) -> dict[int, Labels]:
        """Return the series here that satisfy every matcher, with their labels."""
        found: dict[int, Labels] = {}
        spans = list(self.spans)
        for span in spans:
            selection = span.layout.select(matchers)
            found.update(zip(selection.ids, selection.labels, strict=True))
        # What ended later than with the first tick was here before: it is found or refused already.
        for series_id in self.ended.get(0, ()):
            if not any(series_id in span.layout.positions for span in spans):
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
        for index, span in enumerate(spans):
            first, positions = span.first, span.layout.positions
            last = spans[index + 1].first if index + 1 < len(spans) else end
            low, high = max(first, start), min(last, end)
            if low >= high:
                continue
            if first in self.ended and first >= start:
                ended = set(self.ended[first])
                for series_id in ids:
                    if series_id in ended:
                        _column(found, series_id).add(first, (STALE,))
            present = [series_id for series_id in ids if series_id in positions]
            places = np.array([positions[series_id] for series_id in present], dtype=np.intp)
            columns = span.rows.columns(places, low - first, high - first)
            for series_id, values in zip(present, columns, strict=True):
                _column(found, series_id).add(low, array("d", values.tobytes()))
        return found


def _column(found: dict[int, Column], series_id: int) -> Column:
    """Return the column of a series, a new one at first."""
    column = found.get(series_id)
    if column is None:
        column = found[series_id] = Column([], array("d"))
    return column
