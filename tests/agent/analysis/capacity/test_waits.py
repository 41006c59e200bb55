"""Latencies as exactly as a histogram tells them."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.analysis.capacity.waits import Waits, together, waits_of
from agent.analysis.window import Histogram

BOUNDS = np.array([0.02, 0.04, 0.06, 0.1, inf])
RECKONED = np.linspace(0.0205, 0.0225, 101)


def histogram(seconds: list[list[float]]) -> Histogram:
    """Return the histogram of an engine that observes these values, second by second."""
    counts, sums = [np.zeros(len(BOUNDS))], [0.0]
    for values in seconds:
        reached = (np.array(values)[:, None] <= BOUNDS).sum(axis=0) if values else 0.0
        counts.append(counts[-1] + reached)
        sums.append(sums[-1] + sum(values))
    table = np.array(counts)
    return Histogram(BOUNDS, table, np.array(sums), table[:, -1])


def test_who_is_alone_in_a_second_is_known_exactly():
    """Such a latency is what the sum grew by; of several only the buckets are known."""
    found = waits_of(histogram([[0.021], [], [0.03, 0.05], [0.055]]))
    assert found is not None
    assert found.alone == pytest.approx([0.021, 0.055])
    assert found.counts.tolist() == [0.0, 1.0, 1.0, 0.0, 0.0]
    assert found.count == 4.0
    assert found.total == pytest.approx(0.156)
    assert waits_of(histogram([[], []])) is None


def test_a_wide_bucket_makes_nobody_late():
    """Requests that are as reckoned are late as rarely as reckoned, however wide their bucket is.

    Spread evenly over it, from 0.02 to 0.04 s, nine in ten would exceed 0.0224 s.
    """
    waits = Waits(BOUNDS, np.array([0.0, 200.0, 0.0, 0.0, 0.0]), np.zeros(0), 200 * 0.0215)
    late = waits.beyond(RECKONED, np.array([0.0224, 0.03]))
    assert late == pytest.approx([10.0, 0.0], abs=2.5)


def test_requests_that_are_longer_are_longer_within_their_bucket():
    """Where all of them take a fifth longer than reckoned, so does the percentile."""
    waits = Waits(BOUNDS, np.array([0.0, 200.0, 0.0, 0.0, 0.0]), np.zeros(0), 200 * 1.2 * 0.0215)
    late = waits.beyond(RECKONED, 0.0224 * np.array([1.1, 1.2, 1.3]))
    assert late == pytest.approx([195.0, 10.0, 0.0], abs=2.5)


def test_what_lies_beyond_a_bound_is_late():
    """The count of a bucket is exact, whatever is reckoned: nobody is reckoned to be there."""
    waits = Waits(BOUNDS, np.array([0.0, 180.0, 0.0, 20.0, 0.0]), np.zeros(0), 180 * 0.0215 + 1.6)
    late = waits.beyond(RECKONED, np.array([0.05, 0.06, 0.08, 0.1]))
    assert late == pytest.approx([20.0, 20.0, 10.0, 0.0])


def test_histograms_with_other_buckets_are_not_added_up():
    """An engine that began anew with other buckets is known from then on."""
    old = Waits(np.array([1.0, inf]), np.array([5.0, 0.0]), np.zeros(0), 2.0)
    new = Waits(BOUNDS, np.array([0.0, 3.0, 0.0, 0.0, 0.0]), np.array([0.03]), 0.1)
    found = together([old, None, new, new])
    assert found is not None
    assert found.count == 8.0
    assert found.total == pytest.approx(0.2)
    assert together([None]) is None


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.floats(1e-3, 0.5), max_size=4), min_size=1, max_size=12),
    st.floats(1e-3, 0.3),
)
def test_later_is_fewer(seconds: list[list[float]], scale: float):
    """Never more than there are, never fewer than none, and the fewer the later."""
    waits = waits_of(histogram(seconds))
    if waits is None:
        return
    late = waits.beyond(scale * np.linspace(0.5, 2.0, 50), np.geomspace(1e-4, 3.0, 60))
    assert (np.diff(late) <= 1e-9).all()
    assert late[0] <= waits.count + 1e-9
    assert late[-1] == pytest.approx(0.0, abs=1e-9)
