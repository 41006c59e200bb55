"""Restarts are told from counters that were only reset."""

import pytest

from collectors.engines.mapping import Plan
from collectors.engines.restart import Change, RestartWatch


def plan(*ids: int) -> Plan:
    """Return a plan in which all series are counters."""
    return Plan(ids=list(ids), counters=list(range(len(ids))))


def test_counters_that_rise_or_stand_are_no_change() -> None:
    """Ordinary looks say nothing."""
    watch, same = RestartWatch(), plan(1, 2)
    assert watch.counters(same, [5.0, 5.0]) is Change.NONE
    assert watch.counters(same, [5.0, 6.0]) is Change.NONE


def test_a_counter_that_falls_is_a_restart_where_the_server_does_not_say_its_start() -> None:
    """With several API servers vLLM's page has no start time."""
    watch, same = RestartWatch(), plan(1, 2)
    watch.counters(same, [5.0, 5.0])
    assert watch.counters(same, [5.0, 4.0]) is Change.RESTARTED


def test_a_counter_that_falls_while_the_server_stands_is_a_reset() -> None:
    """The server says that it is the same as before, and is believed."""
    watch, same = RestartWatch(), plan(1)
    watch.identity(page=100.0)
    watch.counters(same, [5.0])
    assert watch.identity(page=100.0) is Change.NONE
    assert watch.counters(same, [0.0]) is Change.COUNTERS_RESET


def test_counters_are_compared_across_layouts() -> None:
    """A page that gained and lost series is compared by those that it kept."""
    watch = RestartWatch()
    watch.counters(plan(1, 2), [5.0, 5.0])
    assert watch.counters(plan(2, 3), [5.0, 0.0]) is Change.NONE
    assert watch.counters(plan(3, 2), [0.0, 1.0]) is Change.RESTARTED


@pytest.mark.parametrize("sign", ["page", "header", "process"])
def test_a_new_start_is_a_restart_and_is_said_once(sign: str) -> None:
    """Whoever says it, a changed start is one restart, and the fallen counters are part of it."""
    watch = RestartWatch()
    same = plan(1)
    watch.identity(**{sign: 1})
    watch.counters(same, [5.0])
    assert watch.identity(**{sign: 2}) is Change.RESTARTED
    assert watch.counters(same, [0.0]) is Change.NONE
    assert watch.identity(**{sign: 2}) is Change.NONE


def test_a_sign_that_comes_later_or_goes_away_is_no_restart() -> None:
    """Discovery may know the process only later."""
    watch = RestartWatch()
    assert watch.identity(page=None, process=None) is Change.NONE
    assert watch.identity(page=1, process=None) is Change.NONE
    assert watch.identity(page=None, process=(7, 1.0)) is Change.NONE
    assert watch.identity(page=1, process=(7, 1.0)) is Change.NONE
