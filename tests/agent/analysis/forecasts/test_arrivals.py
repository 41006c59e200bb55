"""The rate of arrivals: its level, its trend, and that a step is no trend."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.forecasts.arrivals import BIN, LINES, arrivals, lasting


def poisson(rates: list[float], seed: int = 1) -> np.ndarray:
    """Return counts of bins at these rates a second."""
    return np.random.default_rng(seed).poisson(np.array(rates) * BIN).astype(float)


def test_steady_rate_has_no_slope():
    """Five minutes at one rate give that rate within three errors, and most lines are level."""
    lines = arrivals(poisson([2.0] * 60))
    assert (lines.slope == 0.0).mean() > 0.7
    assert abs(lines.rate - 2.0) < 3 * lines.middle_error.max()
    assert np.isnan(lines.usual).mean() > 0.5


@pytest.mark.parametrize("seed", range(6))
def test_step_is_not_a_slope(seed: int):
    """Half a minute after a step the rate is that of now, and the rate of before is remembered."""
    lines = arrivals(poisson([1.0] * 50 + [5.0] * 8, seed))
    assert lines.rate == pytest.approx(5.0, rel=0.35)
    assert np.median(lines.span) <= 60.0
    usual = lines.usual[~np.isnan(lines.usual)]
    assert len(usual)
    assert 1.0 < usual.min() <= usual.max() < 2.5


def test_ramp_is_a_slope():
    """A rate that goes up steadily for five minutes has its slope, within three errors."""
    lines = arrivals(poisson([1.0 + 0.1 * number for number in range(60)]))
    long = lines.span == 60 * BIN
    assert long.any()
    assert (lines.slope > 0.0).mean() > 0.6
    assert lines.slope[long] == pytest.approx(0.1 / BIN, abs=3 * lines.slope_error[long].max())
    assert lines.rate == pytest.approx(6.9, rel=0.15)


def test_a_rise_that_may_be_none_is_in_some_lines():
    """While a rise cannot be told from chance yet, some lines go up and some do not."""
    lines = arrivals(poisson([2.0] * 48 + [2.0 + 0.15 * number for number in range(8)]))
    rising = (lines.slope > 0.0).mean()
    assert 0.1 < rising < 0.9


def test_little_is_known_of_little():
    """Of a few seconds without a request the rate is not surely 0."""
    lines = arrivals(np.zeros(2))
    assert lines.rate == 0.0
    assert (lines.middle_error > 0.03).all()


@given(st.lists(st.integers(0, 500), min_size=1, max_size=60))
def test_any_counts(counts: list[int]):
    """Whatever was counted, the numbers are finite and errors are not negative."""
    lines = arrivals(np.array(counts, dtype=float))
    numbers = (lines.middle, lines.middle_error, lines.slope, lines.slope_error, lines.span)
    assert np.isfinite(numbers).all()
    assert np.shape(numbers) == (5, LINES)
    assert np.isfinite(lines.dispersion)
    assert (lines.middle_error > 0).all()
    assert (lines.slope_error >= 0).all()
    assert lines.rate >= 0
    assert (lines.span > 0).all()
    assert (lines.span <= BIN * len(counts)).all()


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
