"""Quantiles and fractions of classic histograms, from their cumulative buckets.

After Prometheus's documentation of `histogram_quantile` and its source, promql/quantile.go.
"""

from collections.abc import Callable, Mapping
from math import inf, isnan, nan
from typing import Final

from agent.promql.aggregation import invalid_quantile
from agent.promql.arithmetic import divide
from agent.promql.functions.call import Build, Call
from agent.promql.labels import BUCKET, NAME, quoted, split_bucket, value_of
from agent.promql.run import Run, VectorExpr, nameless
from agent.promql.values import Vector
from agent.store.series import Labels

# Buckets that were summed or divided differ by rounding; only more than this is a decrease.
_TOLERANCE: Final = 1e-12
_SMALLEST_NORMAL: Final = 2.0**-1022

# Scrapes in the middle of an update do that.
_FIXED: Final = (
    "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/"
    "docs/prometheus/latest/querying/functions/#histogram_quantile)"
)

Buckets = list[tuple[float, float]]
"""Upper bound and cumulative count, in ascending order of the bounds."""


def merged(buckets: Buckets) -> Buckets:
    """Return the buckets in order, those of equal bounds added up."""
    counts: dict[float, float] = {}
    for bound, count in sorted(buckets, key=lambda bucket: bucket[0]):
        counts[bound] = counts.get(bound, 0.0) + count
    return [*counts.items()]


def monotonic(buckets: Buckets) -> tuple[Buckets, bool]:
    """Return the buckets without decreases, and whether there were any beyond rounding."""
    result: Buckets = []
    decreased = False
    previous = buckets[0][1]
    for bound, count in buckets:
        if count == previous or _almost(previous, count):
            result.append((bound, previous))
        elif count < previous:
            decreased = True
            result.append((bound, previous))
        else:
            result.append((bound, count))
            previous = count
    return result, decreased


def _almost(left: float, right: float) -> bool:
    """Return whether two counts differ by rounding only."""
    if isnan(left) and isnan(right):
        return True
    scale = abs(left) + abs(right)
    if left == 0 or right == 0 or scale < _SMALLEST_NORMAL:
        return abs(left - right) < _TOLERANCE * _SMALLEST_NORMAL
    return abs(left - right) / min(scale, 1.7976931348623157e308) < _TOLERANCE


def bucket_quantile(rank: float, buckets: Buckets) -> float:
    """Return a quantile, interpolated linearly within its bucket.

    Args:
        rank: from 0 to 1; outside an infinity.
        buckets: merged and monotonic, the last bound +Inf.
    """
    if isnan(rank):
        return nan
    if rank < 0 or rank > 1:
        return -inf if rank < 0 else inf
    complete = len(buckets) > 1 and buckets[-1][0] == inf
    if not complete or buckets[-1][1] == 0:
        return nan
    wanted = rank * buckets[-1][1]
    place = _search(buckets, wanted)
    if place == len(buckets) - 1:
        return buckets[-2][0]
    end, count = buckets[place]
    start, below = buckets[place - 1] if place else (0.0, 0.0)
    if place == 0 and end <= 0:
        return end
    return start + (end - start) * divide(wanted - below, count - below)


def _search(buckets: Buckets, wanted: float) -> int:
    """Return the first bucket that reaches a count; counts that are NaN never do."""
    low, high = 0, len(buckets) - 1
    while low < high:
        middle = (low + high) // 2
        if buckets[middle][1] >= wanted:
            high = middle
        else:
            low = middle + 1
    return low


def bucket_fraction(lower: float, upper: float, buckets: Buckets) -> float:
    """Return which share of the observations lies between two values."""
    if not buckets or buckets[-1][0] != inf:
        return nan
    observations = buckets[-1][1]
    if observations == 0 or isnan(lower) or isnan(upper):
        return nan
    if lower >= upper:
        return 0.0
    return (_below(upper, buckets) - _below(lower, buckets)) / observations


def _below(value: float, buckets: Buckets) -> float:
    """Return how many observations are at or below a value, interpolated."""
    start = 0.0 if buckets[0][0] > 0 else -inf
    rank = 0.0
    for end, count in buckets:
        if start >= value:
            return rank
        if end > value:
            # A bucket without a lower bound is not interpolated but counts in full.
            within = 1.0 if start == -inf else (value - start) / (end - start)
            return min(rank + (count - rank) * within, buckets[-1][1])
        start, rank = end, count
    return buckets[-1][1]


def _of_metric(labels: Labels) -> str:
    """Return the name as a message ends with it; nothing where there is none any more."""
    name = value_of(labels, NAME)
    return f" for metric name {quoted(name)}" if name else ""


def _by_histogram(vector: Vector, run: Run, call: Call, argument: int) -> dict[Labels, Buckets]:
    """Return the buckets of each histogram; series without a bound are left out."""
    found: dict[Labels, Buckets] = {}
    for labels, count in vector:
        rest, bound = split_bucket(labels)
        if bound is not None:
            found.setdefault(rest, []).append((bound, count))
        elif run.notes is not None:
            message = (
                'bucket label "le" is missing or has a malformed value of '
                f"{quoted(value_of(labels, BUCKET))}"
            )
            run.notes.warn(message + _of_metric(labels), call.site, argument)
    return found


def _quantile(call: Call) -> VectorExpr:
    """`histogram_quantile`."""
    rank, vector = call.scalar(0).at, call.vector(1).at

    def at(run: Run, time: int) -> Vector:
        wanted = rank(run, time)
        if run.notes is not None and not 0 <= wanted <= 1:
            run.notes.warn(invalid_quantile(wanted), call.site, 0)
        labels: list[Labels] = []
        values: list[float] = []
        for item, buckets in _by_histogram(vector(run, time), run, call, 1).items():
            ordered, decreased = monotonic(merged(buckets))
            found = bucket_quantile(wanted, ordered)
            if decreased and run.notes is not None and not isnan(found) and 0 <= wanted <= 1:
                run.notes.inform(_FIXED + _of_metric(item), call.site, 1)
            labels.append(item)
            values.append(found)
        return nameless(run, labels, values)

    return VectorExpr(at)


def _fraction(call: Call) -> VectorExpr:
    """`histogram_fraction`."""
    lower, upper, vector = call.scalar(0).at, call.scalar(1).at, call.vector(2).at

    def at(run: Run, time: int) -> Vector:
        low, high = lower(run, time), upper(run, time)
        found = _by_histogram(vector(run, time), run, call, 2)
        fraction: Callable[[Buckets], float] = lambda item: bucket_fraction(low, high, merged(item))  # noqa: E731
        return nameless(run, [*found], [*map(fraction, found.values())])

    return VectorExpr(at)


TABLE: Final[Mapping[str, Build]] = {
    "histogram_quantile": _quantile,
    "histogram_fraction": _fraction,
}
