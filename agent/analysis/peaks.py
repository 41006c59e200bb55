"""The highest and lowest value over the trailing window, whoever scrapes and however often.

A scrape every 15 s misses a peak of one second; these two series do not.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.catalog import PEAKS
from agent.model import EMPTY_READING, Frame, Reading

Row: TypeAlias = NDArray[np.float64]
"""A value of each of some series."""

_NONE: Final = np.empty(0)


class Extrema:
    """Sliding maxima of some series at once, in amortised constant time for each.

    Two stacks make a queue: of the older rows it is known what each of them and those that came
    after it, up to the newer ones, have for maxima, so that the oldest can leave; of the newer ones
    their maxima are known. When none of the older ones is left, all are taken for older ones.
    """

    def __init__(self) -> None:
        self._rows: deque[tuple[float, Row]] = deque()
        self._older: deque[Row] = deque()
        self._newer = _NONE

    def push(self, time: float, row: Row, window: float) -> Row:
        """Take a row and return the maxima over `(time - window, time]`.

        NaN is no value: it is the maximum only where the window holds nothing else. A time
        before the last one, when the host's clock was set back, drops what came after it.
        """
        rows, older = self._rows, self._older
        if rows and rows[-1][0] > time:
            while rows and rows[-1][0] > time:
                rows.pop()
            older.clear()
        self._newer = np.fmax(self._newer, row) if len(self._newer) else row
        rows.append((time, row))
        while rows[0][0] <= time - window:
            rows.popleft()
            if older:
                older.popleft()
        if not older:
            self._turn()
        return np.fmax(older[0], self._newer) if len(self._newer) else older[0]

    def choose(self, columns: Sequence[int]) -> None:
        """Go on with some of the series in another order; -1 is one that has no past."""
        chosen = np.array(columns, dtype=np.intp)
        rows = ((time, np.append(row, np.nan)[chosen]) for time, row in self._rows)
        self._rows = deque(rows)
        self._older.clear()
        self._newer = _NONE

    def _turn(self) -> None:
        """Take all rows for older ones."""
        newest_first = np.array([row for _time, row in reversed(self._rows)])
        self._older.extendleft(np.fmax.accumulate(newest_first, axis=0))
        self._newer = _NONE


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
        self._pick: Callable[[Sequence[float]], tuple[float, ...]] | None = None
        self._series: list[int] = []
        self._signs = _NONE
        self._extrema = Extrema()
        self._ids: list[int] = []

    def observe(self, frame: Frame) -> Reading:
        """Return the extremes at the time of the frame."""
        if frame.ids is not self._seen:
            self._prepare(frame)
        if self._pick is None:
            return EMPTY_READING
        row = np.array(self._pick(frame.values), dtype=np.float64) * self._signs
        found = self._extrema.push(frame.time, row, self.window) * self._signs
        return Reading(self._ids, found.tolist())

    def _prepare(self, frame: Frame) -> None:
        """Find the series with peaks among those of the frame."""
        self._seen = frame.ids
        table = frame.table
        positions: list[int] = []
        self._ids = []
        present: list[int] = []
        for position, series_id in enumerate(frame.ids):
            series = table[series_id]
            if series.metric not in PEAKS:
                continue
            highest, lowest = PEAKS[series.metric]
            # Once for its maximum, once for its minimum.
            positions += (position, position)
            self._ids += (
                table.intern(highest, series.labels),
                table.intern(lowest, series.labels),
            )
            present.append(series_id)
        if present != self._series:
            places = {one: (2 * at, 2 * at + 1) for at, one in enumerate(self._series)}
            kept = chain.from_iterable(places.get(one, (-1, -1)) for one in present)
            self._extrema.choose([*kept])
            self._series = present
        self._signs = np.tile((1.0, -1.0), len(present))
        self._pick = itemgetter(*positions) if positions else None
