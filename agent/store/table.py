"""Which places the series of a stream have in its rows, whether they are there or away."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from agent.store.rows import Places

NOWHERE: Final = -1
"""The place of a series that has none."""

_AWAY: Final = 0.25  # of the series that are there: as many may be away and keep their places


class Table:
    """The series that have a place in some rows.

    Args:
        ids: the series, in the order of their places.

    Attributes:
        ids: the same.
    """

    def __init__(self, ids: Iterable[int]) -> None:
        self.ids = array("i", ids)
        numbers = np.frombuffer(self.ids, dtype=np.intc) if self.ids else np.empty(0, dtype=np.intc)
        self._order = np.argsort(numbers).astype(np.intc)
        self._sorted = numbers[self._order]

    def find(self, ids: Sequence[int]) -> Places:
        """Return the places of some series, below 0 for nowhere."""
        if not self.ids:
            return np.full(len(ids), NOWHERE, dtype=np.intp)
        wanted = np.asarray(ids, dtype=np.intc)
        at = np.minimum(np.searchsorted(self._sorted, wanted), len(self.ids) - 1)
        return np.where(self._sorted[at] == wanted, self._order[at], NOWHERE).astype(np.intp)

    def seat(self, ids: Sequence[int]) -> "Table":
        """Return a table with places for a row of these series: this one, if it has them all.

        In a new one the series of this one that are away come last. Once too many are, none of
        them keeps its place.
        """
        away = set(self.ids).difference(ids)
        if len(away) > _AWAY * len(ids):
            return Table(ids)
        if len(away) + len(ids) == len(self.ids):
            return self
        return Table((*ids, *(one for one in self.ids if one in away)))
