"""When alerts were there, from the series about them."""

from collections.abc import Sequence

from agent.report.alerts import fired, stretches
from agent.report.answers import Answer
from agent.report.grid import Grid
from agent.report.scope import Choice
from agent.store.five import Part
from agent.store.series import STALE, SeriesSamples

Samples = Sequence[tuple[float, float]]


def _series(samples: Samples, **labels: str) -> SeriesSamples:
    """Return a series of `ALERTS`."""
    pairs = {"__name__": "ALERTS", "alertname": "High", **labels}
    times, values = zip(*samples, strict=True)
    return SeriesSamples(tuple(sorted(pairs.items())), times, values)


class _Few:
    """Answers with some series, whatever is asked."""

    def __init__(self, *series: SeriesSamples) -> None:
        self._series = list(series)

    def ask(self, selector: str, grid: Grid, part: Part = Part.LAST) -> list[Answer]:
        """Not asked for."""
        raise NotImplementedError(selector, grid, part)

    def samples(self, _selector: str, _start: float, _end: float) -> list[SeriesSamples]:
        """Return them."""
        return self._series

    def known(self, selector: str) -> bool:
        """Not asked for."""
        raise NotImplementedError(selector)


def _ones(start: int, end: int) -> list[tuple[float, float]]:
    """Return a sample each ten seconds."""
    return [(float(time), 1.0) for time in range(start, end, 10)]


def test_a_marker_ends_a_stretch():
    """To the second, and what comes later is another."""
    found = list(stretches(_series([*_ones(0, 60), (60.0, STALE), *_ones(90, 120)]), 2000.0))

    assert [(one.start, one.end) for one in found] == [(0.0, 60.0), (90.0, 110.0)]


def test_what_lasts_to_the_end_is_not_over():
    """Nobody knows when it ends, and nobody guesses."""
    (found,) = stretches(_series(_ones(0, 1000)), 1000.0)

    assert found.end is None


def test_a_long_pause_ends_a_stretch():
    """An agent that was killed wrote no marker."""
    found = list(stretches(_series([*_ones(0, 60), *_ones(3000, 3060)]), 9000.0))

    assert [(one.start, one.end) for one in found] == [(0.0, 50.0), (3000.0, 3050.0)]


def test_detection_counts_from_when_it_was_pending():
    """An alert that waited for a minute took a minute to tell."""
    pending = _series([*_ones(0, 60), (60.0, STALE)], alertstate="pending", instance_name="a")
    firing = _series([*_ones(60, 120), (120.0, STALE)], alertstate="firing", instance_name="a")

    (found,) = fired(_Few(pending, firing), Choice(), 0.0, 5000.0)

    assert found["time_to_detect_seconds"] == 60.0
    assert found["time_to_resolve_seconds"] == 120.0
    assert found["labels"] == {"instance_name": "a"}


def test_alerts_of_other_engines_are_left_out():
    """Of one engine: its own alerts, and those that are about no engine."""
    series = [
        _series(_ones(0, 60), alertstate="firing", instance_name=name, alertname=name)
        for name in ("chat", "other")
    ]
    host = _series(_ones(0, 60), alertstate="firing", alertname="host")

    found = fired(_Few(*series, host), Choice(instance_name="chat"), 0.0, 5000.0)

    assert [one["alertname"] for one in found] == ["chat", "host"]


def test_what_only_waited_is_no_alert():
    """An alert that never fired is not listed."""
    waited = _series([*_ones(0, 60), (60.0, STALE)], alertstate="pending")

    assert fired(_Few(waited), Choice(), 0.0, 5000.0) == []
