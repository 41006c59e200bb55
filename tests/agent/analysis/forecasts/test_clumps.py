"""Requests that come at a time are cut to what came around them; what goes on is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.forecasts.clumps import lasting


def steady(rate: float, seed: int = 1, seconds: int = 300) -> np.ndarray:
    """Return Poisson counts of seconds."""
    return np.random.default_rng(seed).poisson(rate, seconds).astype(float)


@pytest.mark.parametrize("later", [*range(12), 150])
@pytest.mark.parametrize("lasts", [1, 4, 8])
def test_a_clump_is_cut_to_its_neighbours(later: int, lasts: int):
    """Of eighty requests within seconds hardly more are left than come in as many others."""
    counts = steady(2.0)
    counts[later : later + lasts] += 80.0 / lasts
    cut = lasting(counts, noise=1.0)
    assert cut[later : later + lasts].sum() < 2.0 * (2.0 * lasts + 8.0)
    untouched = np.ones(len(counts), dtype=bool)
    untouched[max(later - 8, 0) : later + lasts + 8] = False
    assert (cut[untouched] == counts[untouched]).all()


def test_a_load_that_goes_on_is_not_cut():
    """A rate that has trebled eleven seconds ago is a load, in all of its seconds."""
    counts = np.concatenate((np.full(19, 6.0), np.full(281, 2.0)))
    assert lasting(counts, noise=1.0) is counts


def test_chance_is_hardly_ever_cut():
    """Of a hundred histories of five minutes at a steady rate less than one request in 200 is."""
    histories = [steady(2.0, seed) for seed in range(100)]
    left = sum(float(lasting(counts, noise=1.0).sum()) for counts in histories)
    assert left > 0.995 * sum(float(counts.sum()) for counts in histories)


def test_what_is_scattered_anyway_is_no_clump():
    """Where counts scatter eight times as much as Poisson counts, more is needed to stand out."""
    counts = steady(2.0)
    counts[50:54] += 8.0
    assert lasting(counts, noise=1.0) is not counts
    assert lasting(counts, noise=8.0) is counts


@given(st.lists(st.integers(0, 500), min_size=1, max_size=60), st.floats(0.05, 10.0))
def test_nothing_is_added(counts: list[int], noise: float):
    """Whatever was counted, of no second is there more afterwards, nor less than nothing."""
    given_ = np.array(counts, dtype=float)
    cut = lasting(given_, noise=noise)
    assert np.isfinite(cut).all()
    assert ((cut >= 0.0) & (cut <= given_)).all()
