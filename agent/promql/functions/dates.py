"""Parts of a date in UTC, of the values of a vector or of the time of the evaluation."""

from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from math import isfinite, nan
from typing import Final

from agent.promql.functions.call import Build, Call
from agent.promql.run import Run, VectorExpr, nameless
from agent.promql.values import Vector

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# After 400 years the Gregorian calendar begins anew, on the same day of the week.
_CYCLE_YEARS: Final = 400
_CYCLE: Final = 146_097 * 86_400


def _part(read: Callable[[datetime], int], seconds: float) -> float:
    """Return a part of a date of any year; NaN for what is no time."""
    if not isfinite(seconds):
        return nan
    cycles, rest = divmod(int(seconds), _CYCLE)
    part = read(_EPOCH + timedelta(seconds=rest))
    return float(part + cycles * _CYCLE_YEARS if read is _year else part)


def _year(date: datetime) -> int:
    """Return the year, the only part that tells one cycle from another."""
    return date.year


def _dates(read: Callable[[datetime], int], call: Call) -> VectorExpr:
    """Apply to every value, or to the time of the evaluation where there is no argument."""
    if not len(call):

        def now(run: Run, time: int) -> Vector:
            run.moving()
            return Vector([()], [_part(read, time // 1000)])

        return VectorExpr(now)
    vector = call.vector(0).at

    def at(run: Run, time: int) -> Vector:
        found = vector(run, time)
        return nameless(run, found.labels, [_part(read, value) for value in found.values])

    return VectorExpr(at)


_PARTS: Final[Mapping[str, Callable[[datetime], int]]] = {
    "minute": lambda date: date.minute,
    "hour": lambda date: date.hour,
    "day_of_week": lambda date: date.isoweekday() % 7,
    "day_of_month": lambda date: date.day,
    "day_of_year": lambda date: date.timetuple().tm_yday,
    "days_in_month": lambda date: monthrange(date.year, date.month)[1],
    "month": lambda date: date.month,
    "year": _year,
}

TABLE: Final[Mapping[str, Build]] = {name: partial(_dates, read) for name, read in _PARTS.items()}
