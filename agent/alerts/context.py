"""What is said with an alert beside what its rule says: the numbers behind it, now and before."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeAlias

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
from agent.store.recent import Columns
from agent.store.series import (
    Labels,
    Matcher,
    MatchOp,
    SeriesSamples,
    after,
    is_stale,
    milliseconds,
)
from agent.store.shape import Shape

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
        for known, values in _values(selector.matchers, _about(labels), time, tick):
            for line in _line(name, known, values, labels):
                lines[line] = None
    shown = [*lines]
    if len(shown) > _MOST_LINES:
        shown[_MOST_LINES:] = [f"and {len(shown) - _MOST_LINES} more"]
    return "\n".join(shown)


class _Values(NamedTuple):
    """The values of a series now, a minute before and two minutes before; None for no value."""

    now: float | None
    before: float | None
    earlier: float | None


_About: TypeAlias = tuple[tuple[str, str], ...]


def _about(labels: Mapping[str, str]) -> _About:
    """Return the labels of an alert that say what it is about."""
    return tuple((name, labels[name]) for name in _SUBJECTS if labels.get(name))


def _values(
    matchers: tuple[Matcher, ...], about: _About, time: float, tick: OneTick
) -> Iterator[tuple[Labels, _Values]]:
    """Yield the labels and the values of the series that are about the same thing."""
    # Most series have a sample each second; only of the others more has to be read.
    oldest = time - BEFORE * 2
    parts = _columns(matchers, oldest, time, tick)
    if parts is not None:
        for columns in parts:
            times = columns.times
            rows = [_last(times, milliseconds(time - BEFORE * back)) for back in range(3)]
            block = columns.block()
            for place in columns.labels.once(("about", about), partial(_agreeing, about)):
                found = [None if row is None else float(block[place, row]) for row in rows]
                yield columns.labels[place], _Values(*found)
        return
    wanted = [*matchers, *(Matcher(n, MatchOp.REGEX, f"|{re.escape(v)}") for n, v in about)]
    series = tick.select(wanted, oldest - _USUAL, time)
    if not series or any(one.times[0] > oldest for one in series):
        series = tick.select(wanted, oldest - _LOOKBACK, time)
    for one in series:
        yield one.labels, _Values(*(_at(one, time - BEFORE * back) for back in range(3)))


def _columns(
    matchers: tuple[Matcher, ...], oldest: float, time: float, tick: OneTick
) -> tuple[Columns, ...] | None:
    """Return the samples that are looked at as columns, None where they are not to be had so."""
    end = milliseconds(time)
    parts = tick.columns(matchers, milliseconds(oldest - _USUAL), end)
    if parts is not None and (not parts or any(it.times[0] > oldest for it in parts)):
        parts = tick.columns(matchers, milliseconds(oldest - _LOOKBACK), end)
    return parts


def _agreeing(about: _About, shape: Shape) -> list[int]:
    """Return the places of the series that contradict nothing of what an alert is about."""
    wanted = dict(about)
    return [
        place
        for place, labels in enumerate(shape)
        if all(wanted.get(name, value) == value for name, value in labels)
    ]


def _line(name: str, series: Labels, values: _Values, labels: Mapping[str, str]) -> Iterator[str]:
    """Yield how one series stands, if anything can be said of it."""
    further = [f"{key}={value}" for key, value in series if key != NAME and key not in labels]
    called = name + (f"{{{', '.join(further)}}}" if further else "")
    now, before, earlier = values
    if not _counts(name):
        if now is not None:
            said = "" if before is None else f", a minute before {_shown(name, before)}"
            yield f"{called}: {_shown(name, now)}{said}"
        return
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
    place = _last(series.times, milliseconds(time))
    if place is None or is_stale(series.values[place]):
        return None
    return series.values[place]


def _last(times: Sequence[float], moment: int) -> int | None:
    """Return the place of the last sample within the lookback before a moment in milliseconds."""
    place = bisect_left(times, after(moment)) - 1
    if place < 0 or moment - milliseconds(times[place]) >= _LOOKBACK * 1000:
        return None
    return place


def _rate(before: float | None, now: float | None) -> float | None:
    """Return the growth of a counter for each second, None where it is not known."""
    if before is None or now is None or now < before:
        return None
    return (now - before) / BEFORE
