"""What is asked apart from surges: what rises faster than a day does is one until it lasts."""

from collections import deque
from collections.abc import Iterator
from statistics import fmean
from typing import Final

GROWTH: Final = 0.04
"""Share by which what is usual rises in a minute at most."""

LASTING: Final = 900.0
"""Seconds after which a demand is usual, however it came."""

_SPAN: Final = 120.0  # seconds whose mean is what it follows
_MINUTE: Final = 60.0


class Usual:
    """Follows the demand on a model.

    What is usual falls with the demand at once and rises by no more than `GROWTH` a minute, or to
    the least that was asked for as long as `LASTING`. So a surge to the 1.8-fold is one for a
    quarter of an hour, and the rise of a day, a few per cent in minutes even where it is steep, is
    none.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()
        self._means: deque[tuple[float, float]] = deque()
        self._level: float | None = None

    @property
    def level(self) -> float:
        """What was usual at last, in tokens a minute; 0 before anything is known."""
        return self._level or 0.0

    def take(self, time: float, demand: float) -> float:
        """Take note of the demand; return what of it is usual, in tokens a minute.

        Args:
            time: Unix seconds; one before the newest begins anew, as the clock was set.
            demand: tokens a minute.
        """
        if self._seen and time < self._seen[-1][0]:
            self._seen.clear()
            self._means.clear()
            self._level = None
        # Beyond that it is the mean in any case, and the power of years is no number.
        passed = min(time - self._seen[-1][0], LASTING) if self._seen else 0.0
        mean = fmean(_last(self._seen, time, demand, seconds=_SPAN))
        lasting = min(_last(self._means, time, mean, seconds=LASTING))
        level = mean if self._level is None else self._level * (1.0 + GROWTH) ** (passed / _MINUTE)
        self._level = min(mean, max(level, lasting))
        return self._level


def _last(
    kept: deque[tuple[float, float]], time: float, value: float, *, seconds: float
) -> Iterator[float]:
    """Keep a value and return those of the last seconds."""
    kept.append((time, value))
    while kept[0][0] <= time - seconds:
        kept.popleft()
    return (one for _time, one in kept)
