"""Peaks: the highest and lowest value over the trailing window."""

from collections.abc import Sequence
from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.peaks import Extrema, Peaks
from agent.catalog import PEAKS
from agent.catalog import agent as catalog
from agent.model import EMPTY_READING, Frame, Metric, SeriesTable
from tests.fakes.samples import samples

METRIC: Metric = next(metric for metric in PEAKS if metric.labels)
NAME = METRIC.name.removeprefix("inferwatch_")
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 3.5, 20.0, 61.0]),
        st.one_of(st.floats(allow_nan=False), st.integers(-3, 3).map(float)),
    ),
    min_size=1,
    max_size=60,
)


def _labels(name: str) -> tuple[str, ...]:
    """Return label values for one series of the metric."""
    return (name, *[""] * (len(METRIC.labels) - 1))


def _frame(table: SeriesTable, time: float, values: dict[str, float], ids: Sequence[int]) -> Frame:
    """Return a frame; `ids` is kept while the series stand, as the pipeline does it."""
    fresh = [table.intern(METRIC, _labels(name)) for name in values]
    if fresh != ids:
        ids = fresh
    return Frame(time, table, ids, list(values.values()))


def push(extrema: Extrema, time: float, value: float, window: float) -> float:
    """Take a value of a single series and return its maximum."""
    (found,) = extrema.push(time, np.array([value]), window).tolist()
    return float(found)


@given(STEPS, st.sampled_from([1.0, 5.0, 60.0]))
def test_extremum_is_the_maximum_of_the_window(steps: list[tuple[float, float]], window: float):
    """At every step the answer is the maximum of exactly the values in (time - window, time]."""
    extrema = Extrema()
    seen: list[tuple[float, float]] = []
    now = 1_800_000_000.0
    for gap, value in steps:
        now += gap
        seen.append((now, value))
        expected = max(then_value for then, then_value in seen if now - window < then <= now)
        assert push(extrema, now, value, window) == expected


@given(STEPS, st.sampled_from([1.0, 5.0]))
def test_peaks_are_maximum_and_minimum(steps: list[tuple[float, float]], window: float):
    """Both published series agree with a look at all samples of the window."""
    table = SeriesTable()
    peaks = Peaks(window)
    seen: list[tuple[float, float]] = []
    now, ids = 1_800_000_000.0, [table.intern(METRIC, _labels("a"))]
    for gap, value in steps:
        now += gap
        seen.append((now, value))
        inside = [then_value for then, then_value in seen if now - window < then <= now]
        reading = peaks.observe(Frame(now, table, ids, [value]))
        assert list(reading.values) == [max(inside), min(inside)]


def test_names_and_labels_of_peaks():
    """The extremes carry the labels of their metric; metrics without peaks give none."""
    table = SeriesTable()
    peaks = Peaks(60.0)
    ids = [
        table.intern(catalog.TICKS),
        table.intern(METRIC, _labels("a")),
        table.intern(METRIC, _labels("b")),
    ]
    reading = peaks.observe(Frame(1.0, table, ids, [7.0, 1.0, 2.0]))
    label = METRIC.labels[0]
    assert samples(table, reading) == {
        f'{NAME}_max{{{label}="a"}}': 1.0,
        f'{NAME}_min{{{label}="a"}}': 1.0,
        f'{NAME}_max{{{label}="b"}}': 2.0,
        f'{NAME}_min{{{label}="b"}}': 2.0,
    }


def test_no_series_with_peaks():
    """A frame without such series has no peaks."""
    table = SeriesTable()
    frame = Frame(1.0, table, [table.intern(catalog.TICKS)], [1.0])
    assert Peaks(60.0).observe(frame) is EMPTY_READING


PRESENT = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.integers(-9, 9).map(float)), max_size=40
)


@given(PRESENT)
def test_series_that_come_and_go(frames: list[dict[str, float]]):
    """Each series has a window of its own, which begins anew when it was absent in between."""
    table = SeriesTable()
    peaks = Peaks(5.0)
    windows: dict[str, list[tuple[float, float]]] = {}
    ids: Sequence[int] = []
    label = METRIC.labels[0]
    for now, values in enumerate(frames):
        frame = _frame(table, float(now), values, ids)
        ids = frame.ids
        windows = {name: windows.get(name, []) for name in values}
        expected = {}
        for name, value in values.items():
            windows[name].append((float(now), value))
            inside = [value for then, value in windows[name] if now - 5.0 < then]
            expected[f'{NAME}_max{{{label}="{name}"}}'] = max(inside)
            expected[f'{NAME}_min{{{label}="{name}"}}'] = min(inside)
        assert samples(table, peaks.observe(frame)) == expected


def test_not_a_number_is_no_value():
    """A NaN hides no peak, before or after it; alone it is all there is to say."""
    extrema = Extrema()
    assert isnan(push(extrema, 0.0, nan, 5.0))
    assert push(extrema, 1.0, 3.0, 5.0) == 3.0
    assert push(extrema, 2.0, nan, 5.0) == 3.0
    assert push(extrema, 3.0, 10.0, 5.0) == 10.0
    assert isnan(push(extrema, 9.0, nan, 5.0))


@pytest.mark.parametrize("value", [inf, -inf])
def test_infinities_are_values(value: float):
    """An infinite value is the peak while it is in the window, and leaves with it."""
    table = SeriesTable()
    peaks, ids = Peaks(5.0), [table.intern(METRIC, _labels("a"))]
    peaks.observe(Frame(0.0, table, ids, [value]))
    assert value in peaks.observe(Frame(1.0, table, ids, [1.0])).values
    assert list(peaks.observe(Frame(5.0, table, ids, [1.0])).values) == [1.0, 1.0]


@given(
    st.lists(st.tuples(st.floats(-9.0, 30.0), st.integers(-3, 3).map(float)), max_size=40),
    st.sampled_from([1.0, 5.0, 60.0]),
)
def test_a_clock_that_is_set_drops_what_came_after(steps: list[tuple[float, float]], window: float):
    """What was seen before the time to which a clock is set back still counts, and nothing else."""
    extrema = Extrema()
    seen: list[tuple[float, float]] = []
    now = 1_800_000_000.0
    for gap, value in steps:
        now += gap
        seen = [*((then, one) for then, one in seen if now - window < then <= now), (now, value)]
        assert push(extrema, now, value, window) == max(one for _then, one in seen)


def test_a_clock_set_back_does_not_keep_a_peak():
    """What was seen at a time that is yet to come leaves at once, not when that time comes."""
    extrema = Extrema()
    push(extrema, 1000.0, 9.0, 60.0)
    assert push(extrema, 400.0, 1.0, 60.0) == 1.0
    assert push(extrema, 401.0, 0.5, 60.0) == 1.0


def test_the_window_can_change():
    """A reload that shortens the window drops what is too old for it."""
    table = SeriesTable()
    peaks, ids = Peaks(60.0), [table.intern(METRIC, _labels("a"))]
    peaks.observe(Frame(0.0, table, ids, [9.0]))
    peaks.window = 10.0
    assert list(peaks.observe(Frame(20.0, table, ids, [1.0])).values) == [1.0, 1.0]
