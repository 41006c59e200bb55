"""Alerts that come and go: when they are said to, until when; a restart forgets nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alerts.flapping import BEGINS, ENDS, STEP, STEPS, Flapping, weight
from agent.alerts.shown import Shown
from agent.steps import at_once
from tests.fakes.rules import World, alert_group

LABELS = (("alertname", "A"), ("x", "1"))
NOON = 1_800_000_000.0 // STEP * STEP


def after(*minutes: int, at: int) -> Flapping:
    """Return what is known at a minute of an alert that changed in others."""
    flapping = Flapping()
    for minute in sorted(minutes):
        flapping.changed(LABELS, NOON + minute * STEP)
        flapping.advance(NOON + minute * STEP)
    flapping.advance(NOON + at * STEP)
    return flapping


def share(flapping: Flapping) -> float:
    """Return the share of change of the alert."""
    return next((share for share, _flaps in flapping.by_name().values()), 0.0)


def test_the_weights_are_those_of_nagios():
    """The newest counts 1.2 and the oldest 0.8, and all together as many as there are."""
    assert (weight(0), weight(STEPS - 1)) == (pytest.approx(1.2), pytest.approx(0.8))
    assert sum(map(weight, range(STEPS))) == pytest.approx(STEPS)


def test_an_alert_that_always_changes_changes_wholly():
    """A change in each of the last minutes is a share of 1, however often in each."""
    assert share(after(*range(STEPS), *range(STEPS), at=STEPS - 1)) == pytest.approx(1.0)


def test_it_flaps_above_one_threshold_until_below_the_other():
    """Three times on and off in a quarter of an hour flap; that ends when enough is long ago."""
    calm = after(0, 3, 6, 9, 12, at=12)
    assert share(calm) < BEGINS
    assert calm.note(LABELS) == ""
    busy = after(0, 3, 6, 9, 12, 15, at=15)
    assert share(busy) > BEGINS
    assert busy.note(LABELS) == "began or ended in 6 of the last 20 minutes, weighted 31%"
    busy.advance(NOON + 21 * STEP)
    assert ENDS < share(busy) < BEGINS
    assert busy.note(LABELS)
    busy.advance(NOON + 26 * STEP)
    assert share(busy) < ENDS
    assert busy.note(LABELS) == ""


def test_what_is_calm_is_forgotten():
    """Of an alert that has not changed for as long as one looks back, nothing is kept."""
    flapping = after(*range(10), at=40)
    assert flapping.as_json() == []
    assert flapping.by_name() == {}


def test_a_clock_that_goes_back_leaves_no_changes_to_come():
    """A change that would be in the future is none."""
    flapping = after(*range(60, 70), at=69)
    flapping.advance(NOON)
    assert flapping.as_json() == []


MINUTES = st.lists(st.integers(0, 60), max_size=60)


@given(minutes=MINUTES, wait=st.integers(0, 30))
def test_shares_are_shares(minutes: list[int], wait: int):
    """The share is from 0 to 1, and with nothing happening it only falls."""
    last = max(minutes, default=0)
    flapping = after(*minutes, at=last)
    before = share(flapping)
    assert 0.0 <= before <= 1.0 + 1e-9
    flapping.advance(NOON + (last + wait) * STEP)
    assert share(flapping) <= before + 1e-9


@given(minutes=MINUTES, extra=st.integers(0, 60))
def test_more_changes_are_a_larger_share(minutes: list[int], extra: int):
    """A further change makes no alert calmer."""
    at = max([*minutes, extra])
    assert share(after(*minutes, extra, at=at)) >= share(after(*minutes, at=at)) - 1e-9


@given(minutes=MINUTES, later=st.integers(0, 30))
def test_a_restart_changes_nothing(minutes: list[int], later: int):
    """What was saved as JSON goes on as what was not."""
    last = max(minutes, default=0)
    one, other = after(*minutes, at=last), Flapping()
    other.restore(json.loads(json.dumps(one.as_json())))
    for flapping in (one, other):
        flapping.advance(NOON + (last + later) * STEP)
    assert one.by_name() == other.by_name()
    assert one.note(LABELS) == other.note(LABELS)


@pytest.mark.parametrize(
    "saved", [None, {}, 3, [3], [{}], [{"labels": 3, "steps": [], "flapping": True}]]
)
def test_what_makes_no_sense_is_left(saved: Any):
    """A damaged state gives no alerts."""
    flapping = Flapping()
    flapping.restore(saved)
    flapping.advance(NOON)
    assert flapping.by_name() == {}


def test_receivers_are_told():
    """An alert that flaps says so, also after a restart; one that fires for the first time not."""
    world = World(alert_group("{alert: A, expr: 'v > 0'}"))
    (first,) = world.tick({"v": 1.0}).alerts
    assert "flapping" not in first.annotations
    for _time in range(4):
        world.tick({"v": 0.0}, seconds=60.0)
        alerts = world.tick({"v": 1.0}, seconds=60.0).alerts
    told = next(alert for alert in alerts if not alert.resolved)
    assert told.annotations["flapping"].startswith("began or ended in 9 of the last 20 minutes")
    shown = at_once(Shown(world.engine, world.history, number=repr).groups(world.time))
    (listed,) = shown[0]["rules"][0]["alerts"]
    assert listed["annotations"] == {"flapping": told.annotations["flapping"]}
    saved = json.loads(json.dumps(world.engine.saved(world.time)))
    again = World(alert_group("{alert: A, expr: 'v > 0'}"), start=world.time + 10.0)
    assert again.engine.restore(saved, world.time + 10.0) == 1
    (told,) = again.tick({"v": 1.0}).alerts
    assert told.annotations["flapping"].startswith("began or ended in 9 of")
