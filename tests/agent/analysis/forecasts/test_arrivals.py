"""The rate of arrivals: its level, its trend, and that a step is no trend."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.forecasts.arrivals import BIN, arrivals, lasting


def poisson(rates: list[float], seed: int = 1) -> np.ndarray:
    """Return counts of bins at these rates a second."""
    return np.random.default_rng(seed).poisson(np.array(rates) * BIN).astype(float)


def test_steady_rate_has_no_slope():
    """Five minutes at one rate give that rate within three errors, and level."""
    line = arrivals(poisson([2.0] * 60))
    assert line.slope == 0.0
    assert abs(line.rate - 2.0) < 3 * line.middle_error
    assert line.usual is None


@pytest.mark.parametrize("seed", range(6))
def test_step_is_not_a_slope(seed: int):
    """Half a minute after a step the rate is that of now, and the rate of before is remembered."""
    line = arrivals(poisson([1.0] * 50 + [5.0] * 8, seed))
    assert line.rate == pytest.approx(5.0, rel=0.35)
    assert line.span <= 60.0
    assert line.usual is not None
    assert 1.0 < line.usual < 2.5


def test_ramp_is_a_slope():
    """A rate that goes up steadily for five minutes has its slope, within three errors."""
    line = arrivals(poisson([1.0 + 0.1 * number for number in range(60)]))
    assert line.slope == pytest.approx(0.1 / BIN, abs=3 * line.slope_error)
    assert line.rate == pytest.approx(6.9, rel=0.15)


def test_little_is_known_of_little():
    """Of a few seconds without a request the rate is not surely 0."""
    line = arrivals(np.zeros(2))
    assert line.rate == 0.0
    assert line.middle_error > 0.03


@given(st.lists(st.integers(0, 500), min_size=1, max_size=60))
def test_any_counts(counts: list[int]):
    """Whatever was counted, the numbers are finite and errors are not negative."""
    line = arrivals(np.array(counts, dtype=float))
    numbers = (line.middle, line.middle_error, line.slope, line.slope_error, line.dispersion)
    assert all(np.isfinite(numbers))
    assert line.middle_error > 0
    assert line.slope_error >= 0
    assert line.rate >= 0
    assert 0 < line.span <= BIN * len(counts)


@pytest.mark.parametrize("later", range(4))
def test_many_at_a_time_are_no_rate(later: int):
    """Sixty requests within one bin, before and after which few came, are no load of sixty."""
    counts = poisson([1.0] * 60)
    counts[-1 - later] = 60.0
    assert arrivals(counts).rate < 4.0
    assert lasting(counts).max() <= 2.0 * counts[counts < 60.0].max() + 4.0


def test_a_load_that_lasts_is_not_cut():
    """Two bins in a row are a load: neither is cut."""
    counts = np.array([5.0] * 40 + [60.0, 55.0])
    assert (lasting(counts) == counts).all()
