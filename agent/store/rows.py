"""Rows of one width, and columns out of them."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Places: TypeAlias = NDArray[np.intp]
"""Which columns of a row are meant."""

_FIRST: Final = 1
_LARGEST: Final = 40
_WORTH_PACKING: Final = 4


@dataclass(frozen=True, slots=True)
class _Packed:
    """Complete rows, of which the columns that stand still are kept once.

    Most of what a host says stands still for a minute: limits, facts, errors that did not happen,
    buckets that nothing falls into. Most of what moves counts something, and grows by little in
    a minute: of that the growth is kept, in a quarter of the bytes.

    Attributes:
        first: the first of the rows.
        short: the columns in which a later one differs, less the first, where that is a small
            whole number and gives exactly the value again.
        long: the values of the others in which one differs.
        among: where each column is among `short`, then `long`, below 0 for one that stands still;
            no wider than it has to be.
    """

    first: NDArray[np.float64]
    short: NDArray[np.int16]
    long: NDArray[np.float64]
    among: NDArray[np.int16]

    def row(self, index: int) -> NDArray[np.float64]:
        """Return a copy of a row."""
        row: NDArray[np.float64] = self.take(np.arange(len(self.first)), index, index + 1)[0]
        return row

    def take(self, places: Places, low: int, high: int) -> NDArray[np.float64]:
        """Return a copy of some columns of the rows from `low` up to `high`."""
        among = self.among[places]
        border = self.short.shape[1]
        taken = np.empty((high - low, len(places)))
        taken[:] = self.first[places]
        at = np.nonzero((among >= 0) & (among < border))[0]
        if len(at):
            taken[:, at] += self.short[low:high].take(among[at], axis=1)
        at = np.nonzero(among >= border)[0]
        if len(at):
            taken[:, at] = self.long[low:high].take(among[at] - border, axis=1)
        return taken


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows one after the other, of which the last may still be to come."""

    rows: NDArray[np.float64]

    def row(self, index: int) -> NDArray[np.float64]:
        """Return a row."""
        row: NDArray[np.float64] = self.rows[index]
        return row

    def take(self, places: Places, low: int, high: int) -> NDArray[np.float64]:
        """Return a copy of some columns of the rows from `low` up to `high`."""
        return self.rows[low:high].take(places, axis=1)


def _packed(rows: NDArray[np.float64]) -> _Packed | _Block:
    """Return rows to which nothing is added any more, in little memory."""
    if len(rows) < _WORTH_PACKING or rows.shape[1] > np.iinfo(np.int16).max:
        return _Block(rows)
    # As bits: a marker is one NaN among others, and zero has two signs.
    bits = rows.view(np.int64)
    moves = np.nonzero((bits[1:] != bits[0]).any(axis=0))[0]
    moving = rows[:, moves]
    with np.errstate(over="ignore", invalid="ignore"):
        less = (moving - moving[0]).astype(np.int16)
        exact = ((moving[0] + less).view(np.int64) == bits[:, moves]).all(axis=0)
    among = np.full(rows.shape[1], -1, dtype=np.int16)
    among[np.concatenate((moves[exact], moves[~exact]))] = np.arange(len(moves), dtype=np.int16)
    return _Packed(rows[0].copy(), less[:, exact], moving[:, ~exact], among)


class Rows:
    """Rows in blocks that never change once they are full, so that no reader is disturbed.

    Blocks grow, since a layout may stand for a tick or for all day.

    Args:
        width: numbers in a row.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._count = 0
        self._room = 0
        self._growing: NDArray[np.float64] = np.empty((0, width))
        # In one, so that a reader sees both as they were or both as they are.
        self._index: tuple[list[int], list[_Block | _Packed]] = ([], [])

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self._count

    def append(self, row: NDArray[np.float64]) -> None:
        """Add a row."""
        begins, _blocks = self._index
        if self._count == self._room:
            self._grow()
        self._growing[self._count - begins[-1]] = row
        self._count += 1

    def _grow(self) -> None:
        """Begin a block, after the one that is full."""
        begins, blocks = self._index
        if blocks:
            blocks[-1] = _packed(self._growing)
        size = min(_LARGEST, max(_FIRST, self._count))
        self._growing = np.empty((size, self.width))
        begins.append(self._room)
        blocks.append(_Block(self._growing))
        self._room += size

    def complete(self) -> None:
        """Take note that no more rows come, and need no room for more."""
        begins, blocks = self._index
        if not blocks:
            return
        if self._count <= _LARGEST:
            every = np.stack([self.row(index) for index in range(self._count)])
            self._index = ([0], [_packed(every)])
        else:
            blocks[-1] = _packed(self._growing[: self._count - begins[-1]].copy())
        self._growing = np.empty((0, self.width))
        self._room = self._count

    def row(self, index: int) -> NDArray[np.float64]:
        """Return a row, of which nothing may be changed."""
        begins, blocks = self._index
        block = bisect_right(begins, index) - 1
        return blocks[block].row(index - begins[block])

    def columns(self, places: Places, low: int, high: int) -> NDArray[np.float64]:
        """Return a copy of some columns from row `low` up to `high`, one after the other."""
        begins, blocks = self._index
        parts: list[NDArray[np.float64]] = []
        block = bisect_right(begins, low) - 1
        while low < high:
            begin = begins[block]
            end = begins[block + 1] if block + 1 < len(begins) else high
            part = blocks[block].take(places, low - begin, min(high, end) - begin)
            parts.append(part)
            low += len(part)
            block += 1
        if not parts:
            return np.empty((len(places), 0))
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return np.ascontiguousarray(whole.T)
