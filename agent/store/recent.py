"""The last minutes in memory as they are at one tick: rows and columns for many questions.

`History.select` hands out samples series by series and copes with everything: gaps, ends, clocks
that went back, the disk. Rules ask each second, and nearly always every series they select has a
sample at every tick of the window. Then all of them are columns of the same rows with one time for
each row, and much can be said without looking at the samples at all. Where it is not so, there is
no answer here, and `select` has it.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from agent.store.changes import Changes
from agent.store.prelude import Prelude
from agent.store.ring import Ring
from agent.store.rows import Places
from agent.store.segment import Layout, Segment, Selection, Span
from agent.store.series import Matcher, after, plain_name
from agent.store.shape import Shape

_T = TypeVar("_T")
_Matchers = tuple[Matcher, ...]


class Newest(NamedTuple):
    """The newest sample of each series that a selector finds.

    Attributes:
        labels: of the series.
        values: theirs, all of one time; no end of a series among them.
        time: Unix seconds.
    """

    labels: Shape
    values: list[float]
    time: float


class _Piece(NamedTuple):
    """Ticks of one span: from `low` up to `high`, counted in the rows of the span."""

    span: Span
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class _Ticks:
    """The ticks of a window.

    Attributes:
        times: Unix seconds.
        pieces: where their rows are.
        first: number of the first, as `Changes` counts.
        ended: names of the series that ended with one of them.
    """

    times: list[float]
    pieces: list[_Piece]
    first: int
    ended: set[str]


@dataclass(slots=True)
class Columns:
    """Samples of series of which each has a finite one at every tick of a window, at least one.

    Attributes:
        labels: of the series.
        times: Unix seconds of the ticks.
        constant: no value differs from that of the same series at the tick before.
        rising: no value is below that of the same series at the tick before.
    """

    labels: Shape
    times: list[float]
    constant: bool
    rising: bool
    _selection: Selection = field(repr=False)
    _pieces: list[_Piece] = field(repr=False)
    _matchers: _Matchers = field(repr=False)
    _known: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def first(self) -> list[float]:
        """Return the value of each series at the first tick."""
        span, low, _high = self._pieces[0]
        values: list[float] = span.rows.row(low)[self._places(span.layout)].tolist()
        return values

    def last(self) -> list[float]:
        """Return the value of each series at the last tick."""
        span, _low, high = self._pieces[-1]
        values: list[float] = span.rows.row(high - 1)[self._selection.places].tolist()
        return values

    def _places(self, layout: Layout) -> Places:
        """Return where the series are in a row of a layout, which has all of them."""
        selection, ids = layout.select(self._matchers), self._selection.ids
        if selection.ids == ids:
            return selection.places
        return np.array([layout.positions[series_id] for series_id in ids], dtype=np.intp)

    def values(self) -> list[list[float]]:
        """Return all values of each series."""
        return self.once(Columns.values, Columns._values)

    def _values(self) -> list[list[float]]:
        """Return them as lists."""
        if self.constant:
            return [[value] * len(self.times) for value in self.last()]
        values: list[list[float]] = self._taken().tolist()
        return values

    def _taken(self) -> NDArray[np.float64]:
        """Take them out of the rows, series by series."""
        parts = [
            span.rows.columns(self._places(span.layout), low, high)
            for span, low, high in self._pieces
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def falls(self) -> list[tuple[int, float]]:
        """Return the place of a series and the value before, for each value that is below it.

        Those of one series are in the order of time.
        """
        if self.rising:
            return []
        values = self._taken()
        places, ticks = np.nonzero(values[:, 1:] < values[:, :-1])
        before: list[float] = values[places, ticks].tolist()
        return list(zip(places.tolist(), before, strict=True))

    def once(self, key: Hashable, make: Callable[["Columns"], _T]) -> _T:
        """Return what a function makes of these columns: rules ask for the same in one tick.

        Args:
            key: names the function.
            make: the function.
        """
        found: _T
        if key in self._known:
            found = self._known[key]
        else:
            found = self._known[key] = make(self)
        return found


class Recent:
    """The ticks in memory at one moment; of use until the next tick is appended.

    Args:
        ring: of the ticks.
        covered: whether memory holds all that there is after a time in milliseconds.
        elsewhere: names of the series that another stream has.
        prelude: what the runs before left.
    """

    def __init__(
        self,
        ring: Ring,
        *,
        covered: Callable[[int], bool],
        elsewhere: Collection[str],
        prelude: Prelude,
    ) -> None:
        segments = [*ring.segments]
        self._changes: Changes = ring.changes
        self._segments: Sequence[Segment] = segments if _ascending(segments) else ()
        self._newest = self._segments[-1].last if self._segments else 0
        self._covered = covered
        self._elsewhere = elsewhere
        self._prelude = prelude
        self._known_to_cover: dict[int, bool] = {}
        self._ticks: dict[int, _Ticks] = {}
        self._columns: dict[tuple[_Matchers, int, int], Columns | None] = {}

    def newest(self, matchers: _Matchers, start: int, end: int) -> Newest | None:
        """Return the newest samples in (start, end], in milliseconds; None if `select` has to."""
        name = self._name(matchers, start, end)
        if name is None:
            return None
        segment = self._segments[-1]
        span = segment.spans[-1]
        if not self._covers(start):
            # What this run had and has no more has ended; the run before may have had others.
            named = span.layout.select(matchers[:1]).labels
            if not self._prelude.nothing_but(name, named, start):
                return None
        selection = span.layout.select(matchers)
        # Only markers would have to be left out, and they are rarer than other NaN.
        if not self._changes.finite(selection.places, self._changes.rows - 1):
            return None
        values = span.rows.row(len(span.rows) - 1)[selection.places].tolist()
        return Newest(selection.labels, values, segment.times[-1])

    def _name(self, matchers: _Matchers, start: int, end: int) -> str | None:
        """Return the name of the series if they are among the ticks, and these are the newest."""
        if not self._segments or not start < self._newest <= end:
            return None
        name = plain_name(matchers)
        return None if name in self._elsewhere else name

    def _covers(self, start: int) -> bool:
        """Return whether memory holds all that there is after a moment."""
        covers = self._known_to_cover.get(start)
        if covers is None:
            covers = self._known_to_cover[start] = self._covered(start)
        return covers

    def columns(self, matchers: _Matchers, start: int, end: int) -> Columns | None:
        """Return the samples in (start, end], in milliseconds; None if `select` has to."""
        name = self._name(matchers, start, end)
        if name is None or not self._covers(start):
            return None
        key = (matchers, start, end)
        if key not in self._columns:
            self._columns[key] = self._cut(name, matchers, start)
        return self._columns[key]

    def _cut(self, name: str, matchers: _Matchers, start: int) -> Columns | None:
        """Return the columns of a window, if no series that is meant came or went within it."""
        ticks = self._ticks.get(start)
        if ticks is None:
            ticks = self._ticks[start] = self._after(start)
        changes, first = self._changes, ticks.first
        found = ticks.pieces[-1].span.layout.select(matchers)
        places = found.places
        if name in ticks.ended or not changes.present(places, first):
            return None
        if not changes.finite(places, first):
            return None
        constant = changes.constant(places, first)
        rising = constant or not changes.fell(places, first)
        return Columns(found.labels, ticks.times, constant, rising, found, ticks.pieces, matchers)

    def _after(self, start: int) -> _Ticks:
        """Return the ticks after a moment."""
        pieces: list[_Piece] = []
        times: list[float] = []
        ended: set[str] = set()
        for segment in reversed(self._segments):
            if segment.last <= start:
                break
            stamps = segment.times
            low = bisect_left(stamps, after(start))
            times[:0] = stamps[low:]
            ended.update(*(names for tick, names in segment.ended_names.items() if tick >= low))
            end = len(stamps)
            for span in reversed(segment.spans):
                pieces.append(_Piece(span, max(low - span.first, 0), end - span.first))
                end = span.first
                if end <= low:
                    break
        pieces.reverse()
        return _Ticks(times, pieces, self._changes.rows - len(times), ended)


def _ascending(segments: Sequence[Segment]) -> bool:
    """Return whether each segment begins after the one before: the clock was not set back."""
    return all(before.times[-1] < later.times[0] for before, later in pairwise(segments))
