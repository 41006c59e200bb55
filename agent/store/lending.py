"""What memory holds, lent to another process: by numbers, so that nothing is matched here."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.model import SeriesTable
from agent.store.segment import Column, Segment
from agent.store.series import STALE
from agent.store.sparse import SparseSegment

_NAMES: Final = 256
"""Series of which the labels are told in one go."""

_VALUES: Final = 16_384
"""Values that are copied out of the rows in one go: in half a millisecond."""

_TICKS: Final = 64
"""Rows of which values are copied in one go: each lies elsewhere, which costs more than a copy."""

_COLUMNS: Final = 128
"""Series whose records are taken out in one go: each costs some microseconds."""


class Told(NamedTuple):
    """A series by its number: the name of its samples and its own labels."""

    number: int
    name: str
    pairs: Sequence[tuple[str, str]]


class Block(NamedTuple):
    """Values of some series at ticks that follow one another.

    Attributes:
        tick: the first, counted from that of the segment.
        ids: the series.
        values: a row a series, a column a tick.
    """

    tick: int
    ids: "array[int]"
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lent:
    """The segments in memory at one moment; they may grow, what is read of them stands.

    Whoever goes through what is yielded here may let others run after each piece.

    Attributes:
        table: explains the series.
        segments: in the order of writing.
        since: milliseconds; memory has all there is after it.
        stored: what is older may be read from the file.
    """

    table: SeriesTable
    segments: Sequence[Segment]
    since: float
    stored: bool

    def live(self) -> "array[int]":
        """Return the numbers of all series that are known, ascending."""
        return array("i", self.table)

    def names(self, after: int) -> Iterator[list[Told]]:
        """Yield the series whose number is above one, some at a time."""
        fresh = [number for number in self.table if number > after]
        for begin in range(0, len(fresh), _NAMES):
            yield [
                Told(number, series.sample_name, series.label_pairs())
                for number in fresh[begin : begin + _NAMES]
                if number in self.table
                for series in (self.table[number],)
            ]


def blocks(segment: Segment, ids: "array[int]", low: int, high: int) -> Iterator[Block]:
    """Yield the values of some series at the ticks from `low` up to `high`, in the order of ticks.

    A series that has ended has the marker for that. Nothing is done series by series, as in
    `Segment.columns`: it is another process that wants to know.
    """
    spans = list(segment.spans)
    numbers = np.frombuffer(ids, dtype=np.intc) if ids else np.empty(0, dtype=np.intc)
    for place, span in enumerate(spans):
        last = spans[place + 1].first if place + 1 < len(spans) else high
        begin, end = max(span.first, low), min(last, high)
        if begin >= end:
            continue
        if span.first in segment.ended and span.first >= low:
            ended = numbers[np.isin(numbers, segment.ended[span.first])]
            yield Block(span.first, _array(ended), np.full((len(ended), 1), STALE))
        columns = span.layout.find(ids)
        here = np.nonzero(columns >= 0)[0]
        for tick in range(begin, end, _TICKS):
            until = min(tick + _TICKS, end)
            size = _VALUES // (until - tick)
            for at in range(0, len(here), size):
                some = here[at : at + size]
                values = span.columns(columns[some], tick, until)
                yield Block(tick, _array(numbers[some]), values)


def _array(numbers: NDArray[np.intc]) -> "array[int]":
    """Return numbers as bytes that can be sent."""
    found = array("i")
    found.frombytes(numbers.astype(np.intc).tobytes())
    return found


def records(
    segment: SparseSegment, ids: Sequence[int], low: int, high: int
) -> Iterator[dict[int, Column]]:
    """Yield the columns of some series over the ticks from `low` up to `high`, some at a time."""
    for begin in range(0, len(ids), _COLUMNS):
        yield segment.columns(ids[begin : begin + _COLUMNS], low, high)
