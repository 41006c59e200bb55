"""What fill of a KV cache was borne, and for how long, without the cache being exhausted."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.forecasts.passage import stratified
from agent.analysis.median import median
from agent.analysis.window import Column

_LEVELS: Final = 25
_REMEMBERED: Final = 3600.0
_LONGEST_GAP: Final = 60.0
_SELDOM: Final = 1.0 / stratified(11) - 1.0


class Endurance:
    """Keeps the seconds spent at each mean fill since the cache was full last.

    Chance that did not fill the cache in all that time will hardly do so in the next minute: where
    only a fluctuation reaches the limit, its rate is that of the model averaged with what was seen,
    which is no event in that time. What the expectation itself reaches is not touched.
    """

    def __init__(self) -> None:
        self._seconds = np.zeros(_LEVELS)
        self._mean = 0.0
        self._time: float | None = None

    def take(self, time: float, usage: float, *, full: bool, lifetime: float) -> None:
        """Take note of the usage at a time; `lifetime` is that of a request, in seconds."""
        passed = 0.0 if self._time is None else min(max(time - self._time, 0.0), _LONGEST_GAP)
        self._time = time
        self._mean += (usage - self._mean) * min(passed / (2.0 * lifetime), 1.0)
        self._seconds *= 1.0 - passed / _REMEMBERED
        if full:
            self._seconds[:] = 0.0
        self._seconds[min(max(int(self._mean * _LEVELS), 0), _LEVELS - 1)] += passed

    def temper(self, times: Column, expected: Column, *, by_chance: NDArray[np.bool_]) -> Column:
        """Return later times for those paths that reach the limit by chance.

        Args:
            times: when each path reaches it, shape (paths,).
            expected: expected fill of each path then.
            by_chance: which of them reach it only by chance.
        """
        if not by_chance.any():
            return times
        usual = max(median(np.minimum(times[by_chance], _REMEMBERED)), 1.0)
        lowest = np.clip((expected * _LEVELS).astype(np.intp), 0, _LEVELS - 1)
        borne = np.cumsum(self._seconds[::-1])[::-1][lowest]
        later = np.maximum(times * (1.0 + borne / usual), borne * _SELDOM)
        return np.where(by_chance, later, times)
