"""Rows of one width, and columns out of them."""

from bisect import bisect_right
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Places: TypeAlias = NDArray[np.intp]
"""Which columns of a row are meant."""

_FIRST: Final = 4
_LARGEST: Final = 64


class Rows:
    """Rows in blocks that never move, so that a reader in another thread is not disturbed.

    Blocks grow, since a layout may stand for a tick or for all day.

    Args:
        width: numbers in a row.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._count = 0
        self._room = 0
        self._blocks: list[NDArray[np.float64]] = []
        self._begins: list[int] = []

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self._count

    def append(self, row: NDArray[np.float64]) -> None:
        """Add a row."""
        if self._count == self._room:
            size = min(_LARGEST, max(_FIRST, self._count))
            self._begins.append(self._room)
            self._blocks.append(np.empty((size, self.width)))
            self._room += size
        self._blocks[-1][self._count - self._begins[-1]] = row
        self._count += 1

    def row(self, index: int) -> NDArray[np.float64]:
        """Return a row, of which nothing may be changed."""
        block = bisect_right(self._begins, index) - 1
        row: NDArray[np.float64] = self._blocks[block][index - self._begins[block]]
        return row

    def columns(self, places: Places, low: int, high: int) -> NDArray[np.float64]:
        """Return a copy of some columns from row `low` up to `high`, one after the other."""
        parts: list[NDArray[np.float64]] = []
        block = bisect_right(self._begins, low) - 1
        while low < high:
            begin = self._begins[block]
            part = self._blocks[block][low - begin : high - begin]
            parts.append(part.take(places, axis=1))
            low += len(part)
            block += 1
        if not parts:
            return np.empty((len(places), 0))
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return np.ascontiguousarray(whole.T)
