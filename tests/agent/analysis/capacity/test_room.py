"""How many requests run where the KV cache has room for some of them."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.capacity.room import Fitting, Room


def test_a_cache_without_limit_lets_all_run():
    """Where memory is no limit, all that there are run and nothing is full."""
    there = np.arange(1.0, 9.0)
    found = Fitting.of(Room(8.0, 1e4), there, scatter=0.5)
    assert found.running.tolist() == there.tolist()
    assert not found.full.any()
    assert Room(8.0, 1e4).spread(0.5) == 0.0


@given(st.floats(2.0, 300.0), st.floats(0.0, 1.5))
def test_never_more_run_than_there_are_or_fit(memory: float, scatter: float):
    """More requests never run fewer, at most as many as fit on average, and fullness rises."""
    there = np.arange(1.0, 3.0 * memory)
    found = Fitting.of(Room(inf, 1e4, memory), there, scatter=scatter)
    assert (np.diff(found.running) >= -2e-3 * memory).all()
    assert (found.running <= there + 2e-3 * memory).all()
    assert found.running.max() <= max(memory, 1.0) * 1.01
    assert (np.diff(found.full) >= 0.0).all()


def test_half_of_the_time_a_cache_is_full_of_as_many_as_fit():
    """At the mean number that fits, the next fits as often as not, and some wait."""
    found = Fitting.of(Room(inf, 1e4, 25.0), np.array([5.0, 25.0, 60.0]), scatter=0.5)
    assert found.full == pytest.approx([0.0, 0.5, 1.0], abs=1e-3)
    assert found.running[0] == pytest.approx(5.0, rel=1e-3)
    assert 22.0 < found.running[1] < 24.0
    assert found.running[2] == pytest.approx(25.0, rel=1e-2)
