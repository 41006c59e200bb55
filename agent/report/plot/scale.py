"""From values to places on paper, and where to write numbers beside them."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_NICE: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_HOURS: Final = (1, 2, 3, 6, 12)
_DAYS: Final = (1, 2, 4, 7, 14, 28)
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Linear:
    """Maps values to places in a straight line.

    Attributes:
        low: value at `start`.
        high: value at `end`, another one.
        start: place.
        end: place.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def ticks(high: float, most: int) -> list[float]:
    """Return round numbers from 0 up to the first at or above a value.

    Args:
        high: above 0; else 1 is taken.
        most: steps, at most.
    """
    high = high if high > 0 and math.isfinite(high) else 1.0
    rough = high / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * one for one in _NICE if size * one >= rough * (1 - 1e-9))
    count = math.ceil(high / step - 1e-9)
    return [place * step for place in range(count + 1)]


def moments(start: float, end: float, most: int) -> list[tuple[float, str]]:
    """Return times that people count by, UTC, with what to write beside each.

    Args:
        start: Unix seconds.
        end: Unix seconds.
        most: how many, at most.
    """
    span = end - start
    hours = next((one for one in _HOURS if span / (one * _HOUR) <= most), None)
    step = hours * _HOUR if hours is not None else _days(span, most) * _DAY
    if span < 3 * _HOUR:
        step = next(one for one in (300.0, 900.0, 1800.0, _HOUR) if span / one <= most)
    first = math.ceil(start / step) * step
    if step > _DAY:
        # Counted from the first midnight, so that they fall on the days that are shown.
        midnight = math.ceil(start / _DAY) * _DAY
        first = midnight
    found: list[tuple[float, str]] = []
    while first <= end:
        moment = datetime.fromtimestamp(first, UTC)
        at_midnight = moment - timedelta(hours=moment.hour, minutes=moment.minute) == moment
        shown = f"{moment:%b} {moment.day}" if at_midnight else f"{moment:%H:%M}"
        found.append((first, shown))
        first += step
    return found


def _days(span: float, most: int) -> int:
    """Return how many days lie between two marks."""
    return next(
        (one for one in _DAYS if span / (one * _DAY) <= most), math.ceil(span / _DAY / most)
    )
