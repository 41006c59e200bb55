"""The last minutes in memory as they are at one tick: rows and columns for many questions.

`History.select` hands out samples series by series and copes with everything: gaps, ends, clocks
that went back, the disk. Rules ask each second, and nearly always every series they select has a
sample at every tick of the window, or at every one since it came. Then those that came together
are columns of the same rows with one time for each row, and much can be said without looking at the
samples at all. Where it is not so, there is no answer here, and `select` has it.
"""

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from agent.store.asked import Asked, Questions
from agent.store.changes import Changes
from agent.store.exact import is_exact
from agent.store.layout import Layout
from agent.store.prelude import Prelude
from agent.store.ring import Ring
from agent.store.rows import Places
from agent.store.segment import Segment
from agent.store.series import Matcher, after, milliseconds
from agent.store.shape import Shape
from agent.store.track import Piece
from agent.store.watch import Watched, Watches

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


class _Ticks(NamedTuple):
    """The ticks of a window.

    Attributes:
        times: Unix seconds.
        first: number of the first, as `Changes` counts.
    """

    times: "array[float]"
    first: int


@dataclass(slots=True)
class Columns:
    """Samples of series of which each has a finite one at every tick of a window, at least one.

    The window begins with the series where they came within it.

    Attributes:
        labels: of the series.
        times: Unix seconds of the ticks.
        constant: no value differs from that of the same series at the tick before.
    """

    labels: Shape
    times: "array[float]"
    constant: bool
    _fell: Callable[[], bool] = field(repr=False)
    _take: Callable[[], NDArray[np.float64]] = field(repr=False)
    _exact: Callable[[], bool] | None = field(default=None, repr=False)
    _known: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    _block: NDArray[np.float64] | None = field(default=None, repr=False)

    def first(self) -> list[float]:
        """Return the value of each series at the first tick."""
        values: list[float] = self.block()[:, 0].tolist()
        return values

    def last(self) -> list[float]:
        """Return the value of each series at the last tick."""
        values: list[float] = self.block()[:, -1].tolist()
        return values

    def block(self) -> NDArray[np.float64]:
        """Return all values, a row a series and a column a tick; nothing may be changed in it."""
        if self._block is None:
            self._block = self._take()
        return self._block

    def values(self) -> list[list[float]]:
        """Return all values of each series."""
        return self.once(Columns.values, Columns._values)

    def _values(self) -> list[list[float]]:
        """Return them as lists."""
        values: list[list[float]] = self.block().tolist()
        return values

    def exact(self) -> bool:
        """Return whether no sum of the values is rounded; not always where that is so."""
        return is_exact(self.block()) if self._exact is None else self._exact()

    def falls(self) -> list[tuple[int, float]]:
        """Return the place of a series and the value before, for each value that is below it.

        Those of one series are in the order of time.
        """
        if self.constant or not self._fell():
            return []
        values = self.block()
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
        since: returns the milliseconds after which memory holds all that there is.
        elsewhere: names of the series that another stream has.
        prelude: what the runs before left.
    """

    def __init__(
        self,
        ring: Ring,
        *,
        since: Callable[[], float],
        elsewhere: Collection[str],
        prelude: Prelude,
    ) -> None:
        segments = [*ring.segments]
        self._changes: Changes = ring.changes
        self._questions: Questions = ring.questions
        self._watches: Watches = ring.watches
        self._segments: Sequence[Segment] = segments if _ascending(segments) else ()
        self._newest = self._segments[-1].last if self._segments else 0
        self._all_since = since
        self._elsewhere = elsewhere
        self._prelude = prelude
        self._since: float | None = None
        self._ticks: dict[int, _Ticks] = {}
        self._columns: dict[tuple[Asked, int, int], tuple[Columns, ...] | None] = {}

    def newest(self, matchers: _Matchers, start: int, end: int) -> Newest | None:
        """Return the newest samples in (start, end], in milliseconds; None if `select` has to."""
        asked = self._ask(matchers, start, end)
        if asked is None:
            return None
        if not self._covers(start):
            # What this run had and has no more has ended; the run before may have had others.
            named = self._layout.select(matchers[:1]).labels
            if not self._prelude.nothing_but(asked.name or "", named, start):
                return None
        # Only markers would have to be left out, and they are rarer than other NaN.
        if not asked.finite(self._changes.rows - 1):
            return None
        return Newest(asked.selection.labels, asked.values(), self._segments[-1].times[-1])

    @property
    def row(self) -> int:
        """Number of the newest row."""
        return self._changes.rows - 1

    @property
    def last(self) -> int:
        """Time of the newest tick in milliseconds."""
        return self._newest

    def gap(self, moment: int) -> float:
        """Return the milliseconds between the last two ticks; brings what is watched up to date.

        Infinite where there is one tick only, or the newest is not of this moment, milliseconds.
        """
        if moment != self._newest or not self._segments:
            return math.inf
        self._watches.refresh(self._segments[-1].spans[-1].layout, self._changes)
        stamps = [stamp for segment in self._segments[-2:] for stamp in segment.times[-2:]]
        return self._newest - milliseconds(stamps[-2]) if len(stamps) > 1 else math.inf

    def has(self, watched: Watched) -> bool:
        """Return whether all series that are meant are among the ticks."""
        return watched.names.isdisjoint(self._elsewhere)

    def watch(self, matchers: Sequence[_Matchers]) -> Watched:
        """Watch what selectors find that had an answer here."""
        return self._watches.add(matchers, self._segments[-1].spans[-1].layout, self.row)

    @property
    def _layout(self) -> Layout:
        """What the newest row holds."""
        return self._segments[-1].spans[-1].layout

    def _ask(self, matchers: _Matchers, start: int, end: int) -> Asked | None:
        """Return what a selector finds; None where it is not among the ticks, or not the newest."""
        if not self._segments or not start < self._newest <= end:
            return None
        asked = self._questions.ask(matchers, self._layout)
        return None if asked.name is None or asked.name in self._elsewhere else asked

    def _covers(self, start: int) -> bool:
        """Return whether memory holds all that there is after a moment."""
        if self._since is None:
            self._since = self._all_since()
        return self._since <= start

    def columns(self, matchers: _Matchers, start: int, end: int) -> tuple[Columns, ...] | None:
        """Return the samples in (start, end], in milliseconds; None if `select` has to.

        Series that came at different ticks of the window are in different columns: engines do
        that for a while after each start of the agent. No series give no columns.
        """
        asked = self._ask(matchers, start, end)
        if asked is None or not self._covers(start):
            return None
        key = (asked, start, end)
        try:
            return self._columns[key]
        except KeyError:
            found = self._columns[key] = self._cut(asked, start)
            return found

    def _cut(self, asked: Asked, start: int) -> tuple[Columns, ...] | None:
        """Return the columns of a window, if no series that may be meant went within it."""
        ticks = self._ticks.get(start)
        if ticks is None:
            ticks = self._ticks[start] = self._after(start)
        changes, first = self._changes, ticks.first
        if changes.ended(asked.name or "", first):
            return None
        found = asked.selection
        if not found.ids:
            return ()
        if found.begun is None:
            found.begun = changes.begun(found.places)
        # Not a method: each tick would be held by its own columns until cycles are looked for.
        pieces = partial(_pieces, self._segments)
        take = partial(asked.since, pieces, first, changes.rows)
        if found.begun[1] <= first:
            if not asked.finite(first):
                return None
            fell, exact = partial(asked.fell, first), partial(asked.exact, first, take)
            constant = asked.constant(first)
            return (Columns(found.labels, ticks.times, constant, fell, take, exact),)
        parts: list[Columns] = []
        for row, part in found.cut(changes.each_begun(found.places)).items():
            late = max(0, row - first)
            since = _Ticks(ticks.times[late:], first + late)
            rows = partial(_rows, take, part.among, late)
            columns = self._of_each_tick(part.labels, part.places, since, rows)
            if columns is None:
                return None
            parts.append(columns)
        return tuple(parts)

    def _of_each_tick(
        self, labels: Shape, places: Places, ticks: _Ticks, take: Callable[[], NDArray[np.float64]]
    ) -> Columns | None:
        """Return the columns of series that are there at every tick, None if one is no number."""
        changes, first = self._changes, ticks.first
        if not changes.finite(places, first):
            return None
        constant = changes.constant(places, first)
        return Columns(labels, ticks.times, constant, partial(changes.fell, places, first), take)

    def _after(self, start: int) -> _Ticks:
        """Return the ticks after a moment."""
        moment = after(start)
        times = array("d")
        for segment in reversed(self._segments):
            if segment.last <= start:
                break
            stamps = segment.times
            times = stamps[bisect_left(stamps, moment) :] + times
        return _Ticks(times, self._changes.rows - len(times))


def _rows(
    take: Callable[[], NDArray[np.float64]], among: Sequence[int], late: int
) -> NDArray[np.float64]:
    """Return the values of some series, without the ticks before they came."""
    return take()[among, late:]


def _pieces(segments: Sequence[Segment], count: int) -> Iterator[Piece]:
    """Yield where the rows of the last ticks are, the newest first."""
    for segment in reversed(segments):
        end = len(segment.times)
        for span in reversed(segment.spans):
            begin = max(span.first, end - count)
            yield Piece(span, begin, end)
            count -= end - begin
            end = begin
            if not count:
                return


def _ascending(segments: Sequence[Segment]) -> bool:
    """Return whether each segment begins after the one before: the clock was not set back."""
    return all(before.times[-1] < later.times[0] for before, later in pairwise(segments))
