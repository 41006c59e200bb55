"""What is said with an alert beside what its rule says: the numbers behind it, now and before."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from agent.alerts.source import NAME, OneTick
from agent.alerts.template.humanize import (
    humanize,
    humanize_1024,
    humanize_duration,
    humanize_percentage,
    humanize_timestamp,
    short,
)
from agent.catalog import METRICS
from agent.model import MetricType
from agent.promql import Query
from agent.store.series import Matcher, MatchOp, SeriesSamples, is_stale, milliseconds

BEFORE: Final = 60.0
"""Seconds between the two numbers."""

_LOOKBACK: Final = 300.0
_USUAL: Final = 5.0
_MOST_LINES: Final = 8
# In the order in which people look for them; the other labels are for machines.
_SUBJECTS: Final = (
    "engine",
    "instance_name",
    "model_name",
    "gpu",
    "uuid",
    "source",
    "mountpoint",
    "device",
)


def subject(labels: Mapping[str, str]) -> str:
    """Return what an alert is about, in one line."""
    return ", ".join(
        f"{name.removesuffix('_name')} {labels[name]}" for name in _SUBJECTS if labels.get(name)
    )


def numbers(query: Query, labels: Mapping[str, str], time: float, tick: OneTick) -> str:
    """Return the metrics that an expression reads, now and a minute before, one in a line.

    A counter is told as its rate over the minute; buckets of histograms are left out.

    Args:
        query: the expression.
        labels: of the alert; series that contradict one of them are not about it.
        time: Unix seconds.
        tick: the history.
    """
    lines: dict[str, None] = {}
    for selector in query.selectors:
        name = selector.metric_name
        if name is None or name.endswith("_bucket"):
            continue
        matchers = [*selector.matchers, *_agreeing(labels)]
        # Most series have a sample each second; only of the others more has to be read.
        oldest = time - BEFORE * 2
        found = tick.select(matchers, oldest - _USUAL, time)
        if not found or any(series.times[0] > oldest for series in found):
            found = tick.select(matchers, oldest - _LOOKBACK, time)
        for series in found:
            for line in _line(name, series, labels, time):
                lines[line] = None
    shown = [*lines]
    if len(shown) > _MOST_LINES:
        shown[_MOST_LINES:] = [f"and {len(shown) - _MOST_LINES} more"]
    return "\n".join(shown)


def _agreeing(labels: Mapping[str, str]) -> list[Matcher]:
    """Return conditions that only series about the same thing satisfy."""
    from_subject = [name for name in _SUBJECTS if labels.get(name)]
    return [Matcher(name, MatchOp.REGEX, f"|{re.escape(labels[name])}") for name in from_subject]


def _line(
    name: str, series: SeriesSamples, labels: Mapping[str, str], time: float
) -> Iterator[str]:
    """Yield how one series stands, if anything can be said of it."""
    further = [
        f"{key}={value}" for key, value in series.labels if key != NAME and key not in labels
    ]
    called = name + (f"{{{', '.join(further)}}}" if further else "")
    now, before = _at(series, time), _at(series, time - BEFORE)
    if not _counts(name):
        if now is not None:
            said = "" if before is None else f", a minute before {_shown(name, before)}"
            yield f"{called}: {_shown(name, now)}{said}"
        return
    earlier = _at(series, time - 2 * BEFORE)
    rate, rate_before = _rate(before, now), _rate(earlier, before)
    if rate is not None:
        said = "" if rate_before is None else f", the minute before {_shown('', rate_before)}"
        yield f"{called}: {_shown('', rate)} each second of the last minute{said}"


def _shown(name: str, value: float) -> str:
    """Return a number in the unit that the name of its metric ends in."""
    base = name.removesuffix("_max").removesuffix("_min")
    for unit, form in _FORMS.items():
        if base.endswith(unit):
            return form(value)
    return humanize(value) if abs(value) >= _LARGE else short(value)


_LARGE: Final = 10_000
_FORMS: Final[dict[str, Callable[[float], str]]] = {
    "_ratio": humanize_percentage,
    "_bytes": lambda value: humanize_1024(value) + "B",
    "_timestamp_seconds": humanize_timestamp,
    "_start_time_seconds": humanize_timestamp,
    "_boot_time_seconds": humanize_timestamp,
    "_seconds": humanize_duration,
}


def _counts(name: str) -> bool:
    """Return whether a series only grows."""
    if name.endswith(("_sum", "_count")) and name not in METRICS:
        return True
    metric = METRICS.get(name)
    return metric is not None and metric.type is MetricType.COUNTER


def _at(series: SeriesSamples, time: float) -> float | None:
    """Return the value of a series at a time, None where it has none."""
    return _last(series.times, series.values, milliseconds(time))


def _last(times: Sequence[float], values: Sequence[float], moment: int) -> float | None:
    """Return the last value within the lookback before a moment in milliseconds."""
    for then, value in zip(reversed(times), reversed(values), strict=True):
        if milliseconds(then) > moment:
            continue
        young = moment - milliseconds(then) < _LOOKBACK * 1000
        return value if young and not is_stale(value) else None
    return None


def _rate(before: float | None, now: float | None) -> float | None:
    """Return the growth of a counter for each second, None where it is not known."""
    if before is None or now is None or now < before:
        return None
    return (now - before) / BEFORE
