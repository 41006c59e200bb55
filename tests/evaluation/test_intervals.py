"""What a count of a few says: bounds that hold the truth as often as they claim."""

from math import comb, exp, factorial, inf, isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.intervals import quantile, rate, share, share_of_runs

COUNTED = [rate(many, 1.0) for many in range(30)]
"""The bounds of each count, which take long to find."""


@pytest.mark.parametrize(
    ("good", "many", "low", "high"),
    [(0, 10, 0.0, 0.2775), (15, 19, 0.5666, 0.9149), (10, 10, 0.7225, 1.0)],
)
def test_a_share_has_the_bounds_of_wilson(good: int, many: int, low: float, high: float):
    """As solved by hand from `|p - share| = 1.96 sqrt(p (1 - p) / many)`."""
    assert share(good, many) == pytest.approx((low, high), abs=1e-3)


@given(st.integers(1, 60), st.floats(0.05, 0.95))
def test_the_bounds_of_a_share_hold_it_nearly_always(many: int, truth: float):
    """Over all counts that chance can make the truth is held in 83 % at least, mostly in 95 %."""
    held = sum(
        comb(many, good) * truth**good * (1.0 - truth) ** (many - good)
        for good in range(many + 1)
        if share(good, many)[0] <= truth <= share(good, many)[1]
    )
    assert held >= 0.83


@pytest.mark.parametrize(
    ("many", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (3, 0.6187, 8.767)]
)
def test_a_rate_has_the_exact_bounds_of_a_poisson_count(many: int, low: float, high: float):
    """The bounds are those of the tables, over the time that was watched."""
    assert rate(many, 2.0) == pytest.approx((low / 2.0, high / 2.0), abs=1e-3)


@given(st.floats(0.1, 8.0))
def test_the_bounds_of_a_rate_hold_it(truth: float):
    """Over all counts that chance can make the truth is held in 95 % at least."""
    held = sum(
        exp(-truth) * truth**many / factorial(many)
        for many, (low, high) in enumerate(COUNTED)
        if low <= truth <= high
    )
    assert held >= 0.95 - 1e-6


@pytest.mark.parametrize(
    ("many", "at", "low", "high"),
    [(12, 0.5, 3, 10), (51, 0.5, 19, 33), (20, 0.9, 15, inf), (5, 0.5, -inf, inf)],
)
def test_a_quantile_lies_between_two_of_the_values(many: int, at: float, low: float, high: float):
    """As in tables of the binomial distribution; too few values bound it on one side or none."""
    assert quantile([float(value) for value in range(many, 0, -1)], at) == (low, high)


@given(st.integers(1, 80), st.floats(0.05, 0.95))
def test_the_bounds_of_a_quantile_hold_it(many: int, at: float):
    """Whatever number of values chance puts below it, in 95 % at least."""
    low, high = quantile([float(value) for value in range(1, many + 1)], at)
    held = sum(
        comb(many, below) * at**below * (1.0 - at) ** (many - below)
        for below in range(many + 1)
        if low <= below < high
    )
    assert held >= 0.95 - 1e-9


def test_seconds_of_one_run_count_as_little_as_they_vary_together():
    """Runs that are right or wrong as a whole are worth their number, and not their seconds."""
    together = share_of_runs([(100, 100)] * 9 + [(0, 100)])
    assert together == pytest.approx(share(8.1, 9), abs=0.01)
    low, high = share_of_runs([(90, 100)] * 5 + [(89, 100), (91, 100)] * 2)
    assert (low, high) == pytest.approx(share(810, 900))
    assert together[1] - together[0] > 5.0 * (high - low)


def test_runs_that_agree_are_worth_their_number():
    """Where nothing was wrong nothing says how the runs differ; empty ones add nought."""
    assert share_of_runs([(50, 50), (20, 20), (0, 0)]) == pytest.approx(share(2, 2))


def test_nothing_has_no_bounds():
    """Of nothing that was counted nothing is said."""
    assert all(map(isnan, (*share(0, 0), *share_of_runs([(0, 0)]), *rate(0, 0.0))))
