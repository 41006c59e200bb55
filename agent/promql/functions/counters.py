"""How fast counters and gauges change: `rate` and its kin, `resets` and `changes`.

Counters start again at zero when their process does: a value below its predecessor is a reset,
and what was counted before it is added. The extrapolation to the ends of the range follows
Prometheus's documentation of `rate` and its source, promql/functions.go, version 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from math import isnan
from operator import gt, ne
from typing import Final, NamedTuple

from agent.promql.functions.call import Build, Call
from agent.promql.functions.ranges import Check, always, over_range
from agent.promql.labels import NAME, quoted, value_of
from agent.promql.run import Run, Window
from agent.store.recent import Columns
from agent.store.series import Labels

# Between two samples of a series that is looked at regularly lies at most so much more than
# their average distance; more is a gap, into which only half a distance is extrapolated.
_TOLERATED_GAP: Final = 1.1


def growth(values: Sequence[float]) -> float:
    """Return how much a counter has grown over at least two values, resets included."""
    grown = values[-1] - values[0]
    # Sorting finds that there is nothing to sort at C speed; a list equals itself by identity.
    if (ordered := sorted(values)) != values and ordered != [*values]:
        for before in compress(values, map(gt, values, values[1:])):
            grown += before
    return grown


class _Reach(NamedTuple):
    """How far samples stand for a range, in seconds.

    Attributes:
        sampled: between the first and the last.
        before: which they stand for before the first.
        behind: which they stand for behind the last.
        range: of the whole range.
    """

    sampled: float
    before: float
    behind: float
    range: float


def _reach(times: Sequence[float], window: Window) -> _Reach:
    """Return how far at least two samples stand for a range."""
    _, start, end = window
    first, last = round(times[0] * 1000), round(times[-1] * 1000)
    sampled = (last - first) / 1000
    distance = sampled / (len(times) - 1)
    threshold = distance * _TOLERATED_GAP
    before, behind = (first - start) / 1000, (end - last) / 1000
    if before >= threshold:
        before = distance / 2
    if behind >= threshold:
        behind = distance / 2
    return _Reach(sampled, before, behind, (end - start) / 1000)


@dataclass(frozen=True, slots=True)
class _Change:
    """Judges by samples how series changed over the whole of a range.

    Attributes:
        counter: they are counters, else gauges.
        per_second: divide by the length of the range.
    """

    counter: bool
    per_second: bool

    def build(self, check: Check | None = None) -> Build:
        """Return how a call is compiled."""
        return over_range(self._reduce, whole=self._whole, steady=always, check=check)

    def _reduce(
        self, times: Sequence[float], values: Sequence[float], window: Window
    ) -> float | None:
        """Return the change of one series."""
        if len(values) < 2:  # noqa: PLR2004
            return None
        result = growth(values) if self.counter else values[-1] - values[0]
        return self._extrapolated(result, values[0], _reach(times, window))

    def _whole(self, columns: Columns, window: Window) -> list[float] | None:
        """Return the change of each of several series, from their ends alone if none was reset."""
        if len(columns.times) < 2:  # noqa: PLR2004
            return None
        if columns.constant:
            return [0.0] * len(columns.labels)
        firsts = columns.first()
        results = [last - first for first, last in zip(firsts, columns.last(), strict=True)]
        if self.counter:
            for place, before in columns.falls():
                results[place] += before
        reach = _reach(columns.times, window)
        return [
            self._extrapolated(result, first, reach)
            for result, first in zip(results, firsts, strict=True)
        ]

    def _extrapolated(self, result: float, first: float, reach: _Reach) -> float:
        """Return what a change between the samples is over the whole range."""
        sampled, before, behind, length = reach
        factor = 1.0
        if sampled:
            if self.counter and result > 0 and first >= 0:
                # A counter cannot have been below zero: it began where the slope meets zero.
                before = min(before, sampled * (first / result))
            factor = (sampled + before + behind) / sampled
        # One factor, in Prometheus's order of operations: the same to the last bit.
        return result * (factor / length if self.per_second else factor)


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


def _none_where_constant(columns: Columns, _: Window) -> list[float] | None:
    """Return zero for each of some series that stand still."""
    return [0.0] * len(columns.labels) if columns.constant else None


def _all_resets(columns: Columns, _: Window) -> list[float]:
    """Return the same for each of several series."""
    counts = [0.0] * len(columns.labels)
    for place, _before in columns.falls():
        counts[place] += 1.0
    return counts


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
    "rate": _Change(counter=True, per_second=True).build(_doubt_counter),
    "increase": _Change(counter=True, per_second=False).build(_doubt_counter),
    "delta": _Change(counter=False, per_second=False).build(),
    "irate": over_range(_irate, steady=always),
    "idelta": over_range(_idelta, steady=always),
    "resets": over_range(_resets, whole=_all_resets, steady=always),
    "changes": over_range(_changes, whole=_none_where_constant, steady=always),
}
