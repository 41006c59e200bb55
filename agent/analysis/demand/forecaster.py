"""The demand of one model, or of all: what it will be, and what is usual."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Final, NamedTuple

from agent.analysis.demand.growth import Growth, growth
from agent.analysis.demand.maturity import Maturity, maturity_of, sentence
from agent.analysis.demand.minutes import NextMinutes
from agent.analysis.demand.season import JUDGED, Season
from agent.analysis.demand.week import BUCKET, MINUTE, SLOTS, bucket_of
from agent.analysis.forecasts.passage import Interval
from agent.analysis.window import Column

HORIZON: Final = 300.0
"""Seconds ahead, by default: the start of a replica."""

HOUR: Final = 3600.0
"""Seconds that are foreseen from the last minutes; beyond, the season takes over."""

LONGEST: Final = 7 * 86_400.0
"""Seconds beyond which nothing is foreseen."""

_RETURNING: Final = 7200.0  # seconds in which what is unusual now is forgotten by half
_FEWEST: Final = 3  # minutes of a bucket


class Foreseen(NamedTuple):
    """Tokens a minute; between low and high with 90 %."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Usual:
    """Between what the mean of five minutes usually is, in tokens a minute."""

    low: float
    high: float


class DemandForecaster:
    """Learns a demand and foresees it.

    Its season is a function of the means of five minutes that it was given, whether one by one or
    at once from a history; so it is made anew at each start, and nothing is saved.

    Args:
        horizon: seconds ahead that matter most; its errors are kept on their own.
    """

    def __init__(self, *, horizon: float = HORIZON) -> None:
        self.season = Season()
        self._next = NextMinutes(min(max(round(horizon / MINUTE), 1), round(HOUR / MINUTE)))
        self._bucket: int | None = None
        self._sum = 0.0
        self._many = 0
        self._growth: Growth | None = None
        self._grown = -1

    def learn_windows(
        self,
        times: Sequence[float],
        tokens_per_minute: Sequence[float],
        *,
        until: float | None = None,
    ) -> None:
        """Learn means of five minutes, as the history keeps them, before any minute.

        Args:
            times: Unix seconds of their ends, ascending.
            tokens_per_minute: as many; NaN where nothing is known.
            until: the end of the last that will be given; None for that of this call.
        """
        if not len(times):
            return
        end = bucket_of((times[-1] if until is None else until) - 1.0)
        for time, value in zip(times, tokens_per_minute, strict=True):
            if isfinite(value) and value >= 0.0:
                bucket = bucket_of(time - 1.0)
                self.season.put(bucket, value, judged=end - bucket < JUDGED)

    def learn(self, times: Sequence[float], tokens_per_minute: Sequence[float]) -> None:
        """Learn minutes.

        Args:
            times: Unix seconds of their ends, ascending.
            tokens_per_minute: means over each minute; what is no number is unknown, not zero.
        """
        for time, value in zip(times, tokens_per_minute, strict=True):
            if isfinite(value) and value >= 0.0:
                self._minute(int((time - 1.0) // MINUTE), value)

    def _minute(self, minute: int, value: float) -> None:
        """Take over a minute."""
        bucket = int(minute * MINUTE // BUCKET)
        if self._bucket != bucket:
            if self._bucket is not None and self._many >= _FEWEST:
                self.season.put(self._bucket, self._sum / self._many)
            self._bucket, self._sum, self._many = bucket, 0.0, 0
        self._sum += value
        self._many += 1
        self._next.take(minute, value, self.season.expected, self.season.level)

    def forecast(self, time: float, horizon: float) -> Foreseen | None:
        """Return the tokens a minute that are foreseen; None where too little is known.

        Args:
            time: Unix seconds of now.
            horizon: seconds ahead. Up to an hour, the last minutes say most of it; up to a week,
                the season does.
        """
        newest = self._next.newest
        if newest is None or horizon > LONGEST:
            return None
        stale = max(time - (newest + 1) * MINUTE, 0.0)
        near = self._next.ahead(min(stale + horizon, HOUR) / MINUTE)
        if near is None or isnan(near[1]) or stale > HOUR:
            return None
        if stale + horizon <= HOUR:
            return Foreseen(*near)
        return self._far(time + horizon, beyond=stale + horizon - HOUR, near=near)

    def _far(
        self, then: float, *, beyond: float, near: tuple[float, float, float]
    ) -> Foreseen | None:
        """Return what is foreseen beyond the next hour: the season, and what is left of now."""
        usual, hour = self.season.expected(then), self.season.expected(then - beyond)
        spread = self.season.spread()
        if usual is None or hour is None or spread is None:
            return None
        left = 0.5 ** (beyond / _RETURNING)
        estimate, low, high = (
            max(usual**0.5 + left * (value**0.5 - hour**0.5), 0.0) for value in near
        )
        low = min(low, estimate + (1.0 - left) * spread[0])
        high = max(high, estimate + (1.0 - left) * spread[1])
        return Foreseen(estimate**2, max(low, 0.0) ** 2, high**2)

    def band(self, time: float) -> Usual | None:
        """Return between what five minutes at a moment usually are; None before 14 days."""
        found = self.season.band(time)
        return None if found is None else Usual(*found)

    def profile(self) -> Column | None:
        """Return the usual tokens a minute by hour of the week, Monday 00:00 UTC first.

        Shape (168,); None before two days.
        """
        known = self.season.profile
        if known is None:
            return None
        hours: Column = (known.roots**2).reshape(-1, 12).mean(axis=1) * self.season.level
        return hours

    def growth(self) -> Growth | None:
        """Return how the demand grows; None before three whole weeks."""
        known = self.season.profile
        if known is None:
            return None
        if self.season.fitted != self._grown:
            self._grown = self.season.fitted
            week, values = self.season.buckets.weeks(self.season.fitted * SLOTS)
            self._growth = growth(known.levels[week - known.week :], values)
        return self._growth

    def days_until(
        self, level_low: float, level_estimate: float, level_high: float
    ) -> Interval | None:
        """Return in how many seconds the busiest hour of a week reaches a level.

        Args:
            level_low: tokens a minute, the lower end of what is known of that level.
            level_estimate: the middle.
            level_high: the upper end.
        """
        known = self.growth()
        return None if known is None else known.until((level_low, level_estimate, level_high))

    @property
    def days(self) -> float:
        """Days' worth of demand that are known; before the first five minutes, of minutes."""
        return self.season.days + self._many * MINUTE / 86_400.0

    @property
    def maturity(self) -> Maturity:
        """What the history is long enough for."""
        return maturity_of(self.days)

    @property
    def explanation(self) -> str:
        """What the history is long enough for, and what not, as a sentence."""
        known = self.growth()
        return sentence(self.days, weeks_of_growth=known.weeks if known else 0)
