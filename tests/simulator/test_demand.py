"""The demands that forecasts are judged on are what they say."""

import numpy as np
import pytest

from tests.simulator.demand import DAY, SHAPES, START, WEEK, load


@pytest.mark.parametrize("name", list(SHAPES))
def test_tokens_scatter_about_the_rate(name: str):
    """Over two days the tokens are those that were to be expected, and never negative."""
    found = load(name, seed=5, days=2.0, requests=200.0)
    assert len(found.times) == len(found.tokens) == len(found.rate) == 2 * DAY
    assert found.times[0] == START + 60.0
    assert (found.tokens >= 0.0).all()
    assert (found.rate > 0.0).all()
    assert float(found.tokens.mean()) == pytest.approx(float(found.rate.mean()), rel=0.03)


def test_a_seed_is_a_demand():
    """The same seed gives the same demand, another seed another."""
    one, same, other = (load("office", seed=seed, days=1.0) for seed in (3, 3, 4))
    assert (one.tokens == same.tokens).all()
    assert not (one.tokens == other.tokens).all()


def test_the_office_is_empty_on_weekends():
    """Saturdays have a few percent of what Mondays have."""
    rate = load("office", seed=1, days=7.0, requests=100.0).rate
    assert rate[5 * DAY : 6 * DAY].mean() < 0.2 * rate[:DAY].mean()


def test_growth_is_a_line():
    """Ten weeks later there is more, by as much each week."""
    rate = load("growth", seed=1, days=70.0, requests=100.0).rate.reshape(-1, WEEK).mean(axis=1)
    steps = np.diff(rate) / rate[0]
    assert 0.02 < steps.mean() < 0.14
    assert rate[-1] > 1.2 * rate[0]


def test_a_burst_is_four_times_the_calm():
    """The rate is at one of two levels, beside its wandering, and changes often."""
    rate = load("bursts", seed=2, days=2.0, requests=100.0).rate
    busy = rate > rate.max() / 2.5
    assert 0.1 < busy.mean() < 0.5
    assert np.count_nonzero(np.diff(busy.astype(int))) > 40
    assert rate[busy].mean() / rate[~busy].mean() == pytest.approx(4.0, rel=0.1)
