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
from agent.store.target import Directory

REMEMBERED: Final = 512
"""Selectors that are remembered; rules repeat theirs each second, people ask ever new ones."""

_NOWHERE: Final = -1
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

    What was found is remembered in the newest layout only: minutes hold dozens of them, and the
    tables of one are larger than its rows.

    Args:
        ids: the series.
        directory: their labels.
        before: what the row before holds. Its selections of names of which no series came or went
            are taken over: it is hardly asked again, and most rows differ in few series.

    Attributes:
        ids: the series.
        origins: where each is in the row before, below 0 for nowhere; empty once another layout
            has taken over from this one.
        gone: those that the row before holds and this one does not; likewise.
        gone_names: the names of their samples; likewise.
    """

    def __init__(
        self, ids: Iterable[int], directory: Directory, before: "Layout | None" = None
    ) -> None:
        self.ids = array("i", ids)
        self._sorted, self._order = _sorted(self.ids)
        self._directory = directory
        self._replaced = False
        self._by_name: dict[str, list[int]] | None = None
        self._selected: dict[tuple[Matcher, ...], Selection] = {}
        self._places: dict[tuple[int, ...], Places] = {}
        self.origins: Places
        self.gone: list[int] = []
        if before is None:
            self.origins = np.full(len(self.ids), _NOWHERE, dtype=np.intp)
        else:
            self.origins = before.find(self.ids)
            lost = np.nonzero(self.find(before.ids) < 0)[0].tolist()
            self.gone = [before.ids[place] for place in lost]
        self.gone_names = self._names_of(self.gone)
        if before is not None:
            self._take_over(before)

    def _take_over(self, before: "Layout") -> None:
        """Take over what was found in the row before, unless it may be another now."""
        kept = self.origins >= 0
        new = [self.ids[place] for place in np.nonzero(~kept)[0].tolist()]
        touched = self.gone_names | self._names_of(new)
        moved = np.full(len(before.ids), _NOWHERE, dtype=np.intp)
        moved[self.origins[kept]] = np.nonzero(kept)[0]
        selected, by_name = before.hand_over()
        for matchers, found in selected.items():
            name = plain_name(matchers)
            if name is not None and name not in touched:
                self._selected[matchers] = Selection(
                    found.ids, found.labels, moved[found.places], found.begun
                )
        if by_name is not None:
            for name in touched:
                ids = by_name.get(name, [])
                by_name[name] = [
                    i for i, place in zip(ids, self.find(ids).tolist(), strict=True) if place >= 0
                ]
            for series_id in new:
                by_name[self._directory.name(series_id)].append(series_id)
            for name in touched:
                ids = by_name[name]
                by_name[name] = [ids[one] for one in np.argsort(self.find(ids)).tolist()]
            self._by_name = by_name

    def hand_over(
        self,
    ) -> tuple[dict[tuple[Matcher, ...], Selection], dict[str, list[int]] | None]:
        """Give away what was found, and remember nothing from now on."""
        given = self._selected, self._by_name
        self._replaced = True
        self._selected, self._by_name, self._places = {}, None, {}
        self.origins, self.gone, self.gone_names = _NONE, [], set()
        return given

    def find(self, ids: Sequence[int]) -> Places:
        """Return where some series are in a row, below 0 for nowhere."""
        if not self.ids:
            return np.full(len(ids), _NOWHERE, dtype=np.intp)
        wanted = np.asarray(ids, dtype=np.intc)
        at = np.minimum(np.searchsorted(self._sorted, wanted), len(self.ids) - 1)
        return np.where(self._sorted[at] == wanted, self._order[at], _NOWHERE).astype(np.intp)

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
            for series_id, name in zip(self.ids, map(self._directory.name, self.ids), strict=True):
                by_name.setdefault(name, []).append(series_id)
            if not self._replaced:
                self._by_name = by_name
        return by_name


def _sorted(ids: "array[int]") -> tuple[NDArray[np.intc], NDArray[np.intc]]:
    """Return series in ascending order, and where each of them is in a row."""
    numbers = np.frombuffer(ids, dtype=np.intc) if ids else np.empty(0, dtype=np.intc)
    order = np.argsort(numbers).astype(np.intc)
    return numbers[order], order
