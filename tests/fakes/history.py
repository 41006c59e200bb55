"""A history of made-up series, and what it should give according to dictionaries."""

import struct
from collections.abc import Mapping, Sequence

from agent.model import Frame, History, Metric, MetricType, SeriesTable
from agent.store.series import STALE, Labels, Matcher, MatchOp, SeriesSamples, milliseconds

FULL = Metric(name="inferwatch_test_full", type=MetricType.GAUGE, help="Full.", labels=("x",))
FIVE = Metric(
    name="inferwatch_test_five",
    type=MetricType.GAUGE,
    help="5m.",
    labels=("x",),
    history=History.FIVE_MINUTES,
)
NONE = Metric(
    name="inferwatch_test_none",
    type=MetricType.GAUGE,
    help="None.",
    labels=("x",),
    history=History.NONE,
)
EVERYTHING = (Matcher("x", MatchOp.NOT_EQUAL, ""),)


def named(metric: Metric) -> tuple[Matcher, ...]:
    """Return the condition that a metric has this name."""
    return (Matcher("__name__", MatchOp.EQUAL, metric.name),)


def series(table: SeriesTable, metric: Metric, name: str) -> int:
    """Return a series of a metric."""
    return table.intern(metric, (name,))


def frame(table: SeriesTable, time: float, values: Mapping[int, float]) -> Frame:
    """Return a frame."""
    return Frame(time, table, list(values), list(values.values()))


def bits(value: float) -> bytes:
    """Return what a float is, down to the payload of a NaN."""
    return struct.pack("<d", value)


def seen(found: Sequence[SeriesSamples]) -> dict[Labels, list[tuple[int, bytes]]]:
    """Return samples in a form that compares bit by bit."""
    return {
        one.labels: [
            (milliseconds(time), bits(value))
            for time, value in zip(one.times, one.values, strict=True)
        ]
        for one in found
    }


class Model:
    """What a history should hold: for each series its values by millisecond, in a dictionary.

    Rows at or before the last are left out when the clock stepped back a little; where it went
    back by more, what is written later takes the place of all that it overlaps. A gap of more
    than a window is not overlapped. What was ever seen and is not in the first row after a step
    back has ended there.
    """

    def __init__(self) -> None:
        self._written: list[tuple[int, int, int, float]] = []
        self._stretches: list[tuple[int, int]] = []
        self._present: set[int] = set()

    def append(self, time: float, values: Mapping[int, float]) -> None:
        """Take over a row."""
        moment = milliseconds(time)
        if self._stretches:
            back = self._stretches[-1][1] - moment
            if 0 <= back < 5000:
                return
            if -300_000 <= back < 0:
                self._stretches[-1] = (self._stretches[-1][0], moment)
            else:
                self._stretches.append((moment, moment))
                if back > 0:
                    self._present |= {written for _n, written, _m, _v in self._written}
        else:
            self._stretches.append((moment, moment))
        number = len(self._stretches) - 1
        for series_id in self._present - set(values):
            self._written.append((number, series_id, moment, STALE))
        for series_id, value in values.items():
            self._written.append((number, series_id, moment, value))
        self._present = set(values)

    def select(self, series_id: int, start: float, end: float) -> list[tuple[int, bytes]]:
        """Return the samples of a series in (start, end]."""
        kept = {
            moment: bits(value)
            for number, written, moment, value in self._written
            if written == series_id
            and milliseconds(start) < moment <= milliseconds(end)
            and not any(a <= moment <= b for a, b in self._stretches[number + 1 :])
        }
        return sorted(kept.items())
