"""Alerts that fired in a window of time, from the series that rules write about them."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from agent.alerts.recorded import ALERTS
from agent.report.answers import Answers
from agent.report.scope import Choice
from agent.store.series import Labels, SeriesSamples, is_stale

_PAUSE: Final = 600.0
"""Seconds without a sample after which a series had ended, though nobody wrote so: two windows."""

_OWN: Final = frozenset({"__name__", "alertstate", "alertname", "instance", "job"})


@dataclass(frozen=True, slots=True)
class Stretch:
    """Time for which an alert was in one state.

    Attributes:
        start: Unix seconds of its first sample.
        end: when it ended; None where it had not by the end of the window.
    """

    start: float
    end: float | None


def stretches(series: SeriesSamples, until: float) -> Iterator[Stretch]:
    """Yield when a series was there.

    Args:
        series: all of its samples up to `until`.
        until: Unix seconds; what is there shortly before is taken to go on.
    """
    start = last = None
    for time, value in zip(series.times, series.values, strict=True):
        if start is not None and last is not None and (is_stale(value) or time - last > _PAUSE):
            yield Stretch(start, time if is_stale(value) else last)
            start = last = None
        if not is_stale(value):
            start = time if start is None else start
            last = time
    if start is not None and last is not None:
        yield Stretch(start, None if until - last <= _PAUSE else last)


def fired(answers: Answers, choice: Choice, start: float, end: float) -> list[dict[str, Any]]:
    """Return the alerts that fired in (start, end], the oldest first.

    One about another engine than those chosen is left out; one about no engine, such as of the
    host, is not.
    """
    firing: defaultdict[Labels, list[Stretch]] = defaultdict(list)
    pending: defaultdict[Labels, list[Stretch]] = defaultdict(list)
    for series in answers.samples(ALERTS, start, end):
        labels = dict(series.labels)
        into = {"firing": firing, "pending": pending}.get(labels.get("alertstate", ""))
        if into is not None and _wanted(labels, choice):
            identity = tuple(pair for pair in series.labels if pair[0] != "alertstate")
            into[identity] += stretches(series, end)
    found = [
        _alert(dict(identity), one, _before(pending[identity], one))
        for identity, several in firing.items()
        for one in several
    ]
    return sorted(found, key=lambda one: (one["fired_timestamp_seconds"], one["alertname"]))


def _wanted(labels: dict[str, str], choice: Choice) -> bool:
    """Return whether an alert is about what was chosen, or about no engine."""
    chosen = {"instance_name": choice.instance_name, "model_name": choice.model_name}
    return all(
        wanted is None or labels.get(name, wanted) == wanted for name, wanted in chosen.items()
    )


def _before(pending: list[Stretch], firing: Stretch) -> float:
    """Return since when what is alerted on held: while it was pending, or since it fires."""
    led = [
        one.start
        for one in pending
        if one.start <= firing.start and one.end is not None and firing.start - one.end <= _PAUSE
    ]
    return max(led, default=firing.start)


def _alert(labels: dict[str, str], firing: Stretch, began: float) -> dict[str, Any]:
    """Return an alert; times count from when its condition held."""
    resolved = firing.end
    return {
        "alertname": labels.get("alertname", ""),
        "instance_name": labels.get("instance_name", ""),
        "labels": {name: value for name, value in labels.items() if name not in _OWN},
        "began_timestamp_seconds": began,
        "fired_timestamp_seconds": firing.start,
        "resolved_timestamp_seconds": resolved,
        "time_to_detect_seconds": firing.start - began,
        "time_to_resolve_seconds": None if resolved is None else resolved - began,
    }
