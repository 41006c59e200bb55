"""Selectors that are asked for at tick after tick: what all of them find is looked up at once.

Rules ask some thirty questions each second, of a dozen series each. To take these out of the newest
row and to say which of them changed is one look for all, not one for each: a call into numpy costs
more than what it does for so few.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.store.changes import Changes
from agent.store.exact import are_exact, is_exact
from agent.store.layout import REMEMBERED, Layout, Selection
from agent.store.rows import Places
from agent.store.series import Matcher, plain_name
from agent.store.track import Piece, Track, columns

_NONE: Final[Places] = np.empty(0, dtype=np.intp)
_LATELY: Final = 5
"""Rows for which a selector that is asked for no more is looked up with the others."""


class _Exact(NamedTuple):
    """What is known of whether values are numbers of which no sum is rounded.

    Attributes:
        row: the last that was looked at.
        begin: the first.
        strange: the last with another number, at the latest.
    """

    row: int
    begin: int
    strange: int


class Asked:
    """A selector and what it finds in the newest row.

    Args:
        matchers: the selector.
        among: all of them.

    Attributes:
        matchers: the same.
        name: that it names, None where it names none.
        selection: the series.
        row: number of the row in which it was asked for last.
        place: where it is among those that are looked up at once, None where it is by itself.
    """

    __slots__ = ("_among", "_exact", "_track", "matchers", "name", "place", "row", "selection")

    def __init__(self, matchers: tuple[Matcher, ...], among: "Questions") -> None:
        self.matchers = matchers
        self.name = plain_name(matchers)
        self.selection: Selection
        self.row = -2
        self.place: int | None = None
        self._track: Track | None = None
        self._exact = _Exact(-2, 0, 0)
        self._among = among

    def numbers(self) -> NDArray[np.float64]:
        """Return the value of each series; nothing may be changed in it."""
        if self.place is None:
            found: NDArray[np.float64] = self._among.changes.row[self.selection.places]
            return found
        return self._among.numbers[self._among.cut(self.place)]

    def values(self) -> list[float]:
        """Return the value of each series."""
        if self.place is None:
            values: list[float] = self.numbers().tolist()
            return values
        return self._among.values[self._among.cut(self.place)]

    def finite(self, since: int) -> bool:
        """Return whether all values are numbers from a row on."""
        changes = self._among.changes
        if changes.newest_strange < since:
            return True
        if self.place is None:
            return changes.finite(self.selection.places, since)
        return self._among.strange()[self.place] < since

    def constant(self, since: int) -> bool:
        """Return whether the values are the same from a row on, bit for bit."""
        if self.place is None:
            return self._among.changes.constant(self.selection.places, since)
        return self._among.changed[self.place] <= since

    def fell(self, since: int) -> bool:
        """Return whether a value, after a row, is below that of the row before."""
        if self.place is None:
            return self._among.changes.fell(self.selection.places, since)
        return self._among.fallen()[self.place] > since

    def exact(self, first: int, take: Callable[[], NDArray[np.float64]]) -> bool:
        """Return whether no sum of the values from a row on is rounded; not always where it is so.

        Args:
            first: the row.
            take: returns the values.
        """
        row, (checked, begin, strange) = self._among.changes.rows - 1, self._exact
        if checked < row - 1 or first < begin:
            begin, strange = first, first - 1 if is_exact(take()) else row
        elif checked < row and not are_exact(self.values()):
            strange = row
        self._exact = _Exact(row, begin, strange)
        return strange < first

    def since(
        self, pieces: Callable[[int], Iterable[Piece]], first: int, end: int
    ) -> NDArray[np.float64]:
        """Return the values at the ticks from `first` to before `end`, in columns.

        Args:
            pieces: tells where the rows of so many of the last ticks are, the newest first. Before
                a series came, its value is NaN.
            first: number of the first tick.
            end: number of the tick after the newest.
        """
        track, ids = self._track, self.selection.ids
        if track is None or track.ids != ids or not track.first <= first <= track.next:
            track = self._track = Track(ids, first)
        missing = end - track.next
        if missing == 1:
            track.add(self.numbers()[:, np.newaxis])
        elif missing:
            track.add(columns(self.selection, pieces(missing)))
        return track.since(first)


class Questions:
    """The selectors that are asked for of one stream.

    Args:
        changes: of the stream.

    Attributes:
        changes: the same.
        numbers: the values of all series that are looked up at once, in the newest row.
        values: the same.
        changed: for each selector the last row in which one of its series changed.
    """

    def __init__(self, changes: Changes) -> None:
        self.changes = changes
        self.numbers: NDArray[np.float64] = np.empty(0)
        self.values: list[float] = []
        self.changed: list[int] = []
        self._asked: dict[tuple[Matcher, ...], Asked] = {}
        self._layout: Layout | None = None
        self._row = -1
        self._stale = False
        self._places = _NONE
        self._begins = _NONE
        self._cuts: list[slice] = []
        self._fallen: list[int] | None = None
        self._strange: list[int] | None = None

    def ask(self, matchers: tuple[Matcher, ...], layout: Layout) -> Asked:
        """Return what a selector finds in the newest row, which is of this layout."""
        row = self.changes.rows - 1
        if row != self._row or layout is not self._layout:
            self._look(layout, row)
        asked = self._asked.get(matchers)
        if asked is None:
            if len(self._asked) >= REMEMBERED:
                self._asked.clear()
                self._stale = True
            asked = self._asked[matchers] = Asked(matchers, self)
        if asked.row != row:
            if asked.place is None:
                asked.selection = layout.select(matchers)
                # Twice in a row: it will be asked for again.
                self._stale = self._stale or (asked.row == row - 1 and bool(asked.selection.ids))
            asked.row = row
        return asked

    def _look(self, layout: Layout, row: int) -> None:
        """Look up what is asked for at tick after tick."""
        if self._stale or layout is not self._layout:
            self._join(layout, row)
        self._row = row
        self._fallen = self._strange = None
        if self._cuts:
            self.numbers = self.changes.row[self._places]
            self.values = self.numbers.tolist()
            self.changed = self.changes.last(self._places, self._begins)

    def _join(self, layout: Layout, row: int) -> None:
        """Find all series anew."""
        parts: list[Places] = []
        begins: list[int] = []
        self._cuts = []
        count = 0
        for asked in self._asked.values():
            again = asked.place is not None and row - asked.row <= _LATELY
            asked.place = None
            if not again and asked.row != row - 1:
                continue
            asked.selection = layout.select(asked.matchers)
            if asked.selection.ids:
                asked.place = len(parts)
                parts.append(asked.selection.places)
                begins.append(count)
                self._cuts.append(slice(count, count + len(asked.selection.ids)))
                count += len(asked.selection.ids)
        self._places = np.concatenate(parts) if parts else _NONE
        self._begins = np.array(begins, dtype=np.intp)
        self._layout = layout
        self._stale = False

    def cut(self, place: int) -> slice:
        """Return where the series of a selector are among those that are looked up at once."""
        return self._cuts[place]

    def fallen(self) -> list[int]:
        """Return for each selector the last row in which a value was below the one before."""
        if self._fallen is None:
            self._fallen = self.changes.last_fallen(self._places, self._begins)
        return self._fallen

    def strange(self) -> list[int]:
        """Return for each selector the last row in which a value was no number."""
        if self._strange is None:
            self._strange = self.changes.last_strange(self._places, self._begins)
        return self._strange
