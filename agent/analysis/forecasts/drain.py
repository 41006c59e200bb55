"""When something that only shrinks is used up, told from what merely comes and goes.

Free memory is kept as its highest and lowest value of stretches of time, at several scales: the
highest free is the floor of what is used, and only a floor that rises again and again is a leak. A
single step (a pool that is reserved, a cache that fills once) moves one stretch and not the others;
a sawtooth has been as low before and came back.
"""

from collections import deque
from dataclasses import dataclass
from math import inf
from typing import Final

import numpy as np

from agent.analysis.forecasts.passage import (
    HIGH,
    LOW,
    PATHS,
    Interval,
    normal,
    stratified,
)
from agent.analysis.median import median
from agent.analysis.window import Column

HORIZON: Final = 86_400.0
"""Seconds beyond which nothing is foreseen."""

STRETCH: Final = 15.0
"""Seconds of the shortest stretch."""

_SCALES: Final = 9
_SEGMENTS: Final = 13
_RISING: Final = 10
_EARLY: Final = 4
_SIGNIFICANT: Final = 4.0
_FORESIGHT: Final = 8.0
_NARROWED: Final = 0.5
_GAP: Final = 120.0
_TINY: Final = 1e-4

_DRIFT: Final = normal(stratified(21))
_NOISE: Final = normal(stratified(22))
_BRANCH: Final = stratified(23)


@dataclass(frozen=True, slots=True)
class Trend:
    """A steady loss.

    Attributes:
        rate: units lost a second.
        error: its standard error.
        scatter: standard deviation of the loss over one second, growing with the root of time.
        seconds: for how long it was seen.
    """

    rate: float
    error: float
    scatter: float
    seconds: float


class Drain:
    """Follows one quantity that must not reach 0."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        """Begin anew."""
        self._scales: list[deque[tuple[float, float]]] = [
            deque(maxlen=_SEGMENTS) for _ in range(_SCALES)
        ]
        self._half: list[tuple[float, float] | None] = [None] * _SCALES
        self._begun: float | None = None
        self._last = 0.0
        self._high = 0.0
        self._low = 0.0
        self._made: tuple[float, Interval | None] = (0.0, None)

    def observe(self, time: float, free: float, total: float) -> Interval | None:
        """Return when it is used up, or None where it does not go that way.

        Args:
            time: Unix seconds.
            free: what is left.
            total: what there is, in the same unit; losses below a ten-thousandth of it in a stretch
                are none.
        """
        if self._begun is not None and not 0.0 <= time - self._last <= _GAP:
            self._forget()  # a gap, or a clock that was set
        self._last = time
        if self._begun is None:
            self._begun, self._high, self._low = time, free, free
        elif time - self._begun >= STRETCH:
            self._close(0, self._high, self._low)
            self._begun, self._high, self._low = time, free, free
            self._made = (time, self._foresee(total))
        else:
            self._high, self._low = max(self._high, free), min(self._low, free)
        then, made = self._made
        return made and made.later(time - then)

    def _close(self, scale: int, high: float, low: float) -> None:
        """Keep a stretch, and with its neighbour the one of twice the length."""
        self._scales[scale].append((high, low))
        if scale + 1 == _SCALES:
            return
        half = self._half[scale]
        if half is None:
            self._half[scale] = (high, low)
            return
        self._half[scale] = None
        self._close(scale + 1, max(high, half[0]), min(low, half[1]))

    def _foresee(self, total: float) -> Interval | None:
        """Return the first passage of what is left."""
        trend = self._trend(total)
        if trend is None:
            return None
        newest = list(self._scales[0])[-3:]
        left = min(low for _high, low in newest)
        if left <= 0:
            return None
        times = passage(left, trend)
        ordered = np.sort(times)
        low, middle, high = (float(ordered[int(share * PATHS)]) for share in (LOW, 0.5, HIGH))
        if middle > min(HORIZON, _FORESIGHT * trend.seconds):
            return None
        # Losses of neighbouring stretches make up for each other, so that their mean is surer than
        # if each were a draw of its own: on simulated leaks nine truths in ten lay that close.
        low = middle - _NARROWED * (middle - low)
        high = middle + _NARROWED * (high - middle)
        return Interval(low, middle, high if high <= HORIZON else inf)

    def _trend(self, total: float) -> Trend | None:
        """Return the loss over the longest time for which it was one, or None."""
        found: Trend | None = None
        for scale, kept in enumerate(self._scales):
            if len(kept) < _SEGMENTS:
                break
            length = STRETCH * 2.0**scale
            highs = np.array([high for high, _low in kept])
            trend = steady_loss(-np.diff(highs), length, total)
            if trend is None or self._was_lower(scale, float(kept[-1][0])):
                if found is not None:
                    break
                continue
            if found is not None:
                apart = abs(trend.rate - found.rate)
                if apart > 3.0 * (trend.error**2 + found.error**2) ** 0.5:
                    break
            found = trend
        return found

    def _was_lower(self, scale: int, high: float) -> bool:
        """Return whether there was as little left as now before or early in the time of a scale.

        Then it came back, as what now goes may do; as it does if the newest stretch has it back.
        """
        kept = list(self._scales[scale])
        if self._scales[0][-1][0] > kept[0][0] or min(low for _, low in kept[:_EARLY]) <= high:
            return True
        covered = _SEGMENTS * 2**scale
        for longer in range(scale + 1, _SCALES):
            inside = -(-covered // 2**longer)
            for _high, low in list(self._scales[longer])[:-inside]:
                if low <= high:
                    return True
        return False


def steady_loss(losses: Column, length: float, total: float) -> Trend | None:
    """Return the trend in losses of consecutive stretches, or None where they are none.

    Nearly all must be losses, and what is more than thrice the median is cut to that: a step is not
    allowed to look like a slope.

    Args:
        losses: shape (stretches,).
        length: seconds of a stretch.
        total: see `Drain.observe`.
    """
    middle = median(losses)
    if middle <= _TINY * total or int((losses > 0.1 * middle).sum()) < _RISING:
        return None
    cut = np.clip(losses, -3.0 * middle, 3.0 * middle)
    many = len(cut)
    mean = float(cut.mean())
    spread = float(cut.std(ddof=1))
    error = max(spread, 0.02 * mean) / many**0.5
    if mean < _SIGNIFICANT * error:
        return None
    return Trend(mean / length, error / length, spread / length**0.5, length * many)


def passage(left: float, trend: Trend) -> Column:
    """Return times at which a Brownian motion with uncertain drift has lost so much.

    The first passage of a drift known exactly is inverse Gaussian with mean `left / rate` and shape
    `(left / scatter)**2`; drawn by the roots of Michael, Schucany and Haas (1976), fixed quantiles.

    Returns:
        Shape (PATHS,), infinite where the drift leads away.
    """
    # The quantiles of Student's t at eleven degrees of freedom, by their first correction.
    drawn = _DRIFT * (1.0 + (_DRIFT * _DRIFT + 1.0) / 44.0)
    rate = trend.rate + trend.error * drawn
    good = rate > 0
    mean = left / np.where(good, rate, 1.0)
    shape = (left / max(trend.scatter, 1e-9)) ** 2
    square = _NOISE * _NOISE
    ratio = mean * square / (2.0 * shape)
    small = mean * (1.0 + ratio - np.sqrt(ratio * (ratio + 2.0)))
    small = np.maximum(small, 1e-6 * mean)
    times = np.where(mean / (mean + small) >= _BRANCH, small, mean * mean / small)
    return np.where(good, times, np.inf)
