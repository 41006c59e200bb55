"""When alerts wait, fire and are resolved."""

from hypothesis import given
from hypothesis import strategies as st

from agent.alerts.state import RESOLVED_RETENTION, AlertStates, State
from tests.fakes.rules import START, World, alert_group

ONE = (("alertname", "A"), ("x", "1"))
FOUND = {ONE: ((("x", "1"),), 5.0)}


def states(hold: float = 0.0, keep: float = 0.0) -> AlertStates:
    """Return the alerts of a rule that has none yet."""
    text = f"{{alert: A, expr: v, for: {hold:g}s, keep_firing_for: {keep:g}s}}"
    (group,) = alert_group(text)
    (rule,) = group.rules
    return AlertStates(rule)


def test_without_for_an_alert_fires_at_once():
    """What holds fires at the first evaluation when the rule has no `for`."""
    alerts = states()
    changes = alerts.advance(10.0, FOUND)
    assert [(i.state, before) for i, before in changes][-1] == (State.FIRING, State.PENDING)
    assert alerts.instances[ONE].fired_at == 10.0


def test_for_counts_from_the_first_time_that_it_holds():
    """An alert waits until its expression held for `for`, to the second."""
    alerts = states(hold=3)
    seen = []
    for second in range(5):
        alerts.advance(float(second), FOUND)
        seen.append(alerts.instances[ONE].state)
    assert seen == [State.PENDING] * 3 + [State.FIRING] * 2


def test_a_gap_begins_the_wait_anew():
    """A pending alert whose expression does not hold once is forgotten."""
    alerts = states(hold=2)
    alerts.advance(0.0, FOUND)
    alerts.advance(1.0, {})
    assert alerts.instances == {}
    alerts.advance(2.0, FOUND)
    alerts.advance(3.0, FOUND)
    assert alerts.instances[ONE].state is State.PENDING


def test_keep_firing_for_bridges_a_gap():
    """A firing alert goes on for `keep_firing_for`, and a return within it starts that anew."""
    alerts = states(keep=3)
    alerts.advance(0.0, FOUND)
    for second, found in enumerate([{}, {}, FOUND, {}, {}, {}], start=1):
        alerts.advance(float(second), found)
        assert alerts.instances[ONE].state is State.FIRING
    alerts.advance(7.0, {})
    assert alerts.instances[ONE].state is State.RESOLVED
    assert alerts.instances[ONE].resolved_at == 7.0


def test_what_holds_again_begins_anew():
    """An alert that returns after its end has a new beginning, and is not the old one."""
    alerts = states()
    alerts.advance(0.0, FOUND)
    alerts.advance(1.0, {})
    alerts.advance(5.0, FOUND)
    again = alerts.instances[ONE]
    assert (again.fired_at, again.resolved_at, again.state) == (5.0, None, State.FIRING)


def test_the_end_is_remembered_and_then_forgotten():
    """A resolved alert is kept for 15 minutes, so that its end can be told again."""
    alerts = states()
    alerts.advance(0.0, FOUND)
    alerts.advance(1.0, {})
    alerts.advance(1.0 + RESOLVED_RETENTION, {})
    assert ONE in alerts.instances
    alerts.advance(1.5 + RESOLVED_RETENTION, {})
    assert alerts.instances == {}


def test_receivers_are_told_at_changes_and_each_minute():
    """A receiver hears of the beginning, once a minute while it fires, and of the end at once."""
    world = World(alert_group("{alert: A, expr: v > 0}"))
    told = []
    for second in range(200):
        outcome = world.tick({"v": 1.0 if second < 150 else 0.0})
        told += [(second, alert.resolved) for alert in outcome.alerts]
    assert told == [(0, False), (60, False), (120, False), (150, True)]


def test_the_end_is_told_again_for_fifteen_minutes():
    """A receiver that missed the end hears of it again each minute until it is forgotten."""
    world = World(alert_group("{alert: A, expr: v > 0}"))
    world.tick({"v": 1.0})
    told = [len(world.tick({"v": 0.0}).alerts) for _second in range(1000)]
    assert sum(told) == 16
    assert sum(told[-90:]) == 0


def test_a_firing_alert_ends_by_itself_unless_it_is_told_again():
    """`ends_at` is four minutes ahead while it fires, and the moment of its end afterwards."""
    world = World(alert_group("{alert: A, expr: v > 0}"))
    (firing,) = world.tick({"v": 1.0}).alerts
    assert (firing.starts_at, firing.ends_at) == (START, START + 240.0)
    (ended,) = world.tick({"v": 0.0}).alerts
    assert (ended.starts_at, ended.ends_at, ended.resolved) == (START, START + 1.0, True)


def test_a_clock_that_goes_back_holds_nothing_up():
    """After the clock was set back an hour, `for` still takes as long as it says."""
    world = World(alert_group("{alert: A, expr: v > 0, for: 5s}"))
    world.ticks(3, {"v": 1.0})
    world.tick({"v": 1.0}, seconds=-3600.0)
    world.ticks(4, {"v": 1.0})
    assert world.states() == {"A": "pending"}
    world.tick({"v": 1.0})
    assert world.states() == {"A": "firing"}


@given(
    holds=st.lists(st.booleans(), min_size=1, max_size=60),
    hold=st.integers(0, 5),
    keep=st.integers(0, 5),
)
def test_firing_is_what_the_definition_says(holds: list[bool], hold: int, keep: int):
    """Fires exactly where it held for `for`, and on for `keep_firing_for` after it last held."""
    alerts = states(hold=hold, keep=keep)
    firing = False
    since: int | None = None
    last = 0
    for second, held in enumerate(holds):
        alerts.advance(float(second), FOUND if held else {})
        if held:
            since, last = (second if since is None else since), second
            firing = firing or second - since >= hold
        elif not firing:
            since = None
        elif keep == 0 or second - last - 1 >= keep:
            firing, since = False, None
        found = alerts.instances.get(ONE)
        assert (found is not None and found.state is State.FIRING) is firing
