"""Random samples and random queries that Prometheus 2.42 and 3 answer alike.

Version 3 leaves the left end of ranges and of the lookback open, 2.42 closes it: samples lie
half a second off every boundary that a query can have. Only counters far above zero are given to
`rate`, because the versions extrapolate towards zero in another order.
"""

from collections.abc import Iterator
from random import Random

from agent.store.series import Labels
from tests.promqltest.memory import MemorySource, labelled

START = 1_700_000_000
LENGTH = 1800
INTERVAL = 5

_HOSTS = ("a", "b", "c")
_BOUNDS = ("0.1", "0.5", "1", "5", "+Inf")
_STATISTICS = ("avg", "min", "max", "sum", "count", "stddev", "stdvar", "last", "present")

Samples = dict[Labels, list[tuple[float, float]]]


def samples(random: Random) -> Samples:
    """Return series of gauges, counters with resets and histograms, all with gaps."""
    found: Samples = {}
    for host in _HOSTS:
        found[labelled("limit", host=host)] = [*_gauge(random, 50.0)]
        for gpu in "0123":
            labels = labelled("temp", host=host, gpu=gpu, zone=random.choice("xy"))
            found[labels] = [*_gauge(random, 40.0)]
            found[labelled("requests_total", host=host, gpu=gpu)] = [*_counter(random)]
        counts = [0.0] * len(_BOUNDS)
        buckets: list[list[tuple[float, float]]] = [[] for _ in _BOUNDS]
        for time in _times(random):
            for index in range(random.randrange(len(_BOUNDS)), len(_BOUNDS)):
                counts[index] += 1.0
            for index, column in enumerate(buckets):
                column.append((time, 1000.0 + counts[index]))
        for bound, column in zip(_BOUNDS, buckets, strict=True):
            found[labelled("lat_bucket", host=host, le=bound)] = column
    return found


def _times(random: Random) -> Iterator[float]:
    """Give times half a second off the full second; some samples are missing."""
    gap = 0
    for index in range(LENGTH // INTERVAL):
        gap = random.randrange(80) if random.random() < 0.01 else gap - 1
        if gap <= 0:
            yield START + index * INTERVAL + 0.5


def _gauge(random: Random, middle: float) -> Iterator[tuple[float, float]]:
    for time in _times(random):
        yield time, round(random.gauss(middle, 30), 6)


def _counter(random: Random) -> Iterator[tuple[float, float]]:
    value = 1e6
    for time in _times(random):
        value = 1e6 if random.random() < 0.02 else value + round(random.expovariate(0.1), 6)
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


class Grammar:
    """Writes random queries whose result is a vector."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def vector(self, depth: int) -> str:
        """Return a vector expression at most so deep."""
        if depth <= 0:
            return self._leaf()
        forms = (
            self._function,
            self._aggregate,
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
        return self._pick("temp", "requests_total", "limit") + matcher

    def _modifier(self) -> str:
        at = f" @ {START + self._random.randrange(300, LENGTH) + 0.25}"
        return self._pick("", "", "", " offset 1m", " offset 90s", at, f"{at} offset 30s")

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
        name = self._pick("delta", "irate", "idelta", "deriv", "resets", "changes")
        if self._random.random() < 0.5:
            name = f"{self._pick(*_STATISTICS)}_over_time"
        if series.startswith("requests_total") and length in {"5m", "137s"}:
            name = self._pick("rate", "increase", name)
        choice = self._random.random()
        if choice < 0.1:
            return f"quantile_over_time({self._random.random():.3f}, {series})"
        # Version 2.42 forgets all steps but the first of such a prediction with @.
        if choice < 0.2 and "@" not in modifier:
            return f"predict_linear({series}, {self._random.randrange(-600, 600)})"
        return f"absent_over_time({series})" if choice < 0.22 else f"{name}({series})"

    def _function(self, depth: int) -> str:
        inner = self.vector(depth)
        number = f"{self._random.gauss(30, 40):.3f}"
        return self._pick(
            f"abs({inner})",
            f"ceil({inner})",
            f"floor({inner})",
            f"round({inner}, {self._pick('0.1', '5', '0.25')})",
            f"sqrt({inner})",
            f"ln({inner})",
            f"log2({inner})",
            f"exp({inner} / 1000)",
            f"sgn({inner})",
            f"clamp({inner}, -10, {number})",
            f"clamp_min({inner}, {number})",
            f"clamp_max({inner}, {number})",
            f"-({inner})",
            f"timestamp({inner})",
            f"vector(scalar({inner}))",
            f"vector(time()) + scalar(count({inner}))",
            f"absent({inner})",
            f"sort({inner})",
            f"atan({inner})",
            f"minute({self._selector()} * 1000)",
            f"day_of_year({self._selector()} * 1000000)",
        )

    def _aggregate(self, depth: int) -> str:
        clause = self._pick("", " by (host)", " by (gpu, host)", " without (gpu)", " by (nothing)")
        operator = self._pick("sum", "avg", "min", "max", "count", "stddev", "stdvar", "group")
        choice = self._random.random()
        if choice < 0.1:
            return f"quantile{clause}({self._random.random():.3f}, {self.vector(depth)})"
        if choice < 0.2:
            # Not of anything deeper: the order of equal values is nobody's promise.
            return f"{self._pick('topk', 'bottomk')}{clause}(2, temp)"
        if choice < 0.25:
            # Not of anything computed: the last digit would be part of a label.
            return f'count_values{clause}("value", {self._selector()})'
        return f"{operator}{clause}({self.vector(depth)})"

    def _with_scalar(self, depth: int) -> str:
        operator = self._pick("+", "-", "*", "/", "%", "^")
        number = self._pick("2", "0.5", "-3", "1e3", "0", "(-(2)^3)", "time() / 1e9")
        inner = f"({self.vector(depth)})"
        return self._pick(f"{inner} {operator} {number}", f"{number} {operator} {inner}")

    def _comparison(self) -> str:
        return self._pick(">", "<", ">=", "<=", "!=", "==") + self._pick("", "", " bool")

    def _compared(self, depth: int) -> str:
        inner, number = f"({self.vector(depth)})", f"{self._random.gauss(40, 20):.3f}"
        how = self._comparison()
        return self._pick(f"{inner} {how} {number}", f"{number} {how} {inner}")

    def _with_vector(self, depth: int) -> str:
        left, right = f"({self.vector(depth)})", f"({self.vector(depth)})"
        how = self._pick("+", "-", "*", "/", self._comparison())
        return self._pick(
            f"{left} {how} {right}",
            f"{left} {how} ignoring (zone) {right}",
            f"{left} {how} on (host, gpu) {right}",
            f"{left} {how} on (host) group_left {self._pick('limit', 'sum by (host)(temp)')}",
            f"limit {how} on (host) group_right () {right}",
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
            f'label_join({inner}, "both", "/", "host", "gpu")',
        )

    def _histogram(self, depth: int) -> str:
        rank = f"{self._random.random():.3f}"
        del depth
        return self._pick(
            f"histogram_quantile({rank}, rate(lat_bucket[5m]))",
            f"histogram_quantile({rank}, sum by (le) (rate(lat_bucket[1m])))",
            f"histogram_quantile({rank}, lat_bucket)",
        )
