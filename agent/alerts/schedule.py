"""When each group of rules is due."""

from collections.abc import Iterator, Sequence
from typing import Final

# The golden section: its multiples lie far apart within a whole, however many there are.
_FRACTION: Final = 0.618034


class Schedule:
    """Says at each tick which groups are due.

    Args:
        intervals: seconds between evaluations of each group; up to a tick is every tick.
        tick: seconds between ticks.
        stagger: spread the groups over their intervals, aligned with the clock; else every group
            is due at the first tick.
        start: time of the first tick, if it has been.
    """

    def __init__(
        self,
        intervals: Sequence[float],
        tick: float,
        *,
        stagger: bool = True,
        start: float | None = None,
    ) -> None:
        self._tick = tick
        self._stagger = stagger
        self._intervals = intervals
        self._start = start
        self._last: list[int | None] = [None] * len(intervals)
        self._offsets = [0.0] * len(intervals)
        long = [place for place, every in enumerate(intervals) if every > tick]
        if stagger:
            for number, place in enumerate(long):
                self._offsets[place] = intervals[place] * (number * _FRACTION % 1.0)

    def due(self, time: float) -> Iterator[int]:
        """Yield the places of the groups that are due, in the order of the rule files."""
        if self._start is None:
            self._start = time
        for place, interval in enumerate(self._intervals):
            if interval <= self._tick:
                yield place
                continue
            anchor = 0.0 if self._stagger else self._start
            # Half a tick of tolerance, as ticks come a little early or late.
            slot = int((time + self._tick / 2 - anchor - self._offsets[place]) // interval)
            last, self._last[place] = self._last[place], slot
            if slot != last and not (last is None and self._stagger):
                yield place

    def set_back(self) -> None:
        """Take note that the clock went back."""
        self._start = None
