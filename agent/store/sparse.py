"""Ticks at which only some series have values: what rules record, each at its own interval."""

import threading
from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from agent.store.segment import Column, Segment

# Records that wait are taken over when somebody looks, or when there are so many.
_WAITING: Final = 256


@dataclass(eq=False, slots=True)
class SparseSegment(Segment):
    """A segment that is kept by series.

    Some dozen series are recorded at each tick and looked at every half minute. To add a number to
    each of as many arrays is dear, so what is recorded waits until somebody looks.
    """

    _by_series: dict[int, Column] = field(default_factory=dict)
    _waiting: "deque[tuple[int, Sequence[int], array[float]]]" = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, time: float, ids: Sequence[int], values: Sequence[float]) -> None:
        """Take over values for a tick, the last one or a new one."""
        if len(ids) != len(values):
            raise ValueError("as many values as series are recorded")
        if not self.times or time > self.times[-1]:
            self.times.append(time)
        self._waiting.append((len(self.times) - 1, ids, array("d", values)))
        self.present.add(ids)
        if len(self._waiting) >= _WAITING:
            self._take_over()

    def _take_over(self) -> None:
        """Take over what waits; for any thread."""
        with self._lock:
            while self._waiting:
                self._take(*self._waiting.popleft())

    def _take(self, tick: int, ids: Sequence[int], values: "array[float]") -> None:
        """Take over the values of a tick, none before those of one that was taken over."""
        by_series = self._by_series
        for series_id, value in zip(ids, values, strict=True):
            column = by_series.get(series_id)
            if column is None:
                column = by_series[series_id] = Column([], array("d"))
            runs = column.runs
            if not runs or runs[-1][1] < tick:
                column.add(tick, (value,))
            elif runs[-1][1] > tick:
                column.values[-1] = value
            else:
                column.values.append(value)
                runs[-1] = (runs[-1][0], tick + 1)

    def complete(self) -> None:
        """Take note that nothing is recorded any more."""
        self._take_over()

    def count(self) -> int:
        """Return how many values there are."""
        self._take_over()
        return sum(len(column.values) for column in self._by_series.values())

    def columns(self, ids: Sequence[int], start: int, end: int) -> dict[int, Column]:
        """Return the columns of these series over the ticks from `start` up to `end`."""
        self._take_over()
        found: dict[int, Column] = {}
        for series_id in ids:
            column = self._by_series.get(series_id)
            cut = None if column is None else _cut(column, start, end)
            if cut is not None:
                found[series_id] = cut
        return found


def _cut(column: Column, start: int, end: int) -> Column | None:
    """Return a copy of the part of a column between two ticks, None for an empty one."""
    runs = list(column.runs)
    low = bisect_right(runs, start, key=itemgetter(1))
    high = bisect_left(runs, end, low, key=itemgetter(0))
    part = runs[low:high]
    if not part or start >= end:
        return None
    passed, size = (sum(last - first for first, last in some) for some in (runs[:low], part))
    early, late = max(start - part[0][0], 0), max(part[-1][1] - end, 0)
    part[0] = (part[0][0] + early, part[0][1])
    part[-1] = (part[-1][0], part[-1][1] - late)
    return Column(part, column.values[passed + early : passed + size - late])
