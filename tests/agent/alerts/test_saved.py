"""The state of alerts over a restart."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alerts.saved import OUTAGE_TOLERANCE, SETTLING
from tests.fakes.rules import START, World, alert_group

RULES = "{alert: A, expr: 'v > 0', for: 10s}, {alert: B, expr: 'v > 0'}"


def saved_world(seconds: int) -> Any:
    """Return the state after some seconds of what holds, through JSON."""
    world = World(alert_group(RULES))
    world.ticks(seconds, {"v": 1.0})
    return json.loads(json.dumps(world.engine.saved(world.time)))


def restarted(saved: Any, *, outage: float, seconds: int) -> World:
    """Return a new world some time later."""
    world = World(alert_group(RULES), start=START + seconds - 1 + outage)
    world.engine.restore(saved, START + seconds - 1 + outage)
    return world


def test_firing_goes_on():
    """What was firing fires on from when it began, and receivers are told anew at once."""
    world = restarted(saved_world(15), outage=20.0, seconds=15)
    alerts = {alert.labels["alertname"]: alert for alert in world.tick({"v": 1.0}).alerts}
    assert world.states() == {"A": "firing", "B": "firing"}
    assert (alerts["A"].starts_at, alerts["B"].starts_at) == (START + 10.0, START)


def test_waiting_goes_on_less_the_outage():
    """What was pending for 4 of 10 s fires 6 s after the return, however long that took."""
    world = restarted(saved_world(5), outage=500.0, seconds=5)
    seen = [world.tick({"v": 1.0}) and world.states()["A"] for _second in range(8)]
    assert seen == ["pending"] * 6 + ["firing"] * 2


def test_sources_get_time_before_silence_counts():
    """A restored alert whose source has not been looked at yet is not resolved for a minute."""
    world = restarted(saved_world(15), outage=5.0, seconds=15)
    outcomes = [world.tick({}) for _second in range(int(SETTLING))]
    assert world.states() == {"A": "firing", "B": "firing"}
    assert not any(alert.resolved for outcome in outcomes for alert in outcome.alerts)
    ended = world.tick({})
    assert {alert.labels["alertname"] for alert in ended.alerts if alert.resolved} == {"A", "B"}


def test_seen_again_an_alert_can_end_at_once():
    """Once its expression held after the restart, a restored alert ends like any other."""
    world = restarted(saved_world(15), outage=5.0, seconds=15)
    world.tick({"v": 1.0})
    world.tick({"v": 0.0})
    assert world.states() == {}


def test_the_end_is_told_after_a_restart():
    """An alert that was resolved just before the end of the agent is told again after it."""
    before = World(alert_group(RULES))
    before.tick({"v": 1.0})
    before.tick({"v": 0.0})
    after = World(alert_group(RULES), start=START + 20.0)
    after.engine.restore(before.engine.saved(before.time), START + 20.0)
    (alert,) = after.tick({"v": 0.0}).alerts
    assert (alert.labels["alertname"], alert.resolved, alert.ends_at) == ("B", True, START + 1.0)


@pytest.mark.parametrize("outage", [OUTAGE_TOLERANCE + 1.0, -60.0])
def test_what_is_too_old_or_from_the_future_is_left(outage: float):
    """State that says nothing about now is not taken up."""
    world = World(alert_group(RULES))
    assert world.engine.restore(saved_world(15), START + 14.0 + outage) == 0


def test_alerts_without_a_rule_are_left():
    """State of a rule that is no longer there is dropped."""
    world = World(alert_group("{alert: B, expr: 'v > 0'}"), start=START + 20.0)
    assert world.engine.restore(saved_world(15), START + 20.0) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(garbage=json_values)
def test_garbage_in_place_of_state_is_nothing(garbage: Any):
    """Whatever stands in the file, the rules begin."""
    world = World(alert_group(RULES), start=START)
    assert world.engine.restore(garbage, START) == 0
    assert world.tick({"v": 1.0}).alerts


@given(
    key=st.sampled_from(["labels", "element", "value", "state", "active_at", "fired_at", "alert"]),
    garbage=json_values,
)
def test_a_garbled_alert_is_left_out(key: str, garbage: Any):
    """One alert that makes no sense takes nothing from the others."""
    saved = saved_world(15)
    for item in saved["alerts"]:
        if item["alert"] == "A":
            item[key] = garbage
    world = World(alert_group(RULES), start=START + 20.0)
    assert world.engine.restore(saved, START + 20.0) in (1, 2)
    world.tick({"v": 1.0})
    assert world.states()["B"] == "firing"
