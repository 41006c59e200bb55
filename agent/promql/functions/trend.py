"""Straight lines and smoothed curves through the samples of a range."""

from collections.abc import Mapping, Sequence
from math import isinf, nan
from operator import mul
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.promql.arithmetic import divide
from agent.promql.errors import EvaluationError
from agent.promql.functions.call import Build, Call
from agent.promql.functions.ranges import always, over_range
from agent.promql.numeric import total
from agent.promql.run import Run, Window
from agent.store.recent import Columns
from agent.store.series import Labels

# Up to here a float tells each whole number from the next.
_WHOLE: Final = 2.0**53


def regression(
    times: Sequence[float], values: Sequence[float], origin: float
) -> tuple[float, float]:
    """Return slope per second and value at the origin of the least-squares line."""
    return _Abscissae(times, origin).regression(values)


class _Abscissae:
    """Times of samples, and the sums over them: those of several series may be the same.

    Args:
        times: Unix seconds.
        origin: what they are counted from. Near them, so that the squares of Unix times do not
            eat the digits.

    Attributes:
        xs: times since the origin.
    """

    def __init__(self, times: Sequence[float], origin: float) -> None:
        self.xs = [time - origin for time in times]
        self._sum = total(self.xs)
        squares = total([*map(mul, self.xs, self.xs)])
        self._spread = squares - self._sum * self._sum / len(times)

    def regression(self, values: Sequence[float]) -> tuple[float, float]:
        """Return slope and value at the origin of the line through the values at these times."""
        first = values[0]
        count = len(values)
        # One NaN object is found equal to itself by count, but NaN is not a steady value.
        if first == first and [*values].count(first) == count:  # noqa: PLR0124
            return (nan, nan) if isinf(first) else (0.0, first)
        sum_x, sum_y = self._sum, total(values)
        covariance = total([*map(mul, self.xs, values)]) - sum_x * sum_y / count
        slope = divide(covariance, self._spread)
        return slope, sum_y / count - slope * sum_x / count


def deriv(times: Sequence[float], values: Sequence[float], _: Window) -> float | None:
    """Return the slope per second."""
    return None if len(values) < 2 else _slopes(times, np.array([values]))[0]  # noqa: PLR2004


def _derivs(columns: Columns, _: Window) -> list[float] | None:
    """Return the slope of each of some series."""
    if len(columns.times) < 2:  # noqa: PLR2004
        return None
    if columns.constant:
        return [0.0] * len(columns.labels)
    return _slopes(columns.times, columns.block())


def _slopes(times: Sequence[float], rows: NDArray[np.float64]) -> list[float]:
    """Return the slope per second of each series: a row each, a column for each time.

    Times are whole milliseconds. Where the values are whole numbers too, and not too large, so are
    all sums of the least squares: then none of them is rounded, however it is added up.
    """
    xs = np.rint((np.asarray(times) - times[0]) * 1000)
    count = len(xs)
    largest = _WHOLE / (count * count * max(1.0, xs[-1]))
    exact = (np.rint(rows) == rows).all(axis=1) & (np.abs(rows).max(axis=1) < largest)
    if xs[-1] >= largest:
        exact[:] = False
    slopes = np.zeros(len(rows))
    if exact.any():
        whole = rows if exact.all() else rows[exact]
        sum_x = xs.sum()
        covariance = count * (whole * xs).sum(axis=1) - sum_x * whole.sum(axis=1)
        slopes[exact] = covariance / (count * (xs * xs).sum() - sum_x * sum_x) * 1000
    found: list[float] = slopes.tolist()
    others = np.nonzero(~exact)[0].tolist()
    if others:
        line = _Abscissae(times, times[0])
        for place in others:
            found[place] = line.regression(rows[place].tolist())[0]
    return found


def predict_linear(
    times: Sequence[float], values: Sequence[float], window: Window, seconds: float
) -> float | None:
    """Return what the line gives so many seconds after the time of the evaluation."""
    if len(values) < 2:  # noqa: PLR2004
        return None
    slope, now = regression(times, values, window.time / 1000)
    return slope * seconds + now


def double_exponential_smoothing(
    _: Sequence[float], values: Sequence[float], __: Window, smoothing: float, trend: float
) -> float | None:
    """Return the last value of the series smoothed after Holt (1957), the linear method."""
    if len(values) < 2:  # noqa: PLR2004
        return None
    level, slope = values[0], values[1] - values[0]
    before = level
    for index, value in enumerate(values[1:]):
        if index:
            slope = trend * (level - before) + (1 - trend) * slope
        before, level = level, smoothing * value + (1 - smoothing) * (level + slope)
    return level


def _factors(_: Run, __: Call, numbers: Sequence[float], labels: Sequence[Labels]) -> None:
    """Refuse factors outside 0 to 1 where there is something to smooth."""
    for name, number in zip(("smoothing", "trend"), numbers, strict=True):
        if labels and not 0 < number < 1:
            short = f"{name[0]}f"
            raise EvaluationError(
                f"invalid {name} factor. Expected: 0 < {short} < 1, got: {number:f}"
            )


TABLE: Final[Mapping[str, Build]] = {
    "deriv": over_range(deriv, whole=_derivs, steady=always),
    "predict_linear": over_range(predict_linear),
    "double_exponential_smoothing": over_range(double_exponential_smoothing, check=_factors),
}
