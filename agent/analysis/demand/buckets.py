"""Means of five minutes, as far back as they are of use."""

from math import isfinite, nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.demand.week import SLOTS, WEEK, week_begin, week_of
from agent.analysis.window import Column

WEEKS: Final = 13
"""Weeks that are kept: what the history keeps of five-minute windows by default."""

_SIZE: Final = WEEKS * WEEK


class Buckets:
    """A ring of means by their number; NaN where nothing is known.

    Single precision: 105 kB.
    """

    def __init__(self) -> None:
        self._values: NDArray[np.float32] = np.full(_SIZE, np.nan, dtype=np.float32)
        self.begin = 0
        """The number of the oldest bucket that can be known."""
        self.end = 0
        """The number after that of the newest one; 0 while there is none."""
        self.known = 0
        """How many are known."""

    def put(self, number: int, value: float) -> None:
        """Take over the mean of a bucket; one that is older than all that are kept is dropped."""
        if self.end == 0:
            self.begin, self.end = number, number
        if number >= self.end:
            for gone in range(max(self.end, number + 1 - _SIZE), number + 1):
                self._set(gone, nan)
            self.end = number + 1
            self.begin = max(self.begin, self.end - _SIZE)
        if number >= self.begin:
            self._set(number, value)

    def _set(self, number: int, value: float) -> None:
        """Write a value and count it."""
        place = number % _SIZE
        self.known += isfinite(value) - isfinite(self._values[place])
        self._values[place] = value

    def between(self, begin: int, end: int) -> Column:
        """Return the means from one number to before another; NaN where nothing is known."""
        found = np.full(max(end - begin, 0), np.nan)
        first, last = max(begin, self.begin), min(end, self.end)
        if first < last:
            found[first - begin : last - begin] = self._values[np.arange(first, last) % _SIZE]
        return found

    def weeks(self, until: int) -> tuple[int, Column]:
        """Return the first week and the means, shape (weeks, 7, SLOTS).

        Args:
            until: number of the bucket before which they end; the rest of its week is NaN.
        """
        first, last = week_of(self.begin), week_of(min(until, self.end) - 1) + 1
        begin = week_begin(first)
        values = self.between(begin, begin + (last - first) * WEEK)
        values[max(until - begin, 0) :] = np.nan
        return first, values.reshape(-1, 7, SLOTS)
