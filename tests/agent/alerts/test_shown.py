"""Rules and alerts as the Prometheus API tells them."""

from agent.alerts.group import Site
from agent.alerts.shown import Shown
from agent.queries.numbers import exponent_text
from agent.steps import at_once
from tests.fakes.rules import World, groups_of

RULES = """
groups:
  - name: g
    limit: 9
    rules:
      - {record: "a:x", expr: "sum(x)", labels: {kind: sum}}
      - alert: Much
        expr: x > 1
        for: 2s
        keep_firing_for: 1m
        labels: {severity: page, about: "{{ $labels.a }}"}
        annotations:
          summary: '{{ $value }} of {{ $labels.a }}, {{ query "a:x" | first | value }}'
  - name: slow
    interval: 1h
    rules:
      - {alert: Twice, expr: "x + on() y"}
"""
SAMPLES = {'x{a="1"}': 2.0, 'x{a="2"}': 1.0}


def _shown(world: World, *, shift: float = 0.0) -> list[dict[str, object]]:
    """Return what is told now."""
    shown = Shown(world.engine, world.history, number=exponent_text, shift=shift)
    return at_once(shown.groups(world.time))


def test_before_the_first_evaluation_nothing_is_known():
    """No time, no health."""
    world = World(groups_of(RULES))

    group = _shown(world)[0]

    assert group["lastEvaluation"] == "0001-01-01T00:00:00Z"
    assert {rule["health"] for rule in group["rules"]} == {"unknown"}  # type: ignore[attr-defined]


def test_rules_and_their_alerts():
    """As written, with what became of them: labels, templates, times, values."""
    world = World(groups_of(RULES))
    world.tick(SAMPLES)

    group, slow = _shown(world)

    assert {**group, "rules": []} == {
        "name": "g", "file": "rules.yml", "rules": [], "interval": 1.0, "limit": 9,
        "evaluationTime": 0.0, "lastEvaluation": "2027-01-15T08:00:00.000Z",
    }  # fmt: skip
    record, alert = group["rules"]  # type: ignore[misc]
    assert record == {  # type: ignore[has-type]
        "name": "a:x", "query": "sum(x)", "type": "recording", "labels": {"kind": "sum"},
        "health": "ok", "lastEvaluation": "2027-01-15T08:00:00.000Z",
    }  # fmt: skip
    alerts = alert.pop("alerts")  # type: ignore[has-type]
    assert alert == {  # type: ignore[has-type]
        "state": "pending", "name": "Much", "query": "x > 1", "duration": 2.0,
        "keepFiringFor": 60.0,
        "labels": {"severity": "page", "about": "{{ $labels.a }}"},
        "annotations": {
            "summary": '{{ $value }} of {{ $labels.a }}, {{ query "a:x" | first | value }}'
        },
        "type": "alerting", "health": "ok", "lastEvaluation": "2027-01-15T08:00:00.000Z",
    }  # fmt: skip
    assert alerts == [
        {
            "labels": {"a": "1", "about": "1", "alertname": "Much", "severity": "page"},
            "annotations": {"summary": "2 of 1, 3"},
            "state": "pending",
            "activeAt": "2027-01-15T08:00:00.000Z",
            "value": "2e+00",
        }
    ]
    assert slow["interval"] == 3600.0


def test_states_follow_and_times_are_put_forward():
    """Firing goes before pending; what fires only since it is kept says since when."""
    world = World(groups_of(RULES))
    world.ticks(4, SAMPLES)
    assert _shown(world)[0]["rules"][1]["state"] == "firing"  # type: ignore[index]
    world.tick({'x{a="1"}': 0.0})

    alert = _shown(world, shift=3600.0)[0]["rules"][1]["alerts"][0]  # type: ignore[index]

    assert alert["activeAt"] == "2027-01-15T09:00:00.000Z"
    assert alert["keepFiringSince"] == "2027-01-15T09:00:04.000Z"


def test_a_rule_without_a_result_says_why_until_it_has_one():
    """As long as its last evaluation failed, and no longer."""
    world = World(groups_of(RULES.replace("interval: 1h", "interval: 1s")))
    world.tick({**SAMPLES, "y": 1.0})
    failing = _shown(world)[1]["rules"][0]  # type: ignore[index]
    assert failing["health"] == "err"
    assert "many" in failing["lastError"]

    world.tick({'x{a="1"}': 1.0, "y": 1.0})

    assert _shown(world)[1]["rules"][0]["health"] == "ok"  # type: ignore[index]


def test_a_runbook_is_where_it_can_be_read():
    """An alert names the page that those who are told of it are sent to; its rule stands as is."""
    rules = """
groups:
  - name: g
    rules:
      - {alert: A, expr: "x > 1", annotations: {runbook_url: "docs/runbooks.md#a"}}
"""
    world = World(groups_of(rules), site=Site(runbook_base="https://r.example"))
    world.tick(SAMPLES)

    rule = _shown(world)[0]["rules"][0]  # type: ignore[index]

    assert rule["annotations"] == {"runbook_url": "docs/runbooks.md#a"}
    found = rule["alerts"][0]["annotations"]
    assert found == {"runbook_url": "https://r.example/docs/runbooks.md#a"}
