"""Rule files: every problem of a file at once, each with its line."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alerts.errors import RuleError
from agent.app.rules import load_rules, openllmetry_names, shipped_rule_files
from agent.config.rule_files import parse_duration, parse_rule_file, read_rule_file

BAD = """\
groups:
- nam: x
- name: y
  interval: 5x
  limit: -1
  query_offset: 1m
  rules:
  - alert: A
    record: b
  - alert: A
    expr: up
    lables: {}
    labels: {alertname: x, "a-b": c, d: [1]}
  - record: a b
    for: 1m
    expr: 1
  - alert: B
    expr: 5
    for: 5
  - alert: C
  - alert: ''
    expr: 1
- name: y
  rules: 7
- name: z
  rules:
"""

PROBLEMS = """\
f:2: group: unknown key 'nam'; did you mean 'name'?
f:2: group: lacks the key 'name'
f:4: group 'y': interval: expected a duration such as 30s, 5m or 1h30m
f:5: group 'y': limit: expected a number, 0 for none
f:6: group: query_offset: is not supported
f:8: group 'y': rule: expected either record or alert, found both
f:12: group 'y': rule: unknown key 'lables'; did you mean 'labels'?
f:13: group 'y': rule 'A': labels.alertname: cannot be set
f:13: group 'y': rule 'A': labels.d: expected a text
f:13: group 'y': rule 'A': labels: 'a-b' is not a name
f:14: group 'y': rule 'a b': is not the name of a metric
f:15: group 'y': rule 'a b': for: is for alerts only
f:19: group 'y': rule 'B': for: expected a duration such as 30s, 5m or 1h30m
f:20: group 'y': rule 'C': lacks the key 'expr'
f:21: group 'y': alert: expected a text that is not empty
f:24: group 'y': rules: expected a list
"""


def test_every_problem_is_said_with_its_line():
    """One run over a file finds all that is wrong with it."""
    _groups, problems = parse_rule_file(BAD, "f")
    assert sorted(map(str, problems)) == sorted(PROBLEMS.splitlines())


def test_all_keys_are_read():
    """Groups and rules come with everything that Prometheus lets them say."""
    (group,), problems = parse_rule_file(
        "groups:\n- name: g\n  interval: 1m30s\n  limit: 7\n  labels: {team: a, x: g}\n  rules:\n"
        "  - alert: A\n    expr: up == 0\n    for: 5m\n    keep_firing_for: 10m\n"
        "    labels: {x: r}\n    annotations: {summary: 's {{ $value }}', empty: }\n"
        "  - {record: a:b, expr: 1}\n",
        "f",
    )
    assert problems == []
    assert (group.name, group.interval, group.limit, group.line) == ("g", 90.0, 7, 2)
    alert, record = group.rules
    assert (alert.name, alert.expr, alert.hold, alert.keep) == ("A", "up == 0", 300.0, 600.0)
    assert alert.labels == {"team": "a", "x": "r"}
    assert alert.annotations == {"summary": "s {{ $value }}", "empty": ""}
    assert (alert.line, alert.lines["expr"]) == (7, 8)
    assert (record.record, record.expr, record.labels) == ("a:b", "1", {"team": "a", "x": "g"})


@pytest.mark.parametrize("text", ["", "groups:", "groups: []", "# nothing\n"])
def test_an_empty_file_has_no_groups(text: str):
    """A file without groups is no problem, as in Prometheus."""
    assert parse_rule_file(text, "f") == ([], [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("groups: [", "is not YAML"),
        ("[]", "expected keys with values"),
        ("groups: 5", "expected a list"),
        ("rules: []", "unknown key 'rules'"),
        ("groups:\n\t- x", "is not YAML"),
        ("a: \x01", "is not YAML"),
    ],
)
def test_what_is_no_rule_file_is_said(text: str, said: str):
    """Whatever the file holds, there is one sentence about it."""
    groups, problems = parse_rule_file(text, "f")
    assert groups == []
    assert said in str(problems[0])


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path):
    """A missing file and one that is no text are problems like any other."""
    none, latin = tmp_path / "none.yml", tmp_path / "bytes.yml"
    assert [*map(str, read_rule_file(none)[1])] == [
        f"{none}: cannot be read: No such file or directory"
    ]
    latin.write_bytes(b"# one\n# gr\xfc\xdfe\n")
    assert [*map(str, read_rule_file(latin)[1])] == [f"{latin}:2: is not UTF-8 text"]


@pytest.mark.parametrize("path", [*shipped_rule_files(), openllmetry_names()], ids=lambda p: p.stem)
def test_what_comes_with_the_agent_reads_the_same_quickly(path: Path):
    """Rules, lines and all are those that the careful reader finds."""
    groups, problems = read_rule_file(path, own=True)
    assert (groups, problems) == read_rule_file(path)
    assert groups
    assert problems == []


def test_a_file_of_anybody_is_read_carefully(tmp_path: Path):
    """Nesting that would be the end of a process that reads it quickly is one sentence."""
    (tmp_path / "deep.yml").write_text("- " * 200_000)
    with pytest.raises(RuleError, match="nested too deeply"):
        load_rules([tmp_path / "deep.yml"])


@given(text=st.text(alphabet=st.sampled_from([*"groups:[]{}-,name \n'\"&*!|>?#%@"]), max_size=60))
def test_any_text_gives_groups_or_problems(text: str):
    """No text makes the reader do anything else."""
    parse_rule_file(text, "f")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("15s", 15.0), ("1h30m", 5400.0), ("250ms", 0.25), ("1y2w3d", 33_004_800.0)],
)
def test_durations_are_those_of_prometheus(text: str, seconds: float):
    """Every unit of Prometheus is read, in its order."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "1.5h", "1m1h", "-1s", "1 m", "m"])
def test_what_is_no_duration_is_refused(text: str):
    """What Prometheus refuses is refused."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        parse_duration(text)
