"""When groups are due."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from agent.alerts.schedule import Schedule


def test_short_intervals_are_every_tick():
    """A group whose interval is a tick or less is due at every tick."""
    schedule = Schedule([0.0, 1.0], 1.0)
    assert [[*schedule.due(float(t))] for t in range(3)] == [[0, 1]] * 3


def test_groups_of_one_interval_are_spread():
    """Five groups of 30 s are never due at the same tick, and each once in 30 s."""
    schedule = Schedule([30.0] * 5, 1.0)
    due = [[*schedule.due(1_000_000.0 + t)] for t in range(301)]
    assert max(map(len, due)) == 1
    assert Counter(place for places in due for place in places) == dict.fromkeys(range(5), 10)


def test_without_stagger_the_first_tick_is_everybodys():
    """Where only the results count, all groups begin at the first tick."""
    schedule = Schedule([5.0, 0.0], 1.0, stagger=False)
    due = [[*schedule.due(1_000_003.5 + t)] for t in range(11)]
    assert [t for t, places in enumerate(due) if 0 in places] == [0, 5, 10]


@given(jitter=st.lists(st.floats(-0.2, 0.2), min_size=200, max_size=200))
def test_jitter_of_the_ticks_does_not_shift_evaluations(jitter: list[float]):
    """Ticks that come a little early or late leave 10 s between evaluations 10 ticks apart."""
    schedule = Schedule([10.0], 1.0, stagger=False)
    due = [n for n, off in enumerate(jitter) if [*schedule.due(1000.0 + n + (off if n else 0))]]
    assert due == [*range(0, 200, 10)]


def test_a_clock_that_goes_back_holds_nothing_up():
    """After a step back groups are due again within their interval."""
    schedule = Schedule([10.0], 1.0, stagger=False)
    assert [*schedule.due(5000.0)] == [0]
    schedule.set_back()
    due = [t for t in range(30) if [*schedule.due(1000.0 + t)]]
    assert due[0] <= 10
    assert len(due) >= 2
