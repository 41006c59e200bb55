"""Random samples and random queries that Prometheus 2.42 and 3 answer alike, or version 3 alone.

Version 3 leaves the left end of ranges and of the lookback open, 2.42 closes it: for both, samples
lie half a second off every boundary that a query can have. Only counters far above zero are given
to `rate`, because the versions extrapolate towards zero in another order. What only one of them has
is not asked; what changed its name is asked by both, see `in_version_2`.

For version 3 alone samples lie on the boundaries, counters begin at zero, and what version 2.42
does otherwise or does not have is asked as well.
"""

from collections.abc import Iterator
from math import inf, nan
from random import Random

from agent.store.series import Labels
from tests.promqltest.memory import MemorySource, labelled

START = 1_700_000_000
LENGTH = 1800
INTERVAL = 5

_HOSTS = ("a", "b", "c")
_BOUNDS = ("0.1", "0.5", "1", "5", "+Inf")
_ODD = (nan, inf, -inf, 0.0, -0.0, 1.0, -1.0, 2.5, -7.25, 1e6)
# Neither in order nor all of them bounds, and the last below zero where none is beyond it.
_ODD_BOUNDS = ("-2", "", "x", "0", "3", "+Inf")
_STATISTICS_OF_3 = ("mad", "ts_of_min", "ts_of_max", "ts_of_last")
_STATISTICS = ("avg", "min", "max", "sum", "count", "stddev", "stdvar", "last", "present")

Samples = dict[Labels, list[tuple[float, float]]]


def samples(random: Random, *, alone: bool = False) -> Samples:
    """Return series of gauges, counters with resets and histograms, all with gaps.

    Args:
        random: what they hang on.
        alone: they are for version 3 alone.
    """
    found: Samples = {}
    shift, base = (0.0, 0.0) if alone else (0.5, 1e6)
    for host in _HOSTS:
        found[labelled("limit", host=host)] = [*_gauge(random, 50.0, shift)]
        for gpu in "0123":
            labels = labelled("temp", host=host, gpu=gpu, zone=random.choice("xy"))
            found[labels] = [*_gauge(random, 40.0, shift)]
            found[labelled("requests_total", host=host, gpu=gpu)] = [*_counter(random, base, shift)]
        counts = [0.0] * len(_BOUNDS)
        buckets: list[list[tuple[float, float]]] = [[] for _ in _BOUNDS]
        for time in _times(random, shift):
            for index in range(random.randrange(len(_BOUNDS)), len(_BOUNDS)):
                counts[index] += 1.0
            for index, column in enumerate(buckets):
                column.append((time, base / 1000.0 + counts[index]))
        for bound, column in zip(_BOUNDS, buckets, strict=True):
            found[labelled("lat_bucket", host=host, le=bound)] = column
        found[labelled("odd", host=host)] = [
            (time, random.choice(_ODD)) for time, _ in _gauge(random, 0.0, shift)
        ]
        for bound in _ODD_BOUNDS:
            found[labelled("odd_bucket", host=host, le=bound)] = [
                (time, abs(value)) for time, value in _gauge(random, 90.0, shift)
            ]
    return found


def _times(random: Random, shift: float) -> Iterator[float]:
    """Give times so far off the full second; some samples are missing."""
    gap = 0
    for index in range(LENGTH // INTERVAL):
        gap = random.randrange(80) if random.random() < 0.01 else gap - 1
        if gap <= 0:
            yield START + index * INTERVAL + shift


def _gauge(random: Random, middle: float, shift: float) -> Iterator[tuple[float, float]]:
    for time in _times(random, shift):
        yield time, round(random.gauss(middle, 30), 6)


def _counter(random: Random, base: float, shift: float) -> Iterator[tuple[float, float]]:
    value = base
    for time in _times(random, shift):
        value = base if random.random() < 0.02 else value + round(random.expovariate(0.1), 6)
        yield time, value


def source_of(found: Samples) -> MemorySource:
    """Return a source of these samples."""
    source = MemorySource()
    for labels, points in found.items():
        source.add(labels, points)
    return source


def open_metrics(found: Samples) -> str:
    """Return the samples as OpenMetrics text; of no known type, so that names stay as they are."""
    lines = []
    by_name: dict[str, list[Labels]] = {}
    for labels in found:
        by_name.setdefault(dict(labels)["__name__"], []).append(labels)
    for name, group in by_name.items():
        lines.append(f"# TYPE {name} unknown")
        for labels in group:
            pairs = ",".join(f'{key}="{value}"' for key, value in labels if key != "__name__")
            lines += [f"{name}{{{pairs}}} {value!r} {time}" for time, value in found[labels]]
    return "\n".join([*lines, "# EOF", ""])


def in_version_2(text: str) -> str:
    """Return a query as Prometheus 2.42 takes it."""
    return text.replace("double_exponential_smoothing", "holt_winters")


_ELEMENTWISE = (
    *("abs", "ceil", "floor", "sqrt", "ln", "log2", "log10", "sgn", "deg", "rad"),
    *("atan", "tanh", "asinh", "acosh", "sort", "sort_desc", "timestamp", "-"),
)
# Of these the argument has to be small: beyond it is nothing, too much for a float, or a result
# that hangs on the last digit.
_OF_SMALL = ("sin", "cos", "tan", "asin", "acos", "atanh", "sinh", "cosh", "exp")
_DATES = (
    *("minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month"),
    *("month", "year"),
)


class Grammar:
    """Writes random queries whose result is a vector.

    Args:
        random: what they hang on.
        edges: whether they may name the ends of the query itself.
        alone: they are for version 3 alone.
    """

    def __init__(self, random: Random, *, edges: bool = True, alone: bool = False) -> None:
        self._random = random
        self._edges = edges
        self._alone = alone

    def vector(self, depth: int) -> str:
        """Return a vector expression at most so deep."""
        if depth <= 0:
            return self._leaf()
        forms = (
            self._function,
            self._elementwise,
            self._aggregate,
            self._chosen,
            self._with_scalar,
            self._compared,
            self._with_vector,
            self._set,
            self._relabelled,
            self._of_range,
            self._histogram,
        )
        return self._random.choice(forms)(depth - 1)

    def _pick(self, *choices: str) -> str:
        return self._random.choice(choices)

    def _selector(self) -> str:
        matcher = self._pick(
            "",
            '{host="a"}',
            '{host=~"a|b"}',
            '{host!="c"}',
            '{host!~"(?i:A)"}',
            '{gpu=~"[12]"}',
            '{nothing=""}',
            '{host=~".+", gpu!=""}',
        )
        return self._pick("temp", "requests_total", "limit", "odd") + matcher

    def _modifier(self) -> str:
        off = 0.0 if self._alone else 0.25
        at = f" @ {START + self._random.randrange(300, LENGTH) + off}"
        edge = self._pick(" @ start()", " @ end()") if self._edges else at
        return self._pick(
            *("", "", "", " offset 1m", " offset 90s", " offset -1m", " offset -7s"),
            *(at, f"{at} offset 30s", f" offset -45s{at}", edge, f"{edge} offset 1m"),
        )

    def _leaf(self) -> str:
        return self._pick(self._selector() + self._modifier(), self._of_range(0))

    def _of_range(self, depth: int) -> str:
        length = self._pick("20s", "1m", "5m", "137s")
        series = f"{self._selector()}[{length}]"
        if depth > 0 and self._random.random() < 0.3:
            # The steps of a subquery must not lie on the end of its range.
            series = f"({self.vector(depth - 1)})[{length}:{self._pick('10s', '15s', '')}]"
        modifier = self._modifier()
        series += modifier
        name = self._pick("delta", "irate", "idelta", "resets", "changes")
        if self._alone or "odd" not in series:
            # Version 2.42 loses infinities in the sums of a regression.
            name = self._pick(name, name, "deriv")
        if self._random.random() < 0.5:
            # Of NaN version 3.5 has the deviation of the rest, a later version 3 and we NaN.
            further = _STATISTICS_OF_3[("odd" in series) :] if self._alone else ()
            name = f"{self._pick(*_STATISTICS, *further)}_over_time"
        if self._alone or (series.startswith("requests_total") and length in {"5m", "137s"}):
            name = self._pick("rate", "increase", name)
        choice = self._random.random()
        if choice < 0.1:
            rank = self._pick(f"{self._random.random():.3f}", "0", "1", "-0.1", "1.1", "NaN")
            return f"quantile_over_time({rank}, {series})"
        # Version 2.42 forgets all steps but the first of such a prediction with @.
        if choice < 0.2 and (self._alone or ("@" not in modifier and "odd" not in series)):
            return f"predict_linear({series}, {self._random.randrange(-600, 600)})"
        if choice < 0.26:
            factors = (f"{self._random.uniform(0.02, 0.98):.2f}" for _ in range(2))
            return f"double_exponential_smoothing({series}, {', '.join(factors)})"
        return f"absent_over_time({series})" if choice < 0.28 else f"{name}({series})"

    def _function(self, depth: int) -> str:
        inner = self.vector(depth)
        number = f"{self._random.gauss(30, 40):.3f}"
        date = self._pick(*_DATES)
        gauge = self._pick("temp", "requests_total", "limit")
        scale = self._pick("1000", "1e6", "-3e5")
        return self._pick(
            f"round({inner}, {self._pick('0.1', '5', '0.25', '-3')})",
            f"round({inner})",
            f"clamp({inner}, -10, {number})",
            f"clamp_min({inner}, {number})",
            f"clamp_max({inner}, {number})",
            f"clamp({inner}, NaN, {number})",
            f"vector(scalar({inner}))",
            f"vector(time()) + scalar(count({inner}))",
            f"vector(pi() * scalar({inner}) >= bool {number})",
            f"absent({inner})",
            f"{date}({gauge} * {scale})",
            f"{date}() + on () group_right () {inner}",
            f"{date}(vector(time() + {number}))",
        )

    def _elementwise(self, depth: int) -> str:
        inner = self.vector(depth)
        small = f"{self._pick(*_OF_SMALL)}(clamp(({inner}) / {self._pick('50', '1e6')}, -2, 2))"
        name = self._pick(*_ELEMENTWISE)
        if name == "timestamp" and "@" in inner and not self._alone:
            # Version 2.42 does not heed it there.
            name = "abs"
        if self._alone and self._random.random() < 0.1:
            return f'{self._pick("sort_by_label", "sort_by_label_desc")}({inner}, "gpu", "host")'
        return self._pick(small, f"{name}({inner})")

    def _clause(self) -> str:
        return self._pick("", " by (host)", " by (gpu, host)", " without (gpu)", " by (nothing)")

    def _aggregate(self, depth: int) -> str:
        operator = self._pick("sum", "avg", "min", "max", "count", "stddev", "stdvar", "group")
        if self._random.random() < 0.2:
            rank = self._pick(f"{self._random.random():.3f}", "0", "1", "-1", "1.5", "NaN")
            return f"quantile{self._clause()}({rank}, {self.vector(depth)})"
        inner = self.vector(depth)
        if operator.startswith("std") and not self._alone:
            # Of one value that is not finite version 2.42 has the deviation 0, version 3 NaN.
            inner = f"({inner}) > -1e200 < 1e200"
        return f"{operator}{self._clause()}({inner})"

    def _chosen(self, depth: int) -> str:
        del depth
        if self._random.random() < 0.3:
            # Not of anything computed: the last digit would be part of a label.
            return (
                f'count_values{self._clause()}("{self._pick("value", "host")}", {self._selector()})'
            )
        # Not of anything with ties: the order of equal values is nobody's promise.
        # Of nothing at all version 3.5 takes NaN series without a word, a later version 3 refuses.
        limits = "count(limit) or vector(2)" if self._alone else "count(limit)"
        count = self._pick("2", "1", "0", "-1", "2.7", "100", f"scalar({limits})")
        inner = self._pick("temp", "-temp", "temp * 2", 'temp{host!="b"}', "abs(temp) + 1")
        return f"{self._pick('topk', 'bottomk')}{self._clause()}({count}, {inner})"

    def _with_scalar(self, depth: int) -> str:
        operator = self._pick("+", "-", "*", "/", "%", "^")
        number = self._pick(
            *("2", "0.5", "-3", "1e3", "0", "(-(2)^3)", "time() / 1e9", "Inf", "NaN", "2^-1^2"),
            *("scalar(limit)", "(1 < bool 2)", "0x1f"),
        )
        inner = f"({self.vector(depth)})"
        if self._random.random() < 0.1:
            # Version 2.42 leaves their names to series that go through atan2.
            operator, inner = "atan2", inner if self._alone else f"(-{inner})"
        return self._pick(f"{inner} {operator} {number}", f"{number} {operator} {inner}")

    def _comparison(self) -> str:
        return self._pick(">", "<", ">=", "<=", "!=", "==") + self._pick("", "", " bool")

    def _compared(self, depth: int) -> str:
        inner, number = f"({self.vector(depth)})", f"{self._random.gauss(40, 20):.3f}"
        how = self._comparison()
        return self._pick(f"{inner} {how} {number}", f"{number} {how} {inner}")

    def _with_vector(self, depth: int) -> str:
        left, right = f"({self.vector(depth)})", f"({self.vector(depth)})"
        arithmetic = self._pick("+", "-", "*", "/", "%", "^")
        how = self._pick(arithmetic, arithmetic, self._comparison())
        # Versions 2.42 and 3.5 count the matches of a filter after it, later ones (17668) before.
        grouped = self._pick(arithmetic, self._pick(">", "!=") + " bool")
        return self._pick(
            f"{left} atan2 {right}" if self._alone else f"(-{left}) atan2 (-{right})",
            f"{left} {how} {right}",
            f"{left} {how} ignoring (zone) {right}",
            f"{left} {how} on (host, gpu) {right}",
            f"{left} {how} on (host) group_left {self._pick('limit', 'sum by (host)(temp)')}",
            f'{left} {grouped} on (host) group_left (zone) temp{{gpu="1"}}',
            f"{left} {grouped} ignoring (gpu, zone) group_left (nothing, host) limit",
            f"limit {how} on (host) group_right () {right}",
            f'temp{{gpu="2"}} {grouped} on (host) group_right (gpu, zone) {right}',
            f"sum by (host) ({left}) {how} sum by (host) ({right})",
        )

    def _set(self, depth: int) -> str:
        left, right = f"({self.vector(depth)})", f"({self.vector(depth)})"
        clause = self._pick("", " on (host)", " ignoring (zone, gpu)", " on ()")
        return f"{left} {self._pick('and', 'or', 'unless')}{clause} {right}"

    def _relabelled(self, depth: int) -> str:
        inner = self.vector(depth)
        return self._pick(
            f'label_replace({inner}, "rack", "r-$1", "host", "(a|b)")',
            f'label_replace({inner}, "host", "${{1}}x$$", "host", "(.*)")',
            f'label_replace({inner}, "gpu", "", "gpu", ".*")',
            f'label_replace({inner}, "__name__", "${{kind}}_new", "__name__", "(?P<kind>t.*)")',
            f'label_replace({inner}, "zone", "$9-$x", "missing", "(.*)")',
            f'label_join({inner}, "both", "/", "host", "gpu")',
            f'label_join({inner}, "host", "-", "zone", "missing", "host")',
            f'label_join({inner}, "gpu", "")',
        )

    def _histogram(self, depth: int) -> str:
        rank = self._pick(f"{self._random.random():.3f}", "0", "1", "-0.5", "1.5", "NaN")
        del depth
        return self._pick(
            f"histogram_quantile({rank}, rate(lat_bucket[5m]))",
            f"histogram_quantile({rank}, sum by (le) (rate(lat_bucket[1m])))",
            f"histogram_quantile({rank}, lat_bucket{self._modifier()})",
            f'histogram_quantile({rank}, lat_bucket{{le!="+Inf"}})',
            f'histogram_quantile({rank}, lat_bucket{{le=~"0.1|[+]Inf"}} * 0)',
            f"histogram_quantile({rank}, odd_bucket)",
            f'histogram_quantile({rank}, odd_bucket{{le!~"0|3"}} or lat_bucket)',
        )
