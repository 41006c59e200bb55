"""Histograms added up over hours, and quantiles finer than the engine's buckets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.bins import CUTS, Tally, binned, edges
from agent.analysis.window import Histogram
from agent.catalog import engine
from tests.agent.analysis.views import latency_columns, view_of

BOUNDS = ("0.1", "0.25", "0.5", "1.0", "+Inf")
NUMBERS = np.array([0.1, 0.25, 0.5, 1.0, np.inf])
SECONDS = st.lists(st.lists(st.floats(0.001, 3.0), max_size=6), min_size=2, max_size=12)


def _histogram(seconds: list[list[float]]) -> Histogram:
    """Return the histogram that observes these values in each second, after an empty one."""
    metric = engine.TIME_TO_FIRST_TOKEN
    found = view_of(latency_columns(metric, [[], *seconds], BOUNDS)).histogram(metric)
    assert found is not None
    return found


def _tally(seconds: list[list[float]]) -> Tally:
    """Return these values added up."""
    tally = Tally()
    weights, totals = binned(_histogram(seconds))
    tally.add(edges(NUMBERS), weights.sum(axis=0), float(totals.sum()))
    return tally


@given(SECONDS)
def test_count_and_mean_are_exact(seconds: list[list[float]]):
    """Whatever is lost within a bucket, number and mean are those of the values."""
    every = [value for second in seconds for value in second]
    tally = _tally(seconds)
    assert tally.count == pytest.approx(len(every))
    if every:
        assert tally.mean == pytest.approx(sum(every) / len(every))
    else:
        assert tally.mean is None
        assert tally.quantile(0.5) is None


@given(SECONDS, st.sampled_from([0.1, 0.5, 0.95, 1.0]))
def test_quantile_is_in_the_right_bucket(seconds: list[list[float]], share: float):
    """A quantile lies in the bucket of the engine that the true one lies in, or at its edge."""
    every = sorted(value for second in seconds for value in second)
    if not every:
        return
    true = every[max(0, int(np.ceil(share * len(every) - 1e-9)) - 1)]
    found = _tally(seconds).quantile(share)
    place = int(np.searchsorted(NUMBERS, true))
    assert found is not None
    assert (NUMBERS[place - 1] if place else 0.0) - 1e-9 <= found
    assert found <= (NUMBERS[place] if place < 4 else 4.0) + 1e-9


def test_single_observations_are_told_finer_than_buckets():
    """One value a second is known from the sum: quantiles are off by a sixteenth at most."""
    values = [0.30 + 0.001 * number for number in range(100)]
    tally = _tally([[value] for value in values])
    width = 0.25 / CUTS
    assert tally.quantile(0.5) == pytest.approx(0.35, abs=width)
    assert tally.quantile(0.95) == pytest.approx(0.395, abs=width)
    assert Tally(edges(NUMBERS), np.repeat(100 / CUTS / 5, 5 * CUTS), 0.0).quantile(1.0) == 4.0


def test_restart_and_holes_count_nothing():
    """Counters that fall, and rows that the engine did not give, add nothing that was not there."""
    whole = _histogram([[0.2], [0.3], [0.2]])
    fallen = Histogram(
        whole.bounds,
        np.vstack([whole.counts[2:], whole.counts[:1]]),
        np.append(whole.sum[2:], whole.sum[0]),
        np.append(whole.count[2:], whole.count[0]),
    )
    weights, totals = binned(fallen)
    assert weights.sum() == 1.0
    assert totals.sum() == pytest.approx(0.2)
    hole = Histogram(
        whole.bounds,
        np.where(np.arange(4)[:, None] == 2, np.nan, whole.counts),
        np.where(np.arange(4) == 2, np.nan, whole.sum),
        np.where(np.arange(4) == 2, np.nan, whole.count),
    )
    weights, totals = binned(hole)
    assert weights.sum() == 1.0
    assert not np.isnan(totals).any()


def test_fading_keeps_the_mean():
    """What counts less still has its mean and its quantiles."""
    tally = _tally([[0.2, 0.3], [0.4]])
    mean, median = tally.mean, tally.quantile(0.5)
    tally.fade(0.25)
    assert tally.count == pytest.approx(0.75)
    assert tally.mean == pytest.approx(mean)
    assert tally.quantile(0.5) == pytest.approx(median)
    tally.fade(1e-9)
    assert tally.mean is None


def test_bucket_of_a_value():
    """The note of how coarse the engine's own buckets are there."""
    tally = _tally([[0.2]])
    assert tally.bucket(0.3) == (0.25, 0.5)
    assert tally.bucket(0.05) == (0.0, 0.1)
    assert tally.bucket(9.0) == (1.0, None)


def test_other_buckets_begin_anew():
    """An engine that was upgraded to other buckets is not added to the old ones."""
    tally = _tally([[0.2]])
    tally.add(edges(np.array([1.0, np.inf])), np.ones(2 * CUTS), 3.0)
    assert tally.count == 2 * CUTS
    assert tally.sum == 3.0
