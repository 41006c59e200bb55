"""The highest and lowest value over the trailing window, whoever scrapes and however often.

A scrape every 15 s misses a peak of one second; these two series do not.
"""

from collections import deque
from math import isnan, nan

from agent.catalog import PEAKS
from agent.model import EMPTY_READING, Frame, Reading


class Extremum:
    """Sliding maximum of a series in amortised constant time (a monotonic queue).

    The queue holds those values that no later value has overtaken; its head is the maximum.
    """

    def __init__(self) -> None:
        self._queue: deque[tuple[float, float]] = deque()

    def push(self, time: float, value: float, window: float) -> float:
        """Take a value and return the maximum over `(time - window, time]`.

        NaN is no value: it is the maximum only where the window holds nothing else. A time
        before the last one, when the host's clock was set back, drops what came after it.
        """
        queue = self._queue
        while queue and (queue[-1][1] <= value or queue[-1][0] > time):
            queue.pop()
        if not isnan(value):
            queue.append((time, value))
        while queue and queue[0][0] <= time - window:
            queue.popleft()
        return queue[0][1] if queue else nan


class Peaks:
    """Publishes `_max` and `_min` of every metric that the catalogue marks with `peaks`.

    A minimum is the maximum of the negated values. A series that is absent from a frame loses
    its window: what comes back later is a new beginning.

    Args:
        window: seconds.
    """

    def __init__(self, window: float) -> None:
        self.window = window
        self._seen: object = None
        self._positions: list[int] = []
        self._windows: dict[int, tuple[Extremum, Extremum]] = {}
        self._active: list[tuple[Extremum, Extremum]] = []
        self._ids: list[int] = []

    def observe(self, frame: Frame) -> Reading:
        """Return the extremes at the time of the frame."""
        if frame.ids is not self._seen:
            self._prepare(frame)
        if not self._positions:
            return EMPTY_READING
        time, window, source = frame.time, self.window, frame.values
        values: list[float] = []
        for position, (highest, lowest) in zip(self._positions, self._active, strict=True):
            value = source[position]
            values.append(highest.push(time, value, window))
            values.append(-lowest.push(time, -value, window))
        return Reading(self._ids, values)

    def _prepare(self, frame: Frame) -> None:
        """Find the series with peaks among those of the frame."""
        self._seen = frame.ids
        table = frame.table
        self._positions = []
        self._ids = []
        kept: dict[int, tuple[Extremum, Extremum]] = {}
        for position, series_id in enumerate(frame.ids):
            series = table[series_id]
            if series.metric not in PEAKS:
                continue
            highest, lowest = PEAKS[series.metric]
            self._positions.append(position)
            self._ids += (
                table.intern(highest, series.labels),
                table.intern(lowest, series.labels),
            )
            kept[series_id] = self._windows.get(series_id) or (Extremum(), Extremum())
        self._windows = kept
        self._active = list(kept.values())
