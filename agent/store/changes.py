"""When each series of the newest row last changed, fell, or was no number; counted in rows.

On a healthy host most counters of errors stand still, and the rate of what stands still is zero
without a look at its samples.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.store.rows import Places

_NEVER: Final = -1


class Changes:
    """Watches the rows of one stream.

    A series counts from the row in which it appears: what was before is another series to it.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._row: NDArray[np.float64] = np.empty(0)
        self._changed: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._fallen = self._changed
        self._strange = self._changed
        self._begun = self._changed
        self._newest_strange = _NEVER

    def lay_out(self, ids: Sequence[int], before: Mapping[int, int]) -> None:
        """Prepare for rows of other series.

        Args:
            ids: the series of the next row.
            before: place of each series in the row before.
        """
        places = np.fromiter((before.get(i, _NEVER) for i in ids), dtype=np.intp, count=len(ids))
        if len(self._row) == 0:
            self._row = np.full(len(ids), np.nan)
            self._changed, self._fallen, self._strange = (
                np.full(len(ids), _NEVER, dtype=np.int64) for _ in range(3)
            )
            self._begun = np.full(len(ids), self.rows, dtype=np.int64)
            return
        new = places == _NEVER
        self._row = np.where(new, np.nan, self._row[places])
        self._begun = np.where(new, self.rows, self._begun[places])
        self._changed, self._fallen, self._strange = (
            np.where(new, _NEVER, known[places])
            for known in (self._changed, self._fallen, self._strange)
        )

    def add(self, row: NDArray[np.float64]) -> None:
        """Take note of the next row."""
        before, number = self._row, self.rows
        # As bits: zero has two signs, and what equals may still differ in what is divided by it.
        np.copyto(self._changed, number, where=row.view(np.int64) != before.view(np.int64))
        np.copyto(self._fallen, number, where=row < before)
        finite = np.isfinite(row)
        if not finite.all():
            np.copyto(self._strange, number, where=~finite)
            self._newest_strange = number
        self._row = row
        self.rows += 1

    def finite(self, places: Places, since: int) -> bool:
        """Return whether all values of some series are numbers from a row on."""
        return self._newest_strange < since or not _any(self._strange, places, since - 1)

    def present(self, places: Places, since: int) -> bool:
        """Return whether some series are in every row from one on."""
        return not _any(self._begun, places, since)

    def constant(self, places: Places, since: int) -> bool:
        """Return whether some series have the same values from a row on, bit for bit."""
        return not _any(self._changed, places, since)

    def fell(self, places: Places, since: int) -> bool:
        """Return whether a value of some series, after a row, is below that of the row before."""
        return _any(self._fallen, places, since)


def _any(rows: NDArray[np.int64], places: Places, since: int) -> bool:
    """Return whether one of some series has a row after another."""
    return len(places) > 0 and bool(np.maximum.reduce(rows[places]) > since)
