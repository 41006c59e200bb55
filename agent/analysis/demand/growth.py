"""How a demand grows from week to week, and when its peaks reach a capacity.

The levels of the days, which are free of the season, are taken seven at a time, backwards from the
newest whole day; the line through their medians is that of Theil and Sen, the median of the slopes
between all pairs. Its error follows from the scatter about it, by Student's law for as few weeks as
there are. A peak is the busiest hour of seven days as a multiple of their level; it differs from
week to week, and the first that reaches a capacity is mostly one of the higher ones. So each coming
week draws one of its own, on each of a fixed set of paths.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.analysis.demand.week import SLOTS
from agent.analysis.forecasts.passage import (
    PATHS,
    Interval,
    interval,
    normal,
    shocks,
    stratified,
)
from agent.analysis.median import median
from agent.analysis.window import Column

FEWEST_WEEKS: Final = 3
"""Weeks without which there is no growth to tell."""

LONGEST: Final = 365.0
"""Days beyond which no end is foreseen."""

DAY: Final = 86_400.0

_FAR: Final = 4.0  # times as far ahead as was looked back
_FEWEST_DAYS: Final = 4  # of seven, in a week that counts
_SHOCKS: Final = shocks((PATHS, int(LONGEST / 7.0) + 1), salt=44)
_ALL_BUT: Final = 1.645  # normal quantile of 95 %
_HOURS: Final = 20  # of a day, that must be known for its peak


@dataclass(frozen=True, slots=True)
class Growth:
    """The line through the weeks.

    Attributes:
        level: tokens a minute at the end of the line.
        slope: tokens a minute, each week.
        error: standard error of the slope.
        free: degrees of freedom of that error.
        weeks: how many it rests on.
        peaks: busiest hours of the weeks as multiples of the line, ascending.
    """

    level: float
    slope: float
    error: float
    free: int
    weeks: int
    peaks: Column

    @property
    def peak(self) -> float:
        """The busiest hour of a usual week now, in tokens a minute."""
        return self.level * median(self.peaks)

    @property
    def share(self) -> tuple[float, float, float]:
        """Growth a week as a share of the level of now: low, estimate, high, with 90 %."""
        reach = self.error * float(_student(np.array([_ALL_BUT]), self.free)[0])
        level = max(self.level, 1e-9)
        return ((self.slope - reach) / level, self.slope / level, (self.slope + reach) / level)

    def until(self, capacity: tuple[float, float, float]) -> Interval | None:
        """Return in how many seconds the busiest hour of a week reaches a capacity.

        Args:
            capacity: low, estimate and high of it in tokens a minute, with 90 %.

        Returns:
            0 where a usual week reaches it now. None where at least half of the paths do not reach
            it within a year, or within four times as far ahead as was looked back.
        """
        low, estimate, high = (max(value, 1e-9) for value in capacity)
        chance = normal(stratified(41))
        wide = np.where(chance > 0, np.log(high / estimate), np.log(estimate / low))
        limit = estimate * np.exp(chance / _ALL_BUT * wide)
        slope = self.slope + self.error * _student(normal(stratified(42)), self.free)
        horizon = min(LONGEST, _FAR * 7.0 * self.weeks)
        weeks = np.arange(int(horizon / 7.0) + 1)
        level = self.level + slope[:, None] * (weeks + 0.5)
        logs = np.log(np.maximum(self.peaks, 1e-9))
        over = level * np.exp(logs.mean() + logs.std(ddof=1) * _SHOCKS[:, weeks]) >= limit[:, None]
        reached = 7.0 * (over.argmax(axis=1) + stratified(43)) * (self.peak < limit)
        return interval(np.where(over.any(axis=1), reached, np.inf) * DAY, horizon * DAY)


def growth(levels: Column, values: Column) -> Growth | None:
    """Return the growth of a demand; None of less than three weeks.

    Args:
        levels: of the days as multiples of their profile, shape (weeks, 7), NaN for unknown.
        values: means by week, weekday and slot, shape (weeks, 7, SLOTS), of the same weeks.
    """
    line = levels.reshape(-1)
    known = np.flatnonzero(np.isfinite(line))
    whole = np.isfinite(values).mean(axis=2).reshape(-1) >= _HOURS / 24.0
    if not len(known) or not whole.any():
        return None
    end = int(np.flatnonzero(whole)[-1]) + 1
    days = np.where(whole, line, np.nan)[end % 7 : end].reshape(-1, 7)
    enough = np.isfinite(days).sum(axis=1) >= _FEWEST_DAYS
    weeks = int(enough.sum())
    if weeks < FEWEST_WEEKS:
        return None
    medians: Column = np.array([median(row[np.isfinite(row)]) for row in days[enough]])
    times = np.flatnonzero(enough) - (len(days) - 1) - 0.5
    later, earlier = np.tril_indices(weeks, -1)
    slope = median((medians[later] - medians[earlier]) / (times[later] - times[earlier]))
    level = median(medians - slope * times)
    off = medians - level - slope * times
    free = weeks - 2
    spread = float(((times - times.mean()) ** 2).sum())
    error = (float((off * off).sum()) / free / spread) ** 0.5
    expected = np.maximum(level + slope * times, 1e-9)
    hours = values.reshape(-1, SLOTS)[end % 7 : end].reshape(-1, 7 * 24, 12)[enough]
    busiest = np.array([_busiest(week) for week in hours])
    return Growth(max(level, 0.0), slope, error, free, weeks, np.sort(busiest / expected))


def _busiest(hours: Column) -> float:
    """Return the mean of the busiest hour, shape (hours, buckets), of those that are known."""
    known = np.isfinite(hours).all(axis=1)
    return float(hours[known].mean(axis=1).max()) if known.any() else 0.0


def _student(quantiles: Column, free: int) -> Column:
    """Return quantiles of Student's law from those of the normal one.

    The expansion of Cornish and Fisher, 26.7.5 in Abramowitz and Stegun; in its tail a quarter too
    small for one degree of freedom, within a few percent from two on.
    """
    square = quantiles * quantiles
    first = (square + 1.0) / 4.0
    second = ((5.0 * square + 16.0) * square + 3.0) / 96.0
    third = (((3.0 * square + 19.0) * square + 17.0) * square - 15.0) / 384.0
    corrected: Column = quantiles * (1.0 + first / free + second / free**2 + third / free**3)
    return corrected
