"""Groups on a history: what they write, what they say, what does not disturb them."""

import pytest

from agent.alerts.engine import Outcome
from agent.alerts.group import Site
from agent.alerts.source import OneTick
from agent.alerts.standing import Standing
from agent.model import Frame
from tests.fakes.rules import START, World, alert_group, groups_of


def test_a_rule_sees_what_those_before_it_recorded():
    """Rules of a group are evaluated in order, each on what the ones before it just wrote."""
    world = World(
        alert_group(
            "{record: 'a:x', expr: 'v * 2'}, {record: 'a:y', expr: 'a:x + 1'},"
            "{alert: A, expr: 'a:y == 7'}"
        )
    )
    world.tick({"v": 3.0})
    assert world.written("a:y") == {(): [(0.0, 7.0)]}
    assert world.states() == {"A": "firing"}


def test_groups_see_what_groups_before_them_recorded():
    """A group reads in the same tick what an earlier group wrote, for windows as well."""
    world = World(
        groups_of(
            "groups: [{name: a, rules: [{record: 'a:x', expr: v}]},"
            " {name: b, rules: [{record: 'b:n', expr: 'count_over_time(a:x[1m])'}]}]"
        )
    )
    world.ticks(3, {"v": 1.0})
    assert world.written("b:n") == {(): [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]}


def test_each_rule_is_a_step(monkeypatch: pytest.MonkeyPatch):
    """Others have a turn before each rule, and are told of the evaluation before until the last."""
    done: list[float] = []
    at = Standing.at

    def told(standing: Standing, tick: OneTick, time: float) -> object:
        done.append(time)
        return at(standing, tick, time)

    monkeypatch.setattr(Standing, "at", told)
    world = World(
        alert_group(
            "{record: 'a:x', expr: 'v * on() w'}, {record: 'a:y', expr: 'sum(v)'},"
            "{alert: A, expr: 'v > 0'}"
        )
    )
    world.tick({'v{i="1"}': 1.0, 'v{i="2"}': 1.0, 'w{i="1"}': 1.0, 'w{i="2"}': 1.0})
    (group,) = world.engine.groups
    before = group.failing
    assert [*before] == [0]
    world.history.append(Frame(START + 1.0, world.table, [], []))
    for steps, _turn in enumerate(world.engine.in_steps(START + 1.0, world.history)):
        assert done.count(START + 1.0) <= steps
        if steps < 3:
            assert (group.failing, group.evaluated_at) == (before, START)
    assert done.count(START + 1.0) == 3
    assert (group.failing, group.evaluated_at) == ({}, START + 1.0)


def test_labels_of_a_recording_are_set_and_taken_away():
    """A rule's labels replace those of the result; an empty one takes the label away."""
    world = World(alert_group("{record: 'a:x', expr: v, labels: {a: '', b: new, c: more}}"))
    world.tick({'v{a="1",b="2",d="4"}': 5.0})
    assert world.written("a:x") == {(("b", "new"), ("c", "more"), ("d", "4")): [(0.0, 5.0)]}


def test_a_recorded_series_that_is_no_longer_a_result_ends():
    """What a rule gave before and does not give now gets a staleness marker, once."""
    world = World(alert_group("{record: 'a:x', expr: 'v > 0'}"))
    world.tick({"v": 1.0})
    world.tick({"v": 0.0})
    world.tick({"v": 0.0})
    assert world.written("a:x") == {(): [(0.0, 1.0), (1.0, None)]}


def test_the_series_of_alerts_are_those_of_prometheus():
    """ALERTS says the state, ALERTS_FOR_STATE since when; both end with the alert."""
    world = World(alert_group("{alert: A, expr: 'v > 0', for: 2s, labels: {severity: info}}"))
    for value in (1.0, 1.0, 1.0, 0.0):
        world.tick({'v{x="1"}': value})
    common = (("severity", "info"), ("x", "1"))
    assert world.written("ALERTS") == {
        (("alertname", "A"), ("alertstate", "pending"), *common): [(0, 1), (1, 1), (2, None)],
        (("alertname", "A"), ("alertstate", "firing"), *common): [(2, 1), (3, None)],
    }
    assert world.written("ALERTS_FOR_STATE") == {
        (("alertname", "A"), *common): [(0, START), (1, START), (2, START), (3, None)]
    }


def test_a_rule_that_fails_harms_no_other():
    """A rule without a result is told with its reason; the others of its group go on."""
    world = World(
        alert_group("{record: 'a:x', expr: 'v * on() w'}, {record: 'a:y', expr: 'sum(v)'}")
    )
    outcome = world.tick({'v{i="1"}': 1.0, 'v{i="2"}': 1.0, 'w{i="1"}': 1.0, 'w{i="2"}': 1.0})
    ((group, rule, why),) = outcome.failures
    assert (group, rule) == ("g", "a:x")
    assert "many-to-many" in why or "multiple matches" in why
    assert world.written("a:y") == {(): [(0.0, 2.0)]}


def test_alerts_of_a_rule_that_fails_stay_as_they_are():
    """An alert fires on while its rule has no result: unknown is not resolved."""
    world = World(alert_group("{alert: A, expr: 'v > on() w'}"))
    world.tick({"v": 1.0, "w": 0.0})
    world.tick({'v{i="1"}': 1.0, 'v{i="2"}': 1.0, 'w{i="1"}': 1.0, 'w{i="2"}': 1.0})
    assert world.states() == {"A": "firing"}


@pytest.mark.parametrize("rule", ["{record: 'a:x', expr: v}", "{alert: A, expr: v}"])
def test_over_its_limit_a_rule_has_no_result(rule: str):
    """More results than `limit` are none at all."""
    world = World(groups_of(f"groups: [{{name: g, limit: 1, rules: [{rule}]}}]"))
    outcome = world.tick({'v{i="1"}': 1.0, 'v{i="2"}': 1.0})
    assert "limit of 1" in outcome.failures[0][2]
    assert world.written("a:x") == {}
    assert world.states() == {}


def test_two_alerts_with_the_same_labels_are_refused():
    """A rule whose labels make two of its alerts one is said to be wrong."""
    world = World(alert_group("{alert: A, expr: v, labels: {i: same}}"))
    outcome = world.tick({'v{i="1"}': 1.0, 'v{i="2"}': 1.0})
    assert "same labels" in outcome.failures[0][2]


def test_what_goes_out_carries_labels_numbers_and_links():
    """An alert has external labels, the rule's annotations, the numbers now and a minute before."""
    world = World(
        alert_group(
            "{alert: A, expr: 'inferwatch_gpus > 4', labels: {severity: \"{{ $labels.gpu }}x\"},"
            " annotations: {summary: '{{ $value }} on {{ $externalLabels.site }}'}}"
        ),
        site=Site(external_labels={"site": "here"}, external_url="http://host:9745"),
    )
    for second in range(61):
        (outcome,) = world.ticks(1, {'inferwatch_gpus{gpu="3"}': 5.0 + (second >= 30)})
    (alert,) = outcome.alerts
    assert alert.labels == {"alertname": "A", "severity": "3x", "gpu": "3", "site": "here"}
    assert alert.annotations == {
        "summary": "6 on here",
        "subject": "gpu 3",
        "numbers": "inferwatch_gpus: 6, a minute before 5",
        "page": "http://host:9745",
    }
    assert alert.generator_url == "http://host:9745/?alert=A"


@pytest.mark.parametrize(
    ("base", "given", "sent"),
    [
        ("", "docs/r.md#a", "docs/r.md#a"),
        ("https://git/x/", "docs/r.md#a", "https://git/x/docs/r.md#a"),
        ("https://git/x", "/docs/r.md#{{ $labels.i }}", "https://git/x/docs/r.md#1"),
        ("https://git/x", "https://wiki/a", "https://wiki/a"),
    ],
)
def test_runbooks_are_where_the_site_has_them(base: str, given: str, sent: str):
    """A link that is a path leads below the configured address; a whole one stays."""
    rule = f"{{alert: A, expr: v, annotations: {{runbook_url: '{given}', other: docs/r.md}}}}"
    world = World(alert_group(rule), site=Site(runbook_base=base))
    (alert,) = world.tick({'v{i="1"}': 1.0}).alerts
    assert alert.annotations["runbook_url"] == sent
    assert alert.annotations["other"] == "docs/r.md"


@pytest.mark.parametrize(
    ("base", "given", "found"),
    [
        ("", "docs/runbooks.md#a", "http://host:9745/runbooks#a"),
        ("", "docs/mine.md#a", "docs/mine.md#a"),
        ("https://git/x", "docs/runbooks.md#a", "https://git/x/docs/runbooks.md#a"),
    ],
)
def test_shipped_runbooks_are_on_the_host_itself(base: str, given: str, found: str):
    """Unless they are said to be elsewhere; what the agent does not serve stays a path."""
    site = Site(runbook_base=base, external_url="http://host:9745/")
    assert site.runbook(given) == found


def test_a_template_that_fails_says_so_in_its_place():
    """What is wrong with an annotation stands where its text would be; the alert goes out."""
    world = World(alert_group("{alert: A, expr: v, annotations: {a: '{{ gt $value 1 }}'}}"))
    (alert,) = world.tick({"v": 1.0}).alerts
    assert alert.annotations["a"].startswith("<error expanding template: ")


def test_a_template_can_query():
    """`query` in a template is answered from the same history at the same time."""
    text = '{{ with query "w" }}{{ . | first | value }} {{ . | first | label "x" }}{{ end }}'
    world = World(alert_group(f"{{alert: A, expr: v, annotations: {{a: '{text}'}}}}"))
    (alert,) = world.tick({"v": 1.0, 'w{x="y"}': 9.0}).alerts
    assert alert.annotations["a"] == "9 y"


def test_changes_are_events():
    """The beginning and the end of an alert are events, waiting is none."""
    world = World(alert_group("{alert: A, expr: 'v > 0', for: 1s}"))
    kinds = [
        [event.kind for event in world.tick({'v{gpu="0"}': value}).events]
        for value in (1.0, 1.0, 1.0, 0.0)
    ]
    assert kinds == [[], ["alert_firing"], [], ["alert_resolved"]]


def test_rules_that_are_read_again_keep_their_alerts():
    """After a reload an alert of the same name in the same group fires on, others are gone."""
    both = "{alert: A, expr: 'v > 0', for: 2s}, {alert: B, expr: 'v > 0'}"
    world = World(alert_group(both))
    world.ticks(2, {"v": 1.0})
    world.engine.replace(alert_group("{alert: A, expr: 'v > 0.5', for: 2s}"))
    world.tick({"v": 1.0})
    assert world.states() == {"A": "firing"}
    ended = {
        dict(labels)["alertname"]: rows[-1][1]
        for labels, rows in world.written("ALERTS").items()
        if dict(labels)["alertstate"] == "firing"
    }
    assert ended == {"A": 1.0, "B": None}


def _told(outcome: Outcome) -> dict[str, bool]:
    """Return the names of the alerts that go out, and whether as resolved."""
    return {alert.labels["alertname"]: alert.resolved for alert in outcome.alerts}


def test_alerts_of_a_rule_that_is_removed_are_resolved():
    """Receivers hear at once, and again each minute for 15, that what no rule asks for ended."""
    world = World(alert_group("{alert: A, expr: v}, {alert: B, expr: v, keep_firing_for: 1h}"))
    world.tick({"v": 1.0})
    world.engine.replace(alert_group("{alert: A, expr: v}"))
    outcome = world.tick({"v": 1.0})
    assert _told(outcome) == {"B": True}
    (alert,) = outcome.alerts
    assert alert.ends_at == world.time
    assert [event.kind for event in outcome.events] == ["alert_resolved"]
    assert outcome.changed
    again = [_told(world.tick({"v": 1.0}, seconds=60.0)) for _minute in range(17)]
    assert [told.get("B") for told in again] == [True] * 15 + [None, None]
    assert all(told["A"] is False for told in again)


def test_what_waited_under_a_rule_that_is_removed_is_never_told():
    """A pending alert was not told, so its end is not told either."""
    world = World(alert_group("{alert: A, expr: v, for: 1m}"))
    world.tick({"v": 1.0})
    world.engine.replace([])
    outcome = world.tick({"v": 1.0})
    assert (list(outcome.alerts), list(outcome.events)) == ([], [])


def test_the_last_words_about_a_resolved_alert_outlive_its_rule():
    """What had ended before its rule was removed is told for the rest of the 15 minutes."""
    world = World(alert_group("{alert: A, expr: 'v > 0'}"))
    world.tick({"v": 1.0})
    world.tick({"v": 0.0})
    ended = world.time
    world.engine.replace([])
    (alert,) = world.tick({"v": 0.0}, seconds=60.0).alerts
    assert (alert.resolved, alert.ends_at) == (True, ended)


def test_a_rule_that_moves_to_another_group_is_not_told_as_resolved_while_it_fires():
    """The same labels fire in another group: their end under the old one must not be told."""
    world = World(groups_of("groups: [{name: old, rules: [{alert: A, expr: v}]}]"))
    world.tick({"v": 1.0})
    world.engine.replace(groups_of("groups: [{name: new, rules: [{alert: A, expr: v}]}]"))
    told = [_told(world.tick({"v": 1.0}, seconds=60.0)) for _minute in range(3)]
    assert told == [{"A": False}] * 3


def test_a_rule_that_returns_finds_its_alerts():
    """A rule that two reloads took away and gave back within a tick was never gone."""
    rules = alert_group("{alert: A, expr: 'v > 0', for: 1m}")
    world = World(rules)
    world.ticks(61, {"v": 1.0})
    world.engine.replace([])
    world.engine.replace(rules)
    assert _told(world.tick({"v": 1.0})) == {}
    assert world.states() == {"A": "firing"}


def test_a_rule_that_returns_later_begins_anew():
    """Once its alert was told as resolved, a rule that is there again waits and fires again."""
    rules = alert_group("{alert: A, expr: 'v > 0', for: 2s}")
    world = World(rules)
    world.ticks(3, {"v": 1.0})
    world.engine.replace([])
    assert _told(world.tick({"v": 1.0})) == {"A": True}
    world.engine.replace(rules)
    assert [_told(world.tick({"v": 1.0})) for _second in range(3)] == [{}, {}, {"A": False}]
