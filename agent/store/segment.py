"""Some minutes of ticks in memory: a row of values a tick, one time for all of them.

A row is what the frame gave, in its order; which series that are is said once for as long as
it stands (a layout). Columns are taken out only for the series that somebody wants.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.store.layout import Layout
from agent.store.present import Present
from agent.store.rows import Places, Rows
from agent.store.series import STALE, Labels, Matcher, after, milliseconds
from agent.store.target import Directory

WINDOW: Final = 300_000
"""Milliseconds of a window; windows begin at whole multiples of it since the epoch."""


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
    """Ticks of one layout, counted from the first of the segment.

    Attributes:
        first: the first of them.
        layout: what each row holds.
        rows: one a tick; those of the spans before and after too, as long as the table is one.
        begin: the tick of the first of all those rows.
    """

    first: int
    layout: Layout
    rows: Rows
    begin: int

    def row(self, tick: int) -> NDArray[np.float64]:
        """Return the row of a tick, of which nothing may be changed."""
        return self.rows.row(tick - self.begin)

    def columns(self, places: Places, low: int, high: int) -> NDArray[np.float64]:
        """Return a copy of some columns of the ticks from `low` up to `high`."""
        return self.rows.columns(places, low - self.begin, high - self.begin)


@dataclass(eq=False, slots=True)
class Segment:
    """Ticks that belong together: those of one five-minute window, or a part of it.

    Attributes:
        stream: name of the stream that it is a part of.
        window: number of the window, counted from the epoch.
        times: Unix seconds of each tick, whole milliseconds, ascending.
        spans: the rows, by layout.
        ended: by tick, the series that the tick before still had.
        present: every series that has a value or an end here.
        number: its number in the database, once it is being written.
        saved: all of it is in the database.
        abandoned: it never will be.
    """

    stream: str
    window: int
    times: "array[float]" = field(default_factory=lambda: array("d"))
    spans: list[Span] = field(default_factory=list)
    ended: dict[int, list[int]] = field(default_factory=dict)
    present: Present = field(default_factory=Present)
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
            self.present.add(ended)
        before = self.spans[-1] if self.spans else None
        if before is None or before.layout.table is not layout.table:
            self.complete()
            self.present.add(layout.ids)
            self.spans.append(Span(tick, layout, Rows(len(row)), tick))
        elif before.layout is not layout:
            self.present.add(layout.came)
            self.spans.append(Span(tick, layout, before.rows, before.begin))
        self.spans[-1].rows.append(row)
        # Last, so that a reader in another thread finds a row for each time.
        self.times.append(time)

    def complete(self) -> None:
        """Take note that the last table has had its last row."""
        if self.spans:
            self.spans[-1].rows.complete()

    def ticks_within(self, first: int, last: int) -> tuple[int, int]:
        """Return the half-open range of ticks from `first` to `last`, in milliseconds."""
        return (
            bisect_left(self.times, after(first - 1)),
            bisect_left(self.times, after(last)),
        )

    def count(self) -> int:
        """Return how many values there are."""
        ends = [*(span.first for span in self.spans[1:]), len(self.times)]
        return sum(
            (end - span.first) * len(span.layout)
            for span, end in zip(self.spans, ends, strict=True)
        )

    def series(self) -> set[int]:
        """Return every series that has a value or an end here."""
        return self.present.series()

    def matching(self, matchers: tuple[Matcher, ...], directory: Directory) -> dict[int, Labels]:
        """Return the series here that satisfy every matcher, with their labels."""
        return self.present.matching(matchers, directory)

    def columns(self, ids: Sequence[int], start: int, end: int) -> dict[int, Column]:
        """Return the columns of these series over the ticks from `start` up to `end`.

        Series without a value there are left out. Ticks in the runs count from the segment's
        first.
        """
        found: dict[int, Column] = {}
        for pieces in self._pieces(start, end):
            _take(found, ids, pieces)
        return found

    def _pieces(self, start: int, end: int) -> Iterator[list["_Piece"]]:
        """Yield the ticks from `start` up to `end`: those of one table together, by span."""
        spans = list(self.spans)
        together: list[_Piece] = []
        for index, span in enumerate(spans):
            last = spans[index + 1].first if index + 1 < len(spans) else end
            low, high = max(span.first, start), min(last, end)
            if low >= high:
                continue
            if together and together[0].span.rows is not span.rows:
                yield together
                together = []
            ended = self.ended.get(span.first, ()) if low == span.first else ()
            together.append(_Piece(span, low, high, ended))
        if together:
            yield together


class _Piece(NamedTuple):
    """Ticks of a span.

    Attributes:
        span: theirs.
        low: the first.
        high: the one after the last.
        ended: series that end with the first.
    """

    span: Span
    low: int
    high: int
    ended: Sequence[int]


def _take(found: dict[int, Column], ids: Sequence[int], pieces: Sequence[_Piece]) -> None:
    """Add the values of series at the ticks of one table.

    Most series are there at all of them, and taken once for however many layouts.
    """
    first, last = pieces[0], pieces[-1]
    places = first.span.layout.table.find(ids)
    here = np.nonzero(places >= 0)[0]
    places = places[here]
    there = [piece.span.layout.holds(places) for piece in pieces]
    always = np.logical_and.reduce(there).tolist()
    wanted = set(ids)
    ended = {one for piece in pieces for one in wanted.intersection(piece.ended)}
    columns = first.span.columns(places, first.low, last.high)
    broken: dict[int, tuple[int, array[float]]] = {}
    for number, index in enumerate(here.tolist()):
        series_id = ids[index]
        values = array("d", columns[number].tobytes())
        if always[number] and series_id not in ended:
            _column(found, series_id).add(first.low, values)
        else:
            broken[series_id] = number, values
    for piece, holds in zip(pieces, there, strict=True) if broken or ended else ():
        for series_id in ended.intersection(piece.ended):
            _column(found, series_id).add(piece.low, (STALE,))
        for series_id, (number, values) in broken.items():
            if holds[number]:
                part = values[piece.low - first.low : piece.high - first.low]
                _column(found, series_id).add(piece.low, part)


def _column(found: dict[int, Column], series_id: int) -> Column:
    """Return the column of a series, a new one at first."""
    column = found.get(series_id)
    if column is None:
        column = found[series_id] = Column([], array("d"))
    return column
