"""When each series of the newest row last changed, fell, or was no number; counted in rows.

On a healthy host most counters of errors stand still, and the rate of what stands still is zero
without a look at its samples.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.store.rows import Places

_NEVER: Final = -1


class Changes:
    """Watches the rows of one stream.

    A series counts from the row in which it appears: what was before is another series to it.

    Attributes:
        rows: how many there were.
        row: the newest.
        newest_strange: number of the last row that has a value which is no number.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.row: NDArray[np.float64] = np.empty(0)
        self._changed: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._fallen = self._changed
        self._strange = self._changed
        self._begun = self._changed
        self.newest_strange = _NEVER
        self._ended: dict[str, int] = {}

    def lay_out(self, places: Places, ended: Iterable[str] = ()) -> None:
        """Prepare for rows of other series.

        Args:
            places: where each series of the next row is in the row before, below 0 for nowhere.
            ended: names of those that the row before has and the next one has not.
        """
        self._ended.update(dict.fromkeys(ended, self.rows))
        if len(self.row) == 0:
            self.row = np.full(len(places), np.nan)
            self._changed, self._fallen, self._strange = (
                np.full(len(places), _NEVER, dtype=np.int64) for _ in range(3)
            )
            self._begun = np.full(len(places), self.rows, dtype=np.int64)
            return
        new = places < 0
        self.row = np.where(new, np.nan, self.row[places])
        self._begun = np.where(new, self.rows, self._begun[places])
        self._changed, self._fallen, self._strange = (
            np.where(new, _NEVER, known[places])
            for known in (self._changed, self._fallen, self._strange)
        )

    def add(self, row: NDArray[np.float64]) -> None:
        """Take note of the next row."""
        before, number = self.row, self.rows
        # As bits: zero has two signs, and what equals may still differ in what is divided by it.
        np.copyto(self._changed, number, where=row.view(np.int64) != before.view(np.int64))
        np.copyto(self._fallen, number, where=row < before)
        finite = np.isfinite(row)
        if not finite.all():
            np.copyto(self._strange, number, where=~finite)
            self.newest_strange = number
        self.row = row
        self.rows += 1

    def finite(self, places: Places, since: int) -> bool:
        """Return whether all values of some series are numbers from a row on."""
        return self.newest_strange < since or not _any(self._strange, places, since - 1)

    def ended(self, name: str, since: int) -> bool:
        """Return whether a series of a name ended with a row from one on."""
        return self._ended.get(name, _NEVER) >= since

    def begun(self, places: Places) -> tuple[int, int]:
        """Return the first and the last of the rows from which on some series are there."""
        if not len(places):
            return _NEVER, _NEVER
        begun = self._begun[places]
        return int(begun.min()), int(begun.max())

    def each_begun(self, places: Places) -> list[int]:
        """Return the row from which on each of some series is there."""
        rows: list[int] = self._begun[places].tolist()
        return rows

    def last(self, places: Places, begins: Places) -> list[int]:
        """Return the last row in which one of some series changed, for groups of them.

        Args:
            places: of the series, group by group; no group is empty.
            begins: where each group begins among them.
        """
        return _last(self._changed, places, begins)

    def last_fallen(self, places: Places, begins: Places) -> list[int]:
        """Return likewise the last row in which one of them was below the row before."""
        return _last(self._fallen, places, begins)

    def last_strange(self, places: Places, begins: Places) -> list[int]:
        """Return likewise the last row in which one of them was no number."""
        return _last(self._strange, places, begins)

    def constant(self, places: Places, since: int) -> bool:
        """Return whether some series have the same values from a row on, bit for bit."""
        return not _any(self._changed, places, since)

    def fell(self, places: Places, since: int) -> bool:
        """Return whether a value of some series, after a row, is below that of the row before."""
        return _any(self._fallen, places, since)


def _any(rows: NDArray[np.int64], places: Places, since: int) -> bool:
    """Return whether one of some series has a row after another."""
    return len(places) > 0 and bool(np.maximum.reduce(rows[places]) > since)


def _last(rows: NDArray[np.int64], places: Places, begins: Places) -> list[int]:
    """Return the last row of each group of series."""
    found: list[int] = np.maximum.reduceat(rows[places], begins).tolist()
    return found
