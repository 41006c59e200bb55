"""Lengths from a histogram: exact mean, falling survival, a mix that changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.forecasts.lengths import lengths, shaped
from agent.analysis.window import Histogram

BOUNDS = np.array([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, np.inf], dtype=float)


def histogram(*rows: list[float]) -> Histogram:
    """Return the histogram that had seen these lengths at each of its rows."""
    return Histogram(
        BOUNDS,
        np.array(
            [[sum(value <= bound for value in row) for bound in BOUNDS] for row in rows], float
        ),
        np.array([sum(row) for row in rows], dtype=float),
        np.array([len(row) for row in rows], dtype=float),
    )


def test_nothing_finished_is_nothing():
    """Without a finished request there is no length."""
    assert lengths(None, np.arange(2.0)) is None
    assert lengths(histogram([], []), np.arange(2.0)) is None


def test_a_bucket_that_is_not_told_is_no_length():
    """Where a page leaves a bucket out, or has none but that of nothing, lengths are not known."""
    seen = histogram([], [30.0, 70.0])
    seen.counts[1, 3] = np.nan
    assert lengths(seen, np.arange(2.0)) is None
    assert shaped(np.array([0.0, np.inf]), np.array([0.0, 1.0]), 5.0) is None
    assert shaped(BOUNDS, np.linspace(0.0, 1.0, len(BOUNDS)), np.inf) is None


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=60))
def test_survival_falls_and_keeps_the_mean(values: list[int]):
    """Survival begins at 1, never rises, and its mean is that of the lengths."""
    found = lengths(histogram([], [float(value) for value in values]), np.arange(2.0))
    assert found is not None
    assert found.survival[0] == pytest.approx(1.0)
    assert (np.diff(found.survival) <= 1e-12).all()
    assert found.mean == pytest.approx(np.mean(values))
    area = found.step * (found.survival.sum() - 0.5 * (1.0 + found.survival[-1]))
    assert area == pytest.approx(found.mean, rel=0.1)


def test_the_window_outweighs_the_past():
    """Of requests that became longer, those of the window decide."""
    old = [100.0] * 5000
    found = lengths(histogram(old, old + [400.0] * 300), np.arange(2.0))
    assert found is not None
    assert 350 < found.mean < 400


@pytest.mark.parametrize(("seconds", "longest"), [(70.0, 60.0), (40.0, 300.0)])
def test_a_mix_that_is_gone_is_forgotten_where_many_finish(seconds: float, longest: float):
    """Once hundreds have finished in more than a minute, those before it no longer count."""
    long, short = [400.0] * 500, [50.0] * 500
    found = lengths(histogram([], long, long + short), np.array([0.0, 120.0, 120.0 + seconds]))
    assert found is not None
    assert longest - 100.0 < found.mean < longest


def test_no_mean_no_lengths():
    """A mean of 0, as of an engine that only prefills, gives nothing to go by."""
    assert shaped(BOUNDS, np.ones(len(BOUNDS)), 0.0) is None
