"""The state of alerts over a restart."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.alerts.saved import OUTAGE_TOLERANCE, SETTLING
from tests.fakes.rules import START, World, alert_group, groups_of

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


def test_alerts_of_a_rule_removed_meanwhile_are_resolved():
    """Receivers hear at once that what no rule asks for any more has ended; others go on."""
    world = World(alert_group("{alert: B, expr: 'v > 0'}"), start=START + 20.0)
    assert world.engine.restore(saved_world(15), START + 20.0) == 1
    outcome = world.tick({"v": 1.0})
    told = {alert.labels["alertname"]: alert for alert in outcome.alerts}
    assert {name: alert.resolved for name, alert in told.items()} == {"A": True, "B": False}
    assert (told["A"].starts_at, told["A"].ends_at) == (START + 10.0, world.time)
    assert "removed" in told["A"].annotations["summary"]
    assert [event.kind for event in outcome.events] == ["alert_resolved"]
    assert world.states() == {"B": "firing"}
    again = [world.tick({"v": 1.0}, seconds=60.0).alerts for _minute in range(17)]
    assert [len(alerts) for alerts in again] == [2] * 15 + [1, 1]


def test_what_waited_under_a_rule_removed_meanwhile_is_never_told():
    """A pending alert was not told, so its end is not told either."""
    world = World([], start=START + 20.0)
    saved = saved_world(5)
    saved["alerts"] = [item for item in saved["alerts"] if item["alert"] == "A"]
    world.engine.restore(saved, START + 20.0)
    assert not world.tick({"v": 1.0}).alerts


def test_a_rule_removed_by_a_reload_is_told_as_resolved_after_a_restart_too():
    """Its end is told for 15 minutes, restart or not, with the time at which it was removed."""
    before = World(alert_group(RULES))
    before.ticks(15, {"v": 1.0})
    before.engine.replace(alert_group("{alert: B, expr: 'v > 0'}"))
    before.tick({"v": 1.0})
    saved = json.loads(json.dumps(before.engine.saved(before.time)))
    after = World(alert_group("{alert: B, expr: 'v > 0'}"), start=START + 20.0)
    after.engine.restore(saved, START + 20.0)
    (alert,) = [alert for alert in after.tick({"v": 1.0}).alerts if alert.resolved]
    assert (alert.labels["alertname"], alert.ends_at) == ("A", before.time)


def test_a_rule_that_moved_to_another_group_keeps_its_alerts():
    """Files are sorted anew while the agent is down: what fires goes on, nothing is resolved."""
    moved = f"groups: [{{name: other, rules: [{RULES}]}}]"
    world = World(groups_of(moved), start=START + 20.0)
    assert world.engine.restore(saved_world(15), START + 20.0) == 2
    outcomes = [world.tick({}), *world.ticks(3, {"v": 1.0})]
    assert world.states() == {"A": "firing", "B": "firing"}
    assert not any(alert.resolved for outcome in outcomes for alert in outcome.alerts)


def test_a_rule_that_comes_back_finds_its_alerts():
    """Removed while the agent was down and given back before the first tick: it was never gone."""
    world = World([], start=START + 20.0)
    world.engine.restore(saved_world(15), START + 20.0)
    world.engine.replace(alert_group(RULES))
    assert not any(alert.resolved for alert in world.tick({"v": 1.0}).alerts)
    assert world.states() == {"A": "firing", "B": "firing"}


HUGE = 10**400  # JSON sets no limit, and Python keeps it whole
numbers = st.floats(allow_nan=False) | st.integers() | st.just(HUGE)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
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


@given(then=numbers)
def test_a_garbled_time_of_the_state_is_nothing(then: float):
    """However large the number, the rules begin."""
    world = World(alert_group(RULES), start=START)
    assert world.engine.restore({**saved_world(2), "time": then}, START) in (0, 2)
    assert world.tick({"v": 1.0}).alerts


@given(
    key=st.sampled_from(["labels", "element", "value", "state", "active_at", "fired_at", "alert"]),
    garbage=json_values,
)
@example(key="active_at", garbage=HUGE)
@example(key="fired_at", garbage=1e300)
@example(key="value", garbage=HUGE)
def test_a_garbled_alert_is_left_out(key: str, garbage: Any):
    """One alert that makes no sense takes nothing from the others."""
    saved = saved_world(15)
    for item in saved["alerts"]:
        if item["alert"] == "A":
            item[key] = garbage
    world = World(alert_group(RULES), start=START + 20.0)
    assert world.engine.restore(saved, START + 20.0) in (1, 2)
    told = world.tick({"v": 1.0}).alerts
    assert world.states()["B"] == "firing"
    assert all(datetime.fromtimestamp(alert.starts_at, UTC).year for alert in told)
