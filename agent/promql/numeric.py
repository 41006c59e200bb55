"""Sums, means, variances and quantiles as Prometheus defines them for any floats.

Prometheus adds with the compensated sum of Neumaier (1974); `math.fsum` is exact and at C speed,
so it serves wherever both have the same answer. Where they have not, on infinities and overflow
and where large values cancel each other to next to nothing, the loop is the compensated one.
"""

from collections.abc import Sequence
from math import copysign, floor, fsum, inf, isfinite, isinf, isnan, nan
from operator import mul
from typing import Final

# Where a plain sum is so far off, relative to the exact one, the compensated one may be off too.
_DOUBTFUL: Final = 1e-6


def neumaier(term: float, total: float, compensation: float) -> tuple[float, float]:
    """Add a term to a compensated sum and return the sum and its compensation."""
    added = total + term
    if isinf(added):
        return added, 0.0
    if abs(total) >= abs(term):
        return added, compensation + ((total - added) + term)
    return added, compensation + ((term - added) + total)


def total(values: Sequence[float]) -> float:
    """Return the sum of at least one value; of both infinities NaN, on overflow infinity."""
    exact = _exact(values)
    return _compensated(values) if _cancel(values, exact) else exact


def _exact(values: Sequence[float]) -> float:
    """Return the sum without any rounding but the last."""
    try:
        return fsum(values)
    except (OverflowError, ValueError):
        return float(sum(values))


def _cancel(values: Sequence[float], exact: float) -> bool:
    """Return whether next to nothing is left of the values in their sum."""
    return not abs(sum(values) - exact) <= _DOUBTFUL * abs(exact)


def _compensated(values: Sequence[float]) -> float:
    """Return the sum as Prometheus has it."""
    added = compensation = 0.0
    for value in values:
        added, compensation = neumaier(value, added, compensation)
    return added + compensation


def mean(values: Sequence[float]) -> float:
    """Return the mean of at least one value, also where their sum overflows."""
    try:
        added = fsum(values)
    except (OverflowError, ValueError):
        added = inf
    if isinf(added):
        return _incremental_mean(values)
    if _cancel(values, added):
        added = _compensated(values)
    return added / len(values)


def _incremental_mean(values: Sequence[float]) -> float:
    """Return the mean without ever forming the sum."""
    average = compensation = 0.0
    for count, value in enumerate(values, 1):
        kept = (count - 1) / count
        average, compensation = neumaier(value / count, kept * average, kept * compensation)
    return average + compensation


def variance(values: Sequence[float]) -> float:
    """Return the population variance of at least one value; NaN as soon as one is not finite."""
    average = mean(values)
    if not isfinite(average):
        return nan
    distances = [value - average for value in values]
    # All equal is zero exactly, whatever rounding did to their mean.
    if distances.count(distances[0]) == len(distances):
        return 0.0
    # The second term corrects the first for that rounding (Chan, Golub and LeVeque, 1983).
    rest = _exact(distances)
    squares = total([*map(mul, distances, distances)])
    if isinf(squares):
        return inf
    return max(0.0, (squares - rest * rest / len(values)) / len(values))


def ascending(values: Sequence[float]) -> list[float]:
    """Return the values sorted, NaN before everything."""
    numbers = [value for value in values if value == value]  # noqa: PLR0124 - only NaN differs
    numbers.sort()
    return [nan] * (len(values) - len(numbers)) + numbers


def quantile(rank: float, values: Sequence[float]) -> float:
    """Return the quantile, interpolated between the two nearest values; NaN counts as lowest."""
    if not values or isnan(rank):
        return nan
    if rank < 0 or rank > 1:
        return copysign(inf, rank)
    ordered = ascending(values)
    place = rank * (len(ordered) - 1)
    lower = floor(place)
    weight = place - lower
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] * (1 - weight) + ordered[upper] * weight


def highest(values: Sequence[float]) -> float:
    """Return the maximum of at least one value; NaN only where there is nothing else."""
    found = max(values)
    # The sum is NaN if any value is: then comparing went wrong and is done without them.
    if isnan(sum(values)):
        found = max((value for value in values if not isnan(value)), default=nan)
    return found


def lowest(values: Sequence[float]) -> float:
    """Return the minimum of at least one value; NaN only where there is nothing else."""
    found = min(values)
    if isnan(sum(values)):
        found = min((value for value in values if not isnan(value)), default=nan)
    return found
