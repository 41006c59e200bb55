"""Which series the rows of some minutes hold, and where."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.store.rows import Places
from agent.store.series import Matcher, MatchOp, plain_name
from agent.store.shape import Shape
from agent.store.table import NOWHERE, Table
from agent.store.target import Directory

REMEMBERED: Final = 512
"""Selectors that are remembered; rules repeat theirs each second, people ask ever new ones."""

_NONE: Final[Places] = np.empty(0, dtype=np.intp)


class Part(NamedTuple):
    """Series of a selection that came with the same row.

    Attributes:
        labels: of the series.
        places: where they are in a row.
        among: where they are in the selection.
    """

    labels: Shape
    places: Places
    among: list[int]


@dataclass(eq=False, slots=True)
class Selection:
    """What a selector finds in a layout.

    Attributes:
        ids: the series.
        labels: theirs.
        places: where they are in a row.
        begun: the first and the last of the rows with which one of them came, see `Changes.begun`;
            None where nobody has asked.
        parts: the series by the row with which they came; likewise.
    """

    ids: tuple[int, ...]
    labels: Shape
    places: Places
    begun: tuple[int, int] | None = None
    parts: dict[int, Part] | None = None

    def cut(self, begun: Sequence[int]) -> dict[int, Part]:
        """Return the series by the row with which they came.

        Args:
            begun: the row with which each came.
        """
        if self.parts is None:
            together: dict[int, list[int]] = {}
            for number, row in enumerate(begun):
                together.setdefault(row, []).append(number)
            self.parts = {
                row: Part(Shape(map(self.labels.__getitem__, among)), self.places[among], among)
                for row, among in together.items()
            }
        return self.parts


class Layout:
    """Which series a row holds, and where.

    Some series come and go all the time on a busy host, those that say what is foreseen of an
    engine above all. They keep their places while they are away, so that rows of many layouts
    have one table.

    What was found is remembered in the newest layout only: minutes hold dozens of them, and what
    one remembers is larger than its rows.

    Args:
        given: the series, in the order in which their values are given.
        directory: their labels.
        before: what the row before holds. Its selections of names of which no series came or went
            are taken over: it is hardly asked again, and most rows differ in few series.

    Attributes:
        table: the places.
        given: the series, as they were given; empty once another layout has taken over from this
            one.
        origins: where the series of each place is in the row before, below 0 for nowhere;
            likewise.
        came: the series that the row before has not; likewise.
        gone: those that only the row before has; likewise.
        gone_names: the names of their samples; likewise.
    """

    def __init__(
        self, given: Iterable[int], directory: Directory, before: "Layout | None" = None
    ) -> None:
        self.given = array("i", given)
        self.table: Table = Table(self.given) if before is None else before.table.seat(self.given)
        self._directory = directory
        self._replaced = False
        self._by_name: dict[str, list[int]] | None = None
        self._selected: dict[tuple[Matcher, ...], Selection] = {}
        self._places: dict[tuple[int, ...], Places] = {}
        self._at = self.table.find(self.given)
        there = np.zeros(len(self.table.ids), dtype=np.bool_)
        there[self._at] = True
        self._away = np.nonzero(~there)[0]
        self._straight = bool((self._at[1:] > self._at[:-1]).all()) and not len(self._away)
        self.origins: Places
        self.gone: list[int] = []
        if before is None:
            self.origins = np.full(len(self.table.ids), NOWHERE, dtype=np.intp)
        else:
            self.origins = before.find(self.table.ids)
            lost = np.nonzero(self.find(before.given) < 0)[0].tolist()
            self.gone = [before.given[number] for number in lost]
        new = np.nonzero(there & (self.origins < 0))[0].tolist()
        self.came = [self.table.ids[place] for place in new]
        self.gone_names = self._names_of(self.gone)
        if before is not None:
            self._take_over(before)

    def __len__(self) -> int:
        """Return how many series there are."""
        return len(self.table.ids) - len(self._away)

    @property
    def ids(self) -> "array[int]":
        """The series, in the order of their places."""
        if not len(self._away):
            return self.table.ids
        return array("i", np.delete(np.frombuffer(self.table.ids, dtype=np.intc), self._away))

    def row(self, values: "array[float]") -> NDArray[np.float64]:
        """Return the row of these values, given in the order of the series.

        Only of the newest layout. What is away is 0 there, and stands still.
        """
        given = np.frombuffer(values)
        if self._straight:
            return given
        row = np.zeros(len(self.table.ids))
        row[self._at] = given
        return row

    def _take_over(self, before: "Layout") -> None:
        """Take over what was found in the row before, unless it may be another now."""
        touched = self.gone_names | self._names_of(self.came)
        selected, by_name = before.hand_over()
        kept = {
            matchers: found
            for matchers, found in selected.items()
            if (name := plain_name(matchers)) is not None and name not in touched
        }
        if self.table is not before.table:
            moved = np.full(len(before.table.ids), NOWHERE, dtype=np.intp)
            moved[self.origins[self.origins >= 0]] = np.nonzero(self.origins >= 0)[0]
            kept = {
                matchers: Selection(found.ids, found.labels, moved[found.places], found.begun)
                for matchers, found in kept.items()
            }
        self._selected = kept
        if by_name is not None:
            came: dict[str, list[int]] = {}
            for series_id in self.came:
                came.setdefault(self._directory.name(series_id), []).append(series_id)
            for name in touched:
                ids = [*by_name.get(name, ()), *came.get(name, ())]
                places = self.find(ids)
                order = np.argsort(places)[np.count_nonzero(places < 0) :]
                by_name[name] = [ids[number] for number in order.tolist()]
            self._by_name = by_name

    def hand_over(
        self,
    ) -> tuple[dict[tuple[Matcher, ...], Selection], dict[str, list[int]] | None]:
        """Give away what was found, and remember nothing from now on."""
        given = self._selected, self._by_name
        self._replaced = True
        self._selected, self._by_name, self._places = {}, None, {}
        self.given = array("i")
        self._at = self.origins = _NONE
        self.came, self.gone, self.gone_names = [], [], set()
        return given

    def find(self, ids: Sequence[int]) -> Places:
        """Return where some series are in a row, below 0 for nowhere."""
        places = self.table.find(ids)
        if len(self._away):
            places[~self.holds(places)] = NOWHERE
        return places

    def holds(self, places: Places) -> NDArray[np.bool_]:
        """Return of places of the table whether the series there is not away."""
        if not len(self._away):
            return np.ones(len(places), dtype=np.bool_)
        # They ascend; `numpy.isin` would sort them again, and takes ten times as long.
        at = np.minimum(np.searchsorted(self._away, places), len(self._away) - 1)
        return np.asarray(self._away[at] != places)

    def _names_of(self, ids: Sequence[int]) -> set[str]:
        """Return the names of the samples of any series."""
        return set(map(self._directory.name, ids))

    def places(self, selection: Selection) -> Places:
        """Return where the series of a selection are in a row, below 0 for nowhere."""
        found = self._places.get(selection.ids)
        if found is None:
            found = self.find(selection.ids)
            if not self._replaced:
                if len(self._places) >= REMEMBERED:
                    self._places.clear()
                self._places[selection.ids] = found
        return found

    def select(self, matchers: tuple[Matcher, ...]) -> Selection:
        """Return the series that satisfy every matcher."""
        found = self._selected.get(matchers)
        if found is None:
            found = self._search(matchers)
            if not self._replaced:
                if len(self._selected) >= REMEMBERED:
                    self._selected.clear()
                self._selected[matchers] = found
        return found

    def _search(self, matchers: tuple[Matcher, ...]) -> Selection:
        """Find the series that satisfy every matcher."""
        others = tuple(matcher for matcher in matchers if matcher.name != "__name__")
        named = self._named([m for m in matchers if m.name == "__name__"])
        ids = self._directory.choose(tuple(named), others)
        return Selection(ids, self._directory.shape(ids), self.find(ids))

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
        by_name = self._by_name
        if by_name is None:
            by_name = {}
            for series_id in self.ids:
                name = self._directory.name(series_id)
                by_name.setdefault(name, []).append(series_id)
            if not self._replaced:
                self._by_name = by_name
        return by_name
