"""What an engine reserved while it started, read off the memory of its GPU."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.memory_start import Levels, reservation

GIB = 2.0**30
Plan = list[tuple[float, int]]


def _moves(plan: Plan, *, base: float = 0.0) -> list[tuple[float, float]]:
    """Return the changes of a start: each entry grows by so many GiB over so many seconds.

    No seconds is a rest of ten.
    """
    levels = Levels()
    time, used = 1000.0, base
    levels.observe(time, used)
    for grown, seconds in plan:
        for _ in range(seconds):
            time += 1.0
            used += grown * GIB / seconds
            levels.observe(time, used)
        if not seconds:
            time += 10.0
    moves = levels.between(1000.0, time)
    assert moves is not None
    return moves


REST = (0.0, 0)


@pytest.mark.parametrize(
    ("plan", "weights", "kv_cache"),
    [
        pytest.param(
            [(0.5, 1), REST, (15.5, 20), REST, (50.0, 1), REST, (1.5, 15)], 16, 50, id="usual"
        ),
        pytest.param(
            [(15.5, 20), REST, (6, 1), REST, (-6, 1), REST, (50.0, 1), (1.0, 10)],
            15.5,
            50,
            id="profiling run that is given back",
        ),
        pytest.param([(1.0, 1), REST, (20.0, 2), REST], 1, 20, id="small model"),
        pytest.param(
            [(0.5, 1), REST, (60.0, 2), REST, (10.0, 1), REST], 60.5, 10, id="weights read fast"
        ),
    ],
)
def test_parts_of_a_start(plan: Plan, weights: float, kv_cache: float):
    """The last stroke is the reservation, and what was held before it are the weights."""
    moves = _moves(plan, base=3 * GIB)
    start = reservation(moves, held=moves[-1][1] - moves[0][1])
    assert start is not None
    assert start.weights == pytest.approx(weights * GIB)
    assert start.kv_cache == pytest.approx(kv_cache * GIB)


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param([(70.0, 2), REST], id="one stroke: weights and cache in one"),
        pytest.param([(70.0, 60), REST], id="never a stroke"),
        pytest.param([], id="nothing happened"),
    ],
)
def test_start_that_does_not_tell(plan: Plan):
    """Where weights and reservation cannot be told apart, nothing is said."""
    moves = _moves(plan)
    assert reservation(moves, held=moves[-1][1] - moves[0][1]) is None


def test_somebody_else_moved_too():
    """What does not add up to what the engine holds was not the engine alone."""
    moves = _moves([(15.0, 20), REST, (50.0, 1), REST])
    assert reservation(moves, held=65 * GIB) is not None
    assert reservation(moves, held=40 * GIB) is None


def test_expected_reservation():
    """Where its size is known, a small or slow rise of that size is the reservation."""
    moves = _moves([(70.0, 30), REST, (2.0, 6), REST, (1.0, 1)])
    start = reservation(moves, held=73 * GIB, expected=2 * GIB)
    assert start is not None
    assert start.weights == pytest.approx(70 * GIB)
    assert start.kv_cache == pytest.approx(2 * GIB)


@given(
    st.floats(0.5, 100.0),
    st.floats(1.0, 200.0),
    st.floats(0.0, 0.04),
    st.floats(0.0, 40.0),
    st.tuples(st.integers(1, 60), st.integers(10, 40)),
)
def test_any_usual_start(
    weights: float, cache: float, graphs: float, base: float, seconds: tuple[int, int]
):
    """Weights loaded at any speed, a stroke of at least a tenth, slow graphs: always found."""
    loading, capturing = seconds
    if cache < (weights + cache) / 10:
        weights = cache
    plan = [(0.4, 1), REST, (weights, loading), REST, (cache, 1), REST]
    grown = graphs * (weights + cache)
    plan += [(grown / capturing, 1)] * capturing
    moves = _moves(plan, base=base * GIB)
    start = reservation(moves, held=(0.4 + weights + cache + grown) * GIB)
    assert start is not None
    assert start.weights == pytest.approx((0.4 + weights) * GIB, rel=0.02, abs=0.05 * GIB)
    assert start.kv_cache == pytest.approx(cache * GIB, rel=0.02)


def test_start_before_the_agent():
    """Of a start whose beginning the agent did not see, nothing is known."""
    levels = Levels()
    assert levels.between(0.0, 10.0) is None
    levels.observe(100.0, GIB)
    assert levels.between(99.0, 110.0) is None
    assert levels.between(100.0, 110.0) == [(100.0, GIB)]


def test_levels_are_bounded():
    """However much the memory of a GPU moves, memory is bounded and what was lost is not told."""
    levels = Levels()
    for time, used in enumerate(accumulate([GIB] * 5000)):
        levels.observe(float(time), used)
    assert levels.between(0.0, 5000.0) is None
    kept = levels.between(4000.0, 5000.0)
    assert kept is not None
    assert len(kept) == 1000
