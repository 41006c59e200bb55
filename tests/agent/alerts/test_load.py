"""From rule files to rules: what cannot be evaluated is refused when it is read."""

import pytest

from agent.alerts.load import compile_groups, without
from agent.app.rules import load_rules, shipped_rule_files
from agent.config.rule_files import parse_rule_file
from tests.fakes.rules import groups_of

BAD = """\
groups:
- name: g
  rules:
  - record: a:b
    expr: sum(
  - alert: A
    expr: info(up)
    labels:
      x: "{{ nope }}"
    annotations:
      y: "{{ $valeu }}"
      z: '{{ query "up[" }}'
  - record: inferwatch_x
    expr: up
"""


def test_expressions_and_templates_are_judged_at_load():
    """Each expression and template that cannot be evaluated is said with its own line."""
    raw, problems = parse_rule_file(BAD, "f")
    groups, found = compile_groups(raw)
    assert problems == []
    assert [group.rules for group in groups] == [()]
    lines = [(problem.line, problem.message.split(": ")[2]) for problem in sorted(found)]
    assert lines == [
        (5, "expr"),
        (7, "expr"),
        (9, "labels.x"),
        (11, "annotations.y"),
        (12, "annotations.z"),
        (13, "record"),
    ]
    said = "\n".join(map(str, found))
    assert 'function "nope" not defined' in said
    assert 'undefined variable "$valeu"' in said
    assert "info" in said


@pytest.mark.parametrize(
    ("keys", "expr", "seconds"),
    [
        ("", "rate(x[5m])", 0.0),
        ("", "rate(x[6m])", 30.0),
        ("", "x offset 1h", 30.0),
        ("interval: 15s, ", "x", 15.0),
        ("interval: 1m, ", "rate(x[1h])", 60.0),
    ],
)
def test_how_often_a_group_is_evaluated(keys: str, expr: str, seconds: float):
    """Every tick for windows up to 5 minutes, every 30 s for longer ones, else as it says."""
    text = f"groups: [{{name: g, {keys}rules: [{{record: 'a:b', expr: '{expr}'}}]}}]"
    assert groups_of(text)[0].interval == seconds


def test_alerts_can_be_left_out_by_name():
    """A disabled alert is gone, and a group without a rule with it; recordings stay."""
    groups = groups_of(
        "groups: [{name: a, rules: [{alert: A, expr: x}]},"
        " {name: b, rules: [{alert: A, expr: x}, {alert: B, expr: x}, {record: A, expr: x}]}]"
    )
    left = [*without(groups, {"A"})]
    assert [(group.name, [rule.name for rule in group.rules]) for group in left] == [
        ("b", ["B", "A"])
    ]


def test_the_shipped_rules_can_be_evaluated():
    """Every rule that comes with the agent is understood."""
    groups = load_rules(shipped_rule_files())
    assert sum(len(group.rules) for group in groups) > 40
