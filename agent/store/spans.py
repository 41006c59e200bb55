"""What of overlapping stretches of time counts: where two cover a moment, the later written.

Stretches overlap only when the host's clock went back.
"""

import heapq
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Piece(NamedTuple):
    """A part of a stretch of time that counts.

    Attributes:
        stretch: which of the stretches.
        first: first moment, in milliseconds.
        last: last moment, itself included.
    """

    stretch: int
    first: int
    last: int


def visible(stretches: Sequence[tuple[int, int]], first: int, last: int) -> list[Piece]:
    """Return the parts that count between two moments, in the order of time.

    Args:
        stretches: first and last moment of each, both included, in the order of writing.
        first: first moment that is wanted, in milliseconds.
        last: last moment that is wanted, itself included.
    """
    if first > last:
        return []
    if all(before[1] < after[0] for before, after in pairwise(stretches)):
        pieces = [Piece(index, begin, end) for index, (begin, end) in enumerate(stretches)]
    else:
        pieces = _swept(stretches)
    return [
        piece if begin >= first and end <= last else Piece(index, max(begin, first), min(end, last))
        for piece in pieces
        for index, begin, end in (piece,)
        if begin <= last and end >= first
    ]


def _swept(stretches: Sequence[tuple[int, int]]) -> list[Piece]:
    """Go through time once, with the stretches under way in a heap, the last written on top."""
    begins: dict[int, list[int]] = {}
    for index, (begin, _end) in enumerate(stretches):
        begins.setdefault(begin, []).append(index)
    moments = sorted({*begins, *(end + 1 for _begin, end in stretches)})
    under_way: list[int] = []
    pieces: list[Piece] = []
    for moment, following in pairwise(moments):
        for index in begins.get(moment, ()):
            heapq.heappush(under_way, -index)
        while under_way and stretches[-under_way[0]][1] < moment:
            heapq.heappop(under_way)
        if not under_way:
            continue
        index = -under_way[0]
        if pieces and (pieces[-1].stretch, pieces[-1].last) == (index, moment - 1):
            pieces[-1] = Piece(index, pieces[-1].first, following - 1)
        else:
            pieces.append(Piece(index, moment, following - 1))
    return pieces
