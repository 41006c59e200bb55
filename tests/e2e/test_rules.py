"""The shipped rules as text: complete, documented, and within what they may use."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.alerts.template import Data, parse_template
from agent.catalog import METRICS
from agent.store.ring import BACKLOG
from agent.store.segment import WINDOW
from tests.rules import notation

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "agent" / "alerts" / "rules").glob("*.yml"))
DEPLOYED = ROOT / "deploy" / "prometheus" / "rules"
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text()

SECTION = re.compile(r"^### (\w+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
PARTS = ("**Means.**", "**Matters.**", "**Check.**", "**Do.**", "**False alarms.**")


def groups() -> Iterator[dict[str, Any]]:
    """Yield every group of the shipped files."""
    for file in RULES:
        yield from yaml.safe_load(file.read_text())["groups"]


def rules() -> Iterator[dict[str, Any]]:
    """Yield every rule of the shipped files."""
    for group in groups():
        yield from group["rules"]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def cases() -> dict[str, dict[str, Any]]:
    """Return the unit tests by name."""
    documents = notation.unit_tests().values()
    return {case["name"]: case for document in documents for case in document["tests"]}


def test_names_are_unique():
    """No two alerts and no two groups share a name, whatever file they are in."""
    alerts = [rule["alert"] for rule in rules() if "alert" in rule]
    names = [group["name"] for group in groups()]
    assert len(alerts) == len(set(alerts)) > 30
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_alert_is_complete(name: str):
    """Each alert has severity, the label that tells the set, summary, description and runbook."""
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["labels"]["ruleset"] == "inferwatch"
    annotations = alert["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert "\n" not in annotations["summary"]
    assert annotations["runbook_url"] == f"docs/runbooks.md#{name.lower()}"


def summary_of(name: str, value: float) -> str:
    """Return the summary of an alert for a value."""
    text: str = parse_template(ALERTS[name]["annotations"]["summary"]).render(
        Data(labels={}, value=value)
    )
    return text


SHARES = sorted(
    name for name, rule in ALERTS.items() if "humanizePercentage" in str(rule["annotations"])
)


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("value", [0.00012345, 0.0312, 0.59375, 2 / 3, 0.98765, 0.99812, 1.0])
def test_shares_have_two_digits_at_most(name: str, value: float):
    """What was counted in some minutes, measured or estimated is told in two digits, or as 100%."""
    share = re.findall(r"([-+.e0-9]+)%", summary_of(name, value))[0]
    assert share == "100" or len(share.replace(".", "").lstrip("0")) <= 2, share


def test_estimates_are_whole_percents_and_never_certain():
    """A probability and a headroom have no decimals; nearly certain and nearly gone are words."""
    said = [summary_of("EngineKvExhaustionSoon", value) for value in (0.26, 0.59375, 0.99, 0.998)]
    assert [text.rpartition("probability of ")[2] for text in said] == [
        "26%",
        "59%",
        "99%",
        "more than 99%",
    ]
    left = [summary_of("EngineHeadroomLow", value) for value in (0.0871, 0.031, 0.002, -0.04)]
    assert [text.partition(" has ")[2].partition(" of ")[0] for text in left] == [
        "9%",
        "3%",
        "less than 1%",
        "less than 1%",
    ]


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_alert_has_a_unit_test(name: str):
    """Each alert is tested to wait, to fire, to leave the near misses alone, and to end."""
    case = cases()[name]
    instances = {
        re.search(r'instance="([^"]+)"', item["series"])[1] for item in case["input_series"]
    }
    assert any(instance.startswith("fires") for instance in instances)
    assert any(instance.startswith("miss-") for instance in instances)
    expected = [bool(check["exp_samples"]) for check in case["promql_expr_test"]]
    assert expected[0] is False
    assert any(expected)
    assert expected[-1] is False
    assert all(f'alertname="{name}"' in check["expr"] for check in case["promql_expr_test"])


def test_every_metric_is_one_of_ours():
    """A rule reads metrics of the catalogue and series that a rule records, nothing else."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        for name in re.findall(r"\binferwatch[a-z0-9_:]+", rule["expr"]):
            base = re.sub(r"_(bucket|count|sum)$", "", name)
            assert name in recorded or name in METRICS or base in METRICS, (name, rule)


def test_windows_hold_at_a_scrape_of_15_seconds():
    """No window is shorter than a minute, and the alerts of every tick look back 5 at most."""
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    for group in groups():
        for rule in group["rules"]:
            for count, unit in re.findall(r"\[(\d+)([smhd])\]", rule["expr"]):
                window = int(count) * seconds[unit]
                assert window >= 60, rule
                assert window <= 120 or "interval" in group, rule


def test_sums_keep_the_labels_of_the_target():
    """No rule sums `by`, which would merge the hosts of a fleet."""
    assert not [rule for rule in rules() if re.search(r"\b(by|on) ?\(", rule["expr"])]


def test_xid_classes_cover_each_code_once():
    """Each XID belongs to one class, but for those that mean nothing (14, 106, 107)."""
    classes = {}
    for name in ("GpuXidFatal", "GpuXidHardware", "GpuXidApplication", "GpuXidOther"):
        found = re.search(r'code(=~|!~)"([^"]+)"', ALERTS[name]["expr"])
        assert found is not None
        classes[name] = (found[1] == "=~", re.compile(found[2]))
    for code in map(str, range(1, 200)):
        hit = [
            name
            for name, (wanted, pattern) in classes.items()
            if bool(pattern.fullmatch(code)) is wanted
        ]
        assert len(hit) == (code not in {"14", "106", "107"}), (code, hit)
    fatal = classes["GpuXidFatal"][1]
    assert all(fatal.fullmatch(code) for code in ("48", "64", "74", "79", "95", "119", "120"))
    assert not any(fatal.fullmatch(code) for code in ("13", "31", "43", "45", "63", "92", "94"))


def test_runbooks_describe_every_alert():
    """Each alert has a section of five parts in the runbooks, and no section lacks its alert."""
    sections = dict(SECTION.findall(RUNBOOKS))
    assert set(sections) == set(ALERTS)
    for name, text in sections.items():
        assert [part for part in PARTS if part not in text] == [], name


def test_what_waits_for_the_disk_is_told_as_it_is():
    """Three complete segments of five minutes wait; alert, runbook and the page of it say so."""
    assert BACKLOG * WINDOW == 15 * 60 * 1000
    said = ALERTS["HistoryNotWritable"]["annotations"]["description"]
    runbook = dict(SECTION.findall(RUNBOOKS))["HistoryNotWritable"]
    for text in (said, runbook):
        assert "a quarter of an hour" in " ".join(text.split())
    history = (ROOT / "docs" / "history.md").read_text()
    assert BACKLOG == 3
    assert "complete segments wait, three at most" in history


def test_deployed_copy_is_the_shipped_set():
    """`deploy/prometheus/rules` is what `make deploy` makes of the shipped rules."""
    assert {file.name for file in DEPLOYED.iterdir()} == {file.name for file in RULES}
    for file in RULES:
        assert (DEPLOYED / file.name).read_text() == file.read_text()
