"""How far a machine is from its law, from minute to minute."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.step_drift import MINUTE, Drift, drift_of


def _of(minutes: list[float], *, noise: float = 0.0, each: int = 12, seed: int = 1) -> Drift:
    """Return the drift of minutes in which steps take so many times as long as by the law."""
    dice = np.random.default_rng(seed)
    ratios = np.repeat(minutes, each) * np.exp(dice.normal(0.0, noise, each * len(minutes)))
    times = np.arange(len(ratios)) * MINUTE / each
    count = len(ratios)
    return drift_of(ratios, np.ones(count), times, np.full(count, MINUTE / each))


def test_a_machine_that_stays_as_it_is_does_not_drift():
    """Scatter within the minutes is not taken for a difference between them."""
    found = _of([1.0] * 20, noise=0.06)
    assert found.spread < 0.03
    assert found.slowness == pytest.approx(1.0, abs=0.01)
    assert found.minutes == 20


@given(st.floats(0.05, 0.5), st.integers(0, 100))
def test_minutes_that_differ_are_found(size: float, seed: int):
    """The standard deviation between minutes is found again, noise or none."""
    minutes = np.exp(size * np.tile([1.0, -1.0], 10)).tolist()
    expected = size * np.sqrt(20.0 / 19.0)
    assert _of(minutes).spread == pytest.approx(expected, rel=1e-6)
    assert _of(minutes, noise=0.05, seed=seed).spread == pytest.approx(expected, rel=0.25)


@given(st.lists(st.floats(1.0, 3.0), min_size=3, max_size=20))
def test_slowness_is_the_mean_time_against_the_law(minutes: list[float]):
    """What a machine as it is gets done is told by the mean, slow minutes included."""
    assert _of(minutes).slowness == pytest.approx(np.mean(minutes))


def test_few_minutes_tell_nothing_of_how_they_differ():
    """Two minutes may differ by chance, or by what came once."""
    assert _of([1.0, 1.5]).spread == 0.0
    assert _of([1.0, 1.5, 1.2]).spread > 0.1


def test_one_stretch_a_minute_tells_nothing_of_their_scatter():
    """Where each minute has one there is nothing within a minute to compare with."""
    assert _of([1.0, 1.5, 1.2], each=1).spread == 0.0
