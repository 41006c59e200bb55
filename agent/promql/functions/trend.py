"""Straight lines and smoothed curves through the samples of a range."""

from collections.abc import Mapping, Sequence
from math import isinf, nan
from operator import mul
from typing import Final

from agent.promql.arithmetic import divide
from agent.promql.errors import EvaluationError
from agent.promql.functions.call import Build, Call
from agent.promql.functions.ranges import over_range
from agent.promql.numeric import total
from agent.promql.run import Run, Window
from agent.store.series import Labels


def regression(
    times: Sequence[float], values: Sequence[float], origin: float
) -> tuple[float, float]:
    """Return slope per second and value at the origin of the least-squares line."""
    first = values[0]
    count = len(values)
    if [*values].count(first) == count:
        return (nan, nan) if isinf(first) else (0.0, first)
    # Near the origin, so that the squares of Unix times do not eat the digits.
    xs = [time - origin for time in times]
    sum_x, sum_y = total(xs), total(values)
    covariance = total([*map(mul, xs, values)]) - sum_x * sum_y / count
    spread = total([*map(mul, xs, xs)]) - sum_x * sum_x / count
    slope = divide(covariance, spread)
    return slope, sum_y / count - slope * sum_x / count


def deriv(times: Sequence[float], values: Sequence[float], _: Window) -> float | None:
    """Return the slope per second."""
    return None if len(values) < 2 else regression(times, values, times[0])[0]  # noqa: PLR2004


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
    "deriv": over_range(deriv),
    "predict_linear": over_range(predict_linear),
    "double_exponential_smoothing": over_range(double_exponential_smoothing, check=_factors),
}
