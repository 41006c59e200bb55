"""Statistics of the samples of a range."""

from collections.abc import Callable, Mapping, Sequence
from math import isnan, nan, sqrt
from typing import Final, TypeAlias

from agent.promql.aggregation import invalid_quantile
from agent.promql.functions.call import Build, Call
from agent.promql.functions.ranges import Reduce, Steady, always, over_range
from agent.promql.numeric import highest, lowest, mean, quantile, total, variance
from agent.promql.run import Run, Window
from agent.store.exact import is_exact
from agent.store.recent import Columns
from agent.store.series import Labels

_AtOnce: TypeAlias = Callable[[Columns], list[float]]
"""The statistic of each of several series; only where it is the same to the last bit."""


def _of_values(function: Callable[[Sequence[float]], float]) -> Reduce:
    """Return a statistic that looks at values only."""

    def reduce(_: Sequence[float], values: Sequence[float], __: Window) -> float:
        return function(values)

    return reduce


def _integral(columns: Columns) -> bool:
    """Be steady where the mean of equal values is the value to the last bit."""
    return bool(is_exact(columns.block()[:, -1]))


def _sums(columns: Columns) -> list[float]:
    """Return the sum of each series, of numbers whose sums are exact."""
    sums: list[float] = columns.block().sum(axis=1).tolist()
    return sums


def _means(columns: Columns) -> list[float]:
    """Return the mean of each series, of numbers whose sums are exact."""
    count = len(columns.times)
    return [added / count for added in _sums(columns)]


def _values_only(
    function: Callable[[Sequence[float]], float],
    *,
    named: bool = False,
    steady: Steady | None = None,
    of_exact: _AtOnce | None = None,
) -> Build:
    """Return how a call of a statistic that looks at values only is compiled.

    Args:
        function: gives it for the values of one series.
        named: see `over_range`.
        steady: likewise.
        of_exact: the same for all of several series, where `Columns.exact` is true of them.
    """

    def whole(columns: Columns, _: Window) -> list[float] | None:
        if columns.constant:
            count = len(columns.times)
            return [function([value] * count) for value in columns.last()]
        if of_exact is not None and columns.exact():
            return of_exact(columns)
        return None

    return over_range(_of_values(function), whole=whole, steady=steady, named=named)


def _median_deviation(values: Sequence[float]) -> float:
    """Return the median absolute deviation from the median; NaN as soon as a value is."""
    if any(map(isnan, values)):
        return nan
    middle = quantile(0.5, values)
    return quantile(0.5, [abs(value - middle) for value in values])


def _quantile(_: Sequence[float], values: Sequence[float], __: Window, rank: float) -> float:
    """Return a quantile of the values."""
    return quantile(rank, values)


def _doubt_quantile(run: Run, call: Call, numbers: Sequence[float], _: Sequence[Labels]) -> None:
    """Warn of a quantile outside 0 to 1."""
    if run.notes is not None and not 0 <= numbers[0] <= 1:
        run.notes.warn(invalid_quantile(numbers[0]), call.site, 0)


def _time_of(choose: Callable[[Sequence[float]], float]) -> Reduce:
    """Return the time of the last sample that has the chosen value."""

    def reduce(times: Sequence[float], values: Sequence[float], _: Window) -> float:
        wanted = choose(values)
        for time, value in zip(reversed(times), reversed(values), strict=True):
            if value == wanted:
                return round(time * 1000) / 1000
        return round(times[-1] * 1000) / 1000

    return reduce


def _time_at(index: int) -> Reduce:
    """Return the time of the first or last sample."""

    def reduce(times: Sequence[float], _: Sequence[float], __: Window) -> float:
        return round(times[index] * 1000) / 1000

    return reduce


TABLE: Final[Mapping[str, Build]] = {
    "avg_over_time": _values_only(mean, steady=_integral, of_exact=_means),
    "min_over_time": _values_only(lowest, steady=always),
    "max_over_time": _values_only(highest, steady=always),
    "sum_over_time": _values_only(total, of_exact=_sums),
    "count_over_time": _values_only(lambda values: float(len(values))),
    "stddev_over_time": _values_only(lambda values: sqrt(variance(values))),
    "stdvar_over_time": _values_only(variance),
    "last_over_time": _values_only(lambda values: values[-1], named=True, steady=always),
    "first_over_time": _values_only(lambda values: values[0], named=True, steady=always),
    "present_over_time": _values_only(lambda _: 1.0, steady=always),
    "quantile_over_time": over_range(_quantile, range_at=1, check=_doubt_quantile),
    "mad_over_time": _values_only(_median_deviation),
    "ts_of_min_over_time": over_range(_time_of(lowest)),
    "ts_of_max_over_time": over_range(_time_of(highest)),
    "ts_of_first_over_time": over_range(_time_at(0)),
    "ts_of_last_over_time": over_range(_time_at(-1)),
}
