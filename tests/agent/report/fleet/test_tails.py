"""Latencies of engines whose buckets differ."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.report.fleet.tails import alike, tail_of
from agent.report.tail import Tail

INF = "+Inf"


def column(*values: float) -> np.ndarray:
    """Return a column."""
    return np.array(values, dtype=np.float64)


def test_counts_are_those_of_the_windows():
    """Observations a second in cumulative buckets become observations of each bucket."""
    tail = tail_of(
        {("0.5",): column(1.0), ("1",): column(3.0), (INF,): column(4.0)}, step=300.0, minutes=0
    )
    assert tail is not None
    assert tail.bounds.tolist() == [0.5, 1.0, np.inf]
    assert tail.each.tolist() == [[300.0, 600.0, 300.0]]


def test_one_bound_written_twice_is_one():
    """`1` and `1.0` are the same bound of different hosts, one of which may not be there yet."""
    tail = tail_of(
        {("1",): column(1.0, np.nan), ("1.0",): column(2.0, 2.0), (INF,): column(4.0, 3.0)},
        step=1.0,
        minutes=0,
    )
    assert tail is not None
    assert tail.each.tolist() == [[3.0, 1.0], [2.0, 1.0]]


def test_the_unbounded_bucket_stays():
    """An answer that is not whole may have fewer in it than below: then nothing is known below."""
    tail = tail_of(
        {("0.5",): column(1.0), ("1",): column(9.0), (INF,): column(4.0)}, step=1.0, minutes=0
    )
    assert tail is not None
    assert tail.bounds.tolist() == [0.5, np.inf]
    assert tail.each.tolist() == [[1.0, 3.0]]
    assert tail.share_over(0.7) == 0.75


@pytest.mark.parametrize("bound", ["", "x", "NaN"])
def test_a_bound_that_is_no_number_is_none(bound: str):
    """Whatever a server has there, the others count."""
    tail = tail_of(
        {(bound,): column(9.0), ("1",): column(3.0), (INF,): column(4.0)}, step=1.0, minutes=0
    )
    assert tail is not None
    assert tail.bounds.tolist() == [1.0, np.inf]


def test_a_bound_that_few_hosts_have_is_left_out():
    """It counts less than the bound below it, which no sum over the same hosts can."""
    tail = tail_of(
        {("0.5",): column(8.0), ("0.7",): column(1.0), ("1",): column(9.0), (INF,): column(10.0)},
        step=1.0,
        minutes=0,
    )
    assert tail is not None
    assert tail.bounds.tolist() == [0.5, 1.0, np.inf]


def test_without_the_last_bucket_there_is_nothing():
    """Of buckets without an end nobody knows how many observations there were."""
    assert tail_of({("1",): column(1.0)}, step=1.0, minutes=0) is None


BOUNDS = st.sets(st.sampled_from([0.1, 0.2, 0.5, 1.0, 2.0, 5.0]), max_size=6)


@given(st.lists(BOUNDS, min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_shared_bounds_lose_nothing_but_detail(sets: list[set[float]], seed: int):
    """What was observed up to a bound that all have is the same before and after."""
    random = np.random.default_rng(seed)
    tails = [
        Tail(np.array([*sorted(one), np.inf]), random.random((3, len(one) + 1)), np.empty(0))
        for one in sets
    ]
    found = alike(tails)
    shared = sorted(set.intersection(*sets))
    for before, after in zip(tails, found, strict=True):
        assert after.bounds.tolist() == [*shared, np.inf]
        reached = np.cumsum(before.each, axis=1)
        places = [before.bounds.tolist().index(bound) for bound in after.bounds.tolist()]
        assert np.cumsum(after.each, axis=1) == pytest.approx(reached[:, places])


def test_of_none_there_is_none():
    """No engine, no latency."""
    assert alike([]) == []
