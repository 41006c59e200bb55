"""When a random level first reaches a limit: quantiles from a fixed set of paths.

The level is an expectation that differs from path to path, because its drift is known only so well,
plus fluctuation about it that returns with the time in which the requests of now are replaced by
others (an Ornstein-Uhlenbeck process in units of that time). Where the fluctuation does not return
and the drift is one number, this is the inverse Gaussian law; with returning fluctuation a level
that is high and steady does not seem to wander off to its limit, as it would for a random walk.

The paths are drawn once with a fixed seed, so that the same columns give the same answer. The dice
are those of the standard library: numpy's take 4 MB for some thousand numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf, isinf, prod
from random import Random
from typing import Final

import numpy as np

from agent.analysis.window import Column

PATHS: Final = 64
LOW: Final = 0.025
HIGH: Final = 0.95
LIKELY: Final = 0.5

_FINE: Final = 0.2
_SEED: Final = 20_261


@dataclass(frozen=True, slots=True)
class Interval:
    """Seconds until something happens.

    Attributes:
        low: before that it comes with 5 % at most.
        estimate: by then it comes as likely as not.
        high: by then it comes with 95 %; infinite where that is beyond the horizon.
    """

    low: float
    estimate: float
    high: float

    def later(self, seconds: float) -> "Interval":
        """Return what is left of it after some seconds."""
        return Interval(
            max(self.low - seconds, 0.0),
            max(self.estimate - seconds, 0.0),
            max(self.high - seconds, 0.0),
        )

    def as_json(self) -> dict[str, float | None]:
        """Return it with units in the names; what is beyond the horizon is None."""
        return {
            "low_seconds": round(self.low, 3),
            "estimate_seconds": round(self.estimate, 3),
            "high_seconds": None if isinf(self.high) else round(self.high, 3),
        }


NOW: Final = Interval(0.0, 0.0, 0.0)
"""It is happening."""


def stratified(salt: int) -> Column:
    """Return evenly spaced quantiles of 0 to 1 in an order of their own, shape (PATHS,)."""
    return (shuffled(PATHS, salt=salt) + 0.5) / PATHS


def shuffled(count: int, *, salt: int) -> Column:
    """Return the numbers from 0 up to a count, in an order of their own."""
    order = [*range(count)]
    Random(_SEED + salt).shuffle(order)  # noqa: S311 - no secret
    return np.array(order, dtype=np.float64)


def shocks(shape: Sequence[int], *, salt: int) -> Column:
    """Return draws from the standard normal distribution."""
    dice = Random(_SEED + salt)  # noqa: S311 - no secret
    return np.array([dice.gauss(0.0, 1.0) for _draw in range(prod(shape))]).reshape(shape)


def normal(quantiles: Column) -> Column:
    """Return the standard normal quantiles by Acklam's form refined by none: error below 2e-4.

    The rational form is that of Hastings, 26.2.23 in Abramowitz and Stegun.
    """
    tail = np.minimum(quantiles, 1.0 - quantiles)
    root = np.sqrt(-2.0 * np.log(tail))
    above = 2.515517 + root * (0.802853 + root * 0.010328)
    below = 1.0 + root * (1.432788 + root * (0.189269 + root * 0.001308))
    return np.where(quantiles < 0.5, -1.0, 1.0) * (root - above / below)  # noqa: PLR2004 - half


def excursions(grid: Column, *, salt: int) -> Column:
    """Return the highest value of unit Ornstein-Uhlenbeck paths within each gap of a grid.

    Args:
        grid: ascending times in units of the time in which the process forgets, the first above 0.
            The process is 0 at time 0 and has the variance `1 - exp(-2 t)`; the values are in units
            of the standard deviation at the end of their gap.
        salt: which set of paths.

    Returns:
        Shape (PATHS, len(grid)).
    """
    gaps = np.diff(grid, prepend=0.0)
    counts = np.clip(np.ceil(gaps / _FINE), 1, 400).astype(int)
    drawn = iter(shocks((int(counts.sum()), PATHS), salt=salt))
    found = np.empty((PATHS, len(grid)))
    level = np.zeros(PATHS)
    for at, (gap, steps) in enumerate(zip(gaps.tolist(), counts.tolist(), strict=True)):
        keep = float(np.exp(-gap / steps))
        spread = float(np.sqrt(1.0 - keep * keep))
        highest = np.full(PATHS, -np.inf)
        for shock in islice(drawn, steps):
            level = keep * level + spread * shock
            highest = np.maximum(highest, level)
        found[:, at] = highest
    return found / np.sqrt(1.0 - np.exp(-2.0 * grid))


def first_passage(levels: Column, limit: float, times: Column, *, within: Column) -> Column:
    """Return when each path first reaches a limit; infinite where it does not.

    Args:
        levels: highest level of each path within each gap of the times, shape (paths, times).
        limit: what is to be reached.
        times: ends of the gaps, ascending.
        within: where in its gap each path is taken to have reached it, 0 to 1, shape (paths,).
    """
    over = levels >= limit
    at = over.argmax(axis=1)
    begin = np.where(at > 0, times[at - 1], 0.0)
    reached: Column = begin + within * (times[at] - begin)
    reached[~over[np.arange(len(at)), at]] = np.inf
    return reached


def interval(times: Column, horizon: float, *, likely: float = LIKELY) -> Interval | None:
    """Return the quantiles of times; None unless that share of them lies within the horizon."""
    ordered = np.sort(times)
    many = len(ordered)
    if ordered[min(int(likely * many), many - 1)] > horizon:
        return None
    low, middle, high = (float(ordered[int(share * many)]) for share in (LOW, 0.5, HIGH))
    return Interval(low, min(middle, horizon), high if high <= horizon else inf)
