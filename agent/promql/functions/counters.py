"""How fast counters and gauges change: `rate` and its kin, `resets` and `changes`.

Counters start again at zero when their process does: a value below its predecessor is a reset,
and what was counted before it is added. The extrapolation to the ends of the range follows
Prometheus's documentation of `rate` and its source, promql/functions.go, version 3.
"""

from collections.abc import Mapping, Sequence
from itertools import compress, pairwise
from math import isnan
from operator import gt, ne
from typing import Final

from agent.promql.functions.call import Build, Call
from agent.promql.functions.ranges import Reduce, over_range
from agent.promql.labels import NAME, quoted, value_of
from agent.promql.run import Run, Window
from agent.store.series import Labels

# Between two samples of a series that is looked at regularly lies at most so much more than
# their average distance; more is a gap, into which only half a distance is extrapolated.
_TOLERATED_GAP: Final = 1.1


def growth(values: Sequence[float]) -> float:
    """Return how much a counter has grown over at least two values, resets included."""
    grown = values[-1] - values[0]
    # Sorting finds that there is nothing to sort at C speed; a list equals itself by identity.
    if (ordered := sorted(values)) != values and ordered != [*values]:
        for before, now in pairwise(values):
            if now < before:
                grown += before
    return grown


def _extrapolated(*, counter: bool, per_second: bool) -> Reduce:
    """Return the function that judges by the samples how a series changed over the whole range.

    Args:
        counter: the series is a counter, else a gauge.
        per_second: divide by the length of the range.
    """

    def reduce(times: Sequence[float], values: Sequence[float], window: Window) -> float | None:
        count = len(values)
        if count < 2:  # noqa: PLR2004
            return None
        _, start, end = window
        result = growth(values) if counter else values[-1] - values[0]
        first, last = round(times[0] * 1000), round(times[-1] * 1000)
        sampled = (last - first) / 1000
        factor = 1.0
        if sampled:
            distance = sampled / (count - 1)
            threshold = distance * _TOLERATED_GAP
            before, behind = (first - start) / 1000, (end - last) / 1000
            if before >= threshold:
                before = distance / 2
            if counter and result > 0 and values[0] >= 0:
                # A counter cannot have been below zero: it began where the slope meets zero.
                before = min(before, sampled * (values[0] / result))
            if behind >= threshold:
                behind = distance / 2
            factor = (sampled + before + behind) / sampled
        # One factor, in Prometheus's order of operations: the same to the last bit.
        return result * (factor / ((end - start) / 1000) if per_second else factor)

    return reduce


def _last_two(times: Sequence[float], values: Sequence[float]) -> tuple[float, float] | None:
    """Return the difference of the last two values and the seconds between them."""
    if len(values) < 2:  # noqa: PLR2004
        return None
    seconds = (round(times[-1] * 1000) - round(times[-2] * 1000)) / 1000
    return (values[-1] - values[-2], seconds) if seconds else None


def _irate(times: Sequence[float], values: Sequence[float], _: Window) -> float | None:
    """Return the growth of a counter per second between its last two samples."""
    found = _last_two(times, values)
    if found is None:
        return None
    grown = values[-1] if values[-1] < values[-2] else found[0]
    return grown / found[1]


def _idelta(times: Sequence[float], values: Sequence[float], _: Window) -> float | None:
    """Return the difference between the last two samples of a gauge."""
    found = _last_two(times, values)
    return None if found is None else found[0]


def _resets(_: Sequence[float], values: Sequence[float], __: Window) -> float:
    """Return how often a value was below its predecessor."""
    return float(sum(map(gt, values, values[1:])))


def _changes(_: Sequence[float], values: Sequence[float], __: Window) -> float:
    """Return how often a value differed from its predecessor; NaN equals NaN."""
    following = values[1:]
    differing = sum(map(ne, values, following))
    if isnan(sum(values)):
        differing -= sum(map(isnan, compress(following, map(isnan, values))))
    return float(differing)


def _doubt_counter(run: Run, call: Call, _: Sequence[float], labels: Sequence[Labels]) -> None:
    """Tell where a series is named unlike a counter."""
    if run.notes is None:
        return
    for name in {value_of(item, NAME) for item in labels}:
        if name and not name.endswith(("_total", "_sum", "_count", "_bucket")):
            run.notes.inform(
                "metric might not be a counter, name does not end in "
                f"_total/_sum/_count/_bucket: {quoted(name)}",
                call.site,
                0,
            )


TABLE: Final[Mapping[str, Build]] = {
    "rate": over_range(_extrapolated(counter=True, per_second=True), check=_doubt_counter),
    "increase": over_range(_extrapolated(counter=True, per_second=False), check=_doubt_counter),
    "delta": over_range(_extrapolated(counter=False, per_second=False)),
    "irate": over_range(_irate),
    "idelta": over_range(_idelta),
    "resets": over_range(_resets),
    "changes": over_range(_changes),
}
