"""What the GPUs of a host have cost, and what they will have cost by the end of the month (UTC).

    forecast = counted + rate · hours that nobody saw since the first look + mean rate · hours left

The rate is that of the days seen, at most the last seven, each by its mean; its scatter from day to
day, Student's t and the hours left make the interval. What lies before the first look is not in the
estimate: nobody knows whether the GPUs were there. `high` has it at the same rate.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from agent.analysis.capacity.estimate import Interval
from agent.catalog import cost as catalog
from agent.model import Metric

Sample: TypeAlias = tuple[Metric, tuple[str, ...], float]

_GAP: Final = 120.0
"""Seconds between looks that were seen through; what is longer is a gap."""

_HOUR: Final = 3600.0
_DAY: Final = 24.0
_DAYS: Final = 7
# Two-sided 90 % of Student's t by degrees of freedom, from tables.
_T: Final = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943)


@dataclass(slots=True, kw_only=True)
class Day:
    """What was seen of one day.

    Attributes:
        date: ISO 8601.
        spent: money.
        hours: that were seen.
    """

    date: str
    spent: float = 0.0
    hours: float = 0.0


@dataclass(slots=True, kw_only=True)
class Month:
    """What was seen of a month.

    Attributes:
        name: year and month.
        first: Unix seconds of the first look in it.
        spent: money, in the hours that were seen.
        hours: that were seen.
    """

    name: str
    first: float
    spent: float = 0.0
    hours: float = 0.0


@dataclass(slots=True)
class Spend:
    """Adds up what the GPUs cost while time passes.

    The month and the days before this one are kept: a clock that was wrong comes back to them.
    """

    _last: tuple[float, float] | None = None
    _month: Month | None = None
    _former: Month | None = None
    _days: list[Day] = field(default_factory=list)
    _currency: str | None = None

    def observe(self, time: float, rate: float | None, *, currency: str) -> None:
        """Take note of what all GPUs cost an hour now, None where that is not known.

        Args:
            time: Unix seconds.
            rate: money an hour.
            currency: of the money; with another one the counting begins anew.
        """
        if currency != self._currency:
            if self._currency is not None:
                self._last, self._month, self._former, self._days = None, None, None, []
            self._currency = currency
        before, self._last = self._last, None if rate is None else (time, rate)
        if rate is None:
            return
        seen = before is not None and 0.0 < time - before[0] <= _GAP
        midnight = _midnight(time)
        if before is not None and seen and before[0] < midnight:
            self._add(midnight - before[0], before[1])
        self._begin(time)
        if before is not None and seen:
            self._add(time - max(before[0], midnight), before[1])

    def _begin(self, time: float) -> None:
        """Begin the month and the day of a time, if they are others."""
        moment = datetime.fromtimestamp(time, UTC)
        name = f"{moment:%Y-%m}"
        if self._month is None or self._month.name != name:
            known, former = self._former, self._month
            self._former = former
            if known is not None and known.name == name:
                self._month = known
            else:
                # Whoever was there last month for a while is there from the beginning of this one.
                seen = former is not None and former.hours >= 1.0 and former.first < time
                first = _month_bounds(time)[0] if seen else time
                self._month = Month(name=name, first=first)
        date = f"{moment:%Y-%m-%d}"
        if not self._days or self._days[-1].date != date:
            day = next((one for one in self._days if one.date == date), Day(date=date))
            others = [one for one in self._days if one is not day]
            self._days = [*others[1 - _DAYS :], day]

    def _add(self, seconds: float, rate: float) -> None:
        """Count a stretch of the day and the month."""
        if self._month is None:
            return
        hours = seconds / _HOUR
        for counted in (self._month, self._days[-1]):
            counted.spent += rate * hours
            counted.hours += hours

    @property
    def rate(self) -> float | None:
        """Money an hour, now."""
        return None if self._last is None else self._last[1]

    @property
    def today(self) -> float | None:
        """Money since midnight."""
        return self._days[-1].spent if self._days and self._last else None

    @property
    def month(self) -> float | None:
        """Money since the first of the month."""
        return self._month.spent if self._month and self._last else None

    def forecast(self) -> Interval | None:
        """Return what it will have been by the end of the month, None where nothing is known."""
        if self._last is None or self._month is None:
            return None
        time, rate = self._last
        begin, end = _month_bounds(time)
        mean, error = self._usual(rate, days=(end - time) / _HOUR / _DAY)
        unseen = max(0.0, (time - self._month.first) / _HOUR - self._month.hours)
        ahead = (end - time) / _HOUR
        estimate = self._month.spent + mean * (unseen + ahead)
        before = mean * (self._month.first - begin) / _HOUR
        low = max(self._month.spent, estimate - mean * unseen - error * ahead)
        return Interval(estimate, low, estimate + error * ahead + before)

    def _usual(self, rate: float, *, days: float) -> tuple[float, float]:
        """Return the mean rate of the coming days and half the width of its interval, an hour."""
        means = [day.spent / day.hours for day in self._days if day.hours >= 1.0]
        if len(means) < 2:  # noqa: PLR2004 - one day has no scatter
            mean = means[0] if means else rate
            return rate, abs(mean - rate)
        mean = math.fsum(means) / len(means)
        variance = math.fsum((one - mean) ** 2 for one in means) / (len(means) - 1)
        spread = math.sqrt(variance * (1.0 / len(means) + 1.0 / max(1.0, days)))
        width = _T[min(len(means) - 2, len(_T) - 1)] * spread
        return mean, max(width, abs(mean - rate))

    def state(self) -> dict[str, Any]:
        """Return what was counted as what JSON can hold."""
        return {
            "currency": self._currency,
            "month": None if self._month is None else asdict(self._month),
            "former": None if self._former is None else asdict(self._former),
            "days": [asdict(day) for day in self._days],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave.

        Raises:
            KeyError: something is missing.
            TypeError: something is of the wrong type.
            ValueError: something is no number.
        """
        # States of earlier versions name neither the month before nor the currency.
        month, former = (
            None if one is None else Month(**one) for one in (state["month"], state.get("former"))
        )
        days = [Day(**day) for day in state["days"]]
        for counted in (month, former, *days):
            if counted is not None and not math.isfinite(counted.spent + counted.hours):
                raise ValueError("what was spent is no number")
        currency = state.get("currency")
        if currency is not None and not isinstance(currency, str):
            raise TypeError("a currency is a text")
        self._last, self._month, self._former, self._days = None, month, former, days
        self._currency = currency


def _midnight(time: float) -> float:
    """Return Unix seconds of the beginning of the day of a time."""
    moment = datetime.fromtimestamp(time, UTC)
    return moment.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _month_bounds(time: float) -> tuple[float, float]:
    """Return Unix seconds of the beginning and the end of the month of a time."""
    moment = datetime.fromtimestamp(time, UTC)
    begin = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    after = (begin + timedelta(days=32)).replace(day=1)
    return begin.timestamp(), after.timestamp()


def samples(spend: Spend, currency: str, budget: float | None) -> Iterator[Sample]:
    """Yield metric, label values and value of all that is known."""
    known = (
        (catalog.SPEND, spend.rate),
        (catalog.SPEND_TODAY, spend.today),
        (catalog.SPEND_MONTH, spend.month),
        (catalog.BUDGET, budget),
    )
    for metric, value in known:
        if value is not None:
            yield metric, (currency,), value
    forecast = spend.forecast()
    if forecast is not None:
        for bound, value in forecast._asdict().items():
            yield catalog.SPEND_FORECAST, (currency, bound), value


def as_json(spend: Spend, currency: str, budget: float | None) -> dict[str, Any]:
    """Return what is known; null is not known."""
    rate, forecast = spend.rate, spend.forecast()
    return {
        "currency": currency,
        "spend_per_hour": rate,
        "spend_per_day": None if rate is None else rate * _DAY,
        "spend_per_month": None if rate is None else rate * _DAY * 365.25 / 12.0,
        "spend_today": spend.today,
        "spend_month": spend.month,
        "spend_month_forecast": None if forecast is None else forecast._asdict(),
        "spend_month_budget": budget,
    }
