"""The rate of arrivals: its level, its trend, and that a step is no trend."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.forecasts.arrivals import LINES, arrivals

EACH = 5


def poisson(rates: list[float], seed: int = 1) -> np.ndarray:
    """Return counts of seconds, at each of these rates for five of them."""
    dice = np.random.default_rng(seed)
    counts = dice.poisson(np.array(rates) * EACH)
    return dice.multinomial(counts, [1.0 / EACH] * EACH).ravel().astype(float)


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
    long = lines.span == 60 * EACH
    assert long.any()
    assert (lines.slope > 0.0).mean() > 0.6
    assert lines.slope[long] == pytest.approx(0.1 / EACH, abs=3 * lines.slope_error[long].max())
    assert lines.rate == pytest.approx(6.9, rel=0.15)


def test_a_rise_that_may_be_none_is_in_some_lines():
    """While a rise cannot be told from chance yet, some lines go up and some do not."""
    lines = arrivals(poisson([2.0] * 48 + [2.0 + 0.15 * number for number in range(8)]))
    rising = (lines.slope > 0.0).mean()
    assert 0.1 < rising < 0.9


def test_little_is_known_of_little():
    """Of a few seconds without a request the rate is not surely 0."""
    lines = arrivals(np.zeros(10))
    assert lines.rate == 0.0
    assert (lines.middle_error > 0.03).all()


@given(st.lists(st.integers(0, 500), min_size=1, max_size=120))
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
    assert (lines.span <= len(counts)).all()


@pytest.mark.parametrize("later", range(12))
@pytest.mark.parametrize("lasts", [1, 3, 6])
def test_many_at_a_time_are_no_rate(later: int, lasts: int):
    """Sixty requests within seconds are no load of sixty, whichever seconds these are."""
    counts = poisson([1.0] * 60)
    counts[300 - later - lasts : 300 - later] += 60.0 / lasts
    assert arrivals(counts).rate < 2.0


@pytest.mark.parametrize("apart", [2, 5, 15])
def test_looks_that_are_rare_make_no_trend(apart: int):
    """What was counted every few seconds, and is spread over them, is no surer than it was."""

    def level(apart: int) -> float:
        lines = []
        for seed in range(20):
            counts = poisson([2.0] * 60, seed).reshape(-1, apart).sum(axis=1)
            lines.append(arrivals(np.repeat(counts / apart, apart), apart=apart))
        return float(np.mean([line.slope == 0.0 for line in lines]))

    assert level(apart) > level(1) - 0.05
