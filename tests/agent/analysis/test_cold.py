"""Cold and warm requests, told apart by what came before them."""

from math import nan

import numpy as np

from agent.analysis.cold import FIRST, IDLE, PATIENCE, ColdStarts

EDGES = np.array([0.0, 1.0, 2.0])
NOW = 1_800_000_000.0


def _warm(starts: ColdStarts, *, count: float = 100.0) -> None:
    """Let it see a busy engine that was there before."""
    starts.tick(NOW, count=count, busy=True)


def test_first_requests_after_a_start_are_cold():
    """An engine first seen with no request yet is cold for its first few, then warm."""
    starts = ColdStarts()
    assert not starts.tick(NOW, count=0.0, busy=False)
    cold = [starts.tick(NOW + n, count=float(n), busy=True) for n in range(1, FIRST + 3)]
    assert cold == [True] * FIRST + [False] * 2
    assert starts.since == NOW + 1


def test_engine_that_was_running_before_is_warm():
    """The agent's own start says nothing of the engine."""
    starts = ColdStarts()
    _warm(starts)
    assert not starts.tick(NOW + 1, count=101.0, busy=True)


def test_restart_is_cold():
    """A count that falls is another engine; what it counts at once is cold already."""
    starts = ColdStarts()
    _warm(starts)
    assert starts.tick(NOW + 1, count=2.0, busy=True)
    assert starts.tick(NOW + 2, count=4.0, busy=True)
    assert not starts.tick(NOW + 3, count=5.0, busy=True)


def test_requests_after_a_long_idle_are_cold():
    """Five minutes without anything to do make an engine cold, less do not."""
    starts = ColdStarts()
    _warm(starts)
    assert not starts.tick(NOW + IDLE - 1, count=101.0, busy=True)
    assert not starts.tick(NOW + IDLE, count=101.0, busy=False)
    assert starts.tick(NOW + 2 * IDLE, count=102.0, busy=True)


def test_waiting_requests_are_no_idle():
    """An engine that has had one long request all along is not idle."""
    starts = ColdStarts()
    _warm(starts)
    for minute in range(1, 10):
        assert not starts.tick(NOW + 60 * minute, count=100.0, busy=True)
    assert not starts.tick(NOW + 601, count=101.0, busy=True)


def test_coldness_ends_by_itself():
    """A second request a long time after the first cold one finds a warm engine."""
    starts = ColdStarts()
    starts.tick(NOW, count=0.0, busy=False)
    assert starts.tick(NOW + 1, count=1.0, busy=True)
    assert not starts.tick(NOW + 2 + PATIENCE, count=2.0, busy=True)
    assert not starts.tick(NOW + 3 + PATIENCE, count=3.0, busy=True)


def test_unknown_counts_are_skipped():
    """A page without the count changes nothing."""
    starts = ColdStarts()
    _warm(starts)
    assert not starts.tick(NOW + 1, count=nan, busy=False)
    assert not starts.tick(NOW + 2, count=101.0, busy=True)


def test_each_occasion_replaces_the_last_and_warm_fades():
    """Cold is of the last occasion alone; of warm requests half is left after an hour."""
    starts = ColdStarts()
    one = np.array([1.0, 0.0])
    starts.tick(NOW, count=0.0, busy=False)
    starts.add(NOW + 1, EDGES, one, 0.5, cold=starts.tick(NOW + 1, count=1.0, busy=True))
    assert starts.cold.count == 1.0
    starts.add(NOW + 100, EDGES, one, 0.5, cold=False)
    starts.add(NOW + 3700, EDGES, one, 0.5, cold=False)
    assert starts.warm.count == 1.5
    starts.tick(NOW + 4000, count=9.0, busy=True)
    assert starts.cold.count == 0.0, "a new occasion begins"
