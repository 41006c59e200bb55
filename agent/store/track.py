"""Values of series that are asked for at every tick, in one block however their rows were laid out.

Rows change with each series that comes or goes. To take a window out of thirty layouts costs
thirty times as much as out of one; to add the newest values to those of the tick before, next to
nothing.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.store.layout import Selection
from agent.store.segment import Span

_SPARE: Final = 16  # columns beyond what was asked for: ticks come a little early or late


class Piece(NamedTuple):
    """Ticks of one span: from `low` up to `high`, counted from the first of the segment."""

    span: Span
    low: int
    high: int


class Track:
    """The values of some series from some tick on.

    Args:
        ids: the series.
        first: number of the first tick.

    Attributes:
        ids: the series.
        first: number of the first tick that is kept.
        next: number of the tick that would be added next.
    """

    def __init__(self, ids: tuple[int, ...], first: int) -> None:
        self.ids = ids
        self.first = first
        self.next = first
        self._begin = 0
        self._reach = 0
        self._block: NDArray[np.float64] = np.empty((len(ids), 0))

    def add(self, values: NDArray[np.float64]) -> None:
        """Take over the values of further ticks: a row a series, a column a tick."""
        count = values.shape[1]
        end = self._begin + self.next - self.first
        if end + count > self._block.shape[1]:
            end = self._make_room(count)
        self._block[:, end : end + count] = values
        self.next += count

    def _make_room(self, count: int) -> int:
        """Let go of the ticks that nobody asked for, and return where the next one belongs."""
        end = self._begin + self.next - self.first
        kept = min(self.next - self.first, self._reach + _SPARE)
        room: NDArray[np.float64] = np.empty((len(self.ids), kept + count + kept // 4 + _SPARE))
        room[:, :kept] = self._block[:, end - kept : end]
        self._block, self._begin, self.first = room, 0, self.next - kept
        return kept

    def since(self, first: int) -> NDArray[np.float64]:
        """Return the values from a tick on, of which nothing may be changed."""
        self._reach = max(self._reach, self.next - first)
        begin = self._begin + first - self.first
        return self._block[:, begin : self._begin + self.next - self.first]


def columns(selection: Selection, pieces: Iterable[Piece]) -> NDArray[np.float64]:
    """Return the values of series in these rows."""
    parts: list[NDArray[np.float64]] = []
    for span, low, high in pieces:
        places = span.layout.places(selection)
        here = places >= 0
        if here.all():
            values = span.columns(places, low, high)
        else:
            values = np.full((len(places), high - low), np.nan)
            values[here] = span.columns(places[here], low, high)
        parts.append(values)
    return parts[0] if len(parts) == 1 else np.concatenate(parts[::-1], axis=1)
