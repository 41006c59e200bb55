"""What is asked apart from surges: it falls at once, rises slowly, and never exceeds the demand."""

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.signals.usual import GROWTH, Usual
from tests.agent.analysis.signals.evidences import NOW


def _after(usual: Usual, demands: list[float], *, start: float = 0.0) -> list[float]:
    """Return what is usual after each demand, one every 15 s."""
    return [usual.take(NOW + start + 15.0 * turn, one) for turn, one in enumerate(demands)]


def test_the_first_demand_is_usual():
    """Nothing else is known: a scaler that starts in a surge keeps a reserve on top of it."""
    assert Usual().take(NOW, 4000.0) == 4000.0


def test_a_surge_is_not_usual():
    """Five minutes after a step to the 1.8-fold, 4 % a minute of it have become usual."""
    usual = Usual()
    _after(usual, [1000.0] * 8)
    assert _after(usual, [1800.0] * 20, start=120.0)[-1] == pytest.approx(1000.0 * 1.04**5)


def test_a_surge_that_lasts_becomes_usual():
    """After 15 minutes all of it."""
    usual = Usual()
    _after(usual, [1000.0] * 8)
    assert _after(usual, [1800.0] * 61, start=120.0)[-1] == pytest.approx(1800.0)


def test_a_day_rises_with_what_is_usual():
    """A demand that grows by 3 % a minute is usual, but for the mean of two minutes."""
    usual = Usual()
    demands = [1000.0 * 1.03 ** (turn / 4.0) for turn in range(160)]
    assert _after(usual, demands)[-1] == pytest.approx(fmean(demands[-8:]))


def test_less_is_usual_at_once():
    """When demand falls, two minutes later so has what is usual."""
    usual = Usual()
    _after(usual, [1000.0] * 8)
    assert _after(usual, [300.0] * 8, start=120.0)[-1] == 300.0


def test_from_nothing_it_rises_to_anything():
    """What was nothing has no share to rise by: what lasts for a quarter of an hour is usual."""
    usual = Usual()
    _after(usual, [0.0] * 20)
    found = _after(usual, [500.0] * 70, start=300.0)
    assert found[30] < 100.0
    assert found[-1] == 500.0


def test_after_a_gap_it_may_have_risen():
    """An hour without an answer is time in which demand can grow."""
    usual = Usual()
    _after(usual, [1000.0] * 8)
    assert usual.take(NOW + 3600.0, 1800.0) == 1800.0


def test_a_gap_of_any_length_is_a_gap():
    """A clock that jumps by years, forward, is no reason to fail: what is asked now is usual."""
    usual = Usual()
    _after(usual, [1000.0] * 8)
    assert usual.take(NOW + 1e9, 1800.0) == 1800.0


def test_a_clock_that_was_set_back_begins_anew():
    """What was usual then says nothing."""
    usual = Usual()
    _after(usual, [1000.0] * 8)
    assert usual.take(NOW - 7200.0, 5000.0) == 5000.0


@given(st.lists(st.floats(0.0, 1e9), min_size=2, max_size=60))
def test_it_is_never_more_than_was_asked_and_rises_slowly(demands: list[float]):
    """It is at most the highest of two minutes, and in a quarter of an hour grows by its share."""
    found = _after(Usual(), demands)
    for turn, level in enumerate(found):
        assert level <= max(demands[max(0, turn - 7) : turn + 1]) * (1.0 + 1e-9)
        if turn:
            least = min(fmean(demands[max(0, end - 7) : end + 1]) for end in range(turn + 1))
            grown = found[turn - 1] * (1.0 + GROWTH) ** 0.25
            assert level <= max(grown, least) * (1.0 + 1e-9)
