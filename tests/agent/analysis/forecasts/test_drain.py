"""Leaks are foreseen; steps, sawteeth, levels and noise are not."""

import itertools
import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.forecasts.drain import HORIZON, Drain, Trend, passage
from agent.analysis.forecasts.passage import Interval

TOTAL = 80e9
START = 1_800_000_000.0


def told(
    free: Callable[[float], float], seconds: float, *, step: float = 5.0
) -> Iterator[tuple[float, Interval | None]]:
    """Yield what is foreseen at each look of a quantity that follows a function of time."""
    drain = Drain()
    time = 0.0
    while time < seconds and free(time) > 0:
        yield time, drain.observe(START + time, free(time), TOTAL)
        time += step


def silent(free: Callable[[float], float], seconds: float) -> bool:
    """Return whether nothing is ever foreseen."""
    return all(foreseen is None for _time, foreseen in told(free, seconds))


@pytest.mark.parametrize("lasting", [900.0, 3600.0, 14_400.0])
def test_leak_is_foreseen_in_time(lasting: float):
    """A steady leak is seen before half of the memory is gone, and its end lies in the interval."""
    dice = random.Random(7)

    def free(time: float) -> float:
        return 8e9 * (1.0 - time / lasting) - dice.uniform(0.0, 0.02e9)

    first = None
    inside = []
    for time, foreseen in told(free, lasting):
        if foreseen is not None:
            first = time if first is None else first
            left = lasting - time
            inside.append(foreseen.low - 30.0 <= left <= foreseen.high + 30.0)
    assert first is not None
    assert first < 0.5 * lasting
    assert sum(inside) > 0.85 * len(inside)


def test_leak_that_begins_late_is_foreseen():
    """Hours of level before it do not hide a leak of half an hour."""

    def free(time: float) -> float:
        return 8e9 - max(0.0, time - 7200.0) * 4e6

    warned = [time for time, foreseen in told(free, 9200.0) if foreseen is not None]
    assert warned
    assert 7200.0 < warned[0] < 8200.0


def test_level_is_silent():
    """A constant level with noise of measurement is no trend, however high."""
    dice = random.Random(3)
    assert silent(lambda _time: 1e9 + dice.gauss(0.0, 5e6), 20_000.0)


@pytest.mark.parametrize("size", [1e9, 20e9])
def test_steps_are_silent(size: float):
    """Pools that are reserved one after the other, minutes apart, are no trend."""
    times = (500.0, 640.0, 2400.0, 2460.0)
    assert silent(lambda time: 85e9 - size * sum(time > at for at in times), 8000.0)


@pytest.mark.parametrize("period", [40.0, 300.0, 1500.0])
def test_sawtooth_is_silent_after_its_first_teeth(period: float):
    """What was as low before and came back is no trend."""
    warned = [
        time
        for time, foreseen in told(lambda time: 9e9 - 5e9 * (time % period) / period, 12 * period)
        if foreseen is not None and time > 2 * period
    ]
    assert not warned


def test_sawtooth_that_loses_ground_is_foreseen():
    """A leak below a sawtooth shows in what is left after each release."""

    def free(time: float) -> float:
        return 9e9 - 1e9 * (time % 60.0) / 60.0 - 1e6 * time

    warned = [time for time, foreseen in told(free, 8000.0) if foreseen is not None]
    assert warned
    assert warned[0] < 5000.0


def test_gap_begins_anew():
    """After a gap in time, or a clock that was set back, what came before counts no more."""
    drain = Drain()
    for time in range(0, 600, 5):
        drain.observe(START + time, 8e9 - 10e6 * time, TOTAL)
    assert drain.observe(START + 600.0, 2e9, TOTAL) is not None
    assert drain.observe(START + 4000.0, 2e9, TOTAL) is None
    assert drain.observe(START + 10.0, 2e9, TOTAL) is None


def test_estimate_counts_down():
    """Between two calculations the time that passes is taken off."""
    drain = Drain()
    foreseen = [drain.observe(START + time, 8e9 - 10e6 * time, TOTAL) for time in range(400)]
    pairs = itertools.pairwise(foreseen)
    steps = [a.estimate - b.estimate for a, b in pairs if a is not None and b is not None]
    assert steps
    assert sorted(steps)[len(steps) // 2] == pytest.approx(1.0)


@given(
    st.floats(1e6, 1e11),
    st.floats(1e3, 1e8),
    st.floats(0.0, 0.4),
    st.floats(0.0, 3.0),
)
def test_passage_is_about_the_mean(left: float, rate: float, error: float, scatter: float):
    """Times are positive, their middle is near what is left over the rate, spread widens them."""
    trend = Trend(rate, error * rate / 2, scatter * (left * rate) ** 0.5 / 3, 600.0)
    times = sorted(passage(left, trend))
    assert times[0] > 0
    middle = times[len(times) // 2]
    assert 0.3 * left / rate < middle < 2.0 * left / rate
    assert HORIZON > 0


@given(st.lists(st.floats(0.0, 1e10), min_size=30, max_size=200), st.floats(1.0, 90.0))
def test_anything_may_come(values: list[float], step: float):
    """Whatever comes, an answer is in order and never negative."""
    drain = Drain()
    for number, value in enumerate(values):
        foreseen = drain.observe(START + step * number, value, 1e10)
        if foreseen is not None:
            assert 0.0 <= foreseen.low <= foreseen.estimate <= foreseen.high
