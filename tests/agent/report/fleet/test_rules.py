"""The rules that record what a fleet's report asks for: names, labels, and what they may read."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.catalog import METRICS
from agent.promql import parse
from agent.report.fleet import names

RULES = Path(__file__).parents[4] / names.RULES
GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
EVERY = [rule for group in GROUPS for rule in group["rules"]]
ASKED = {
    value for name, value in vars(names).items() if name[:1].isupper() and isinstance(value, str)
} - {names.RULES}
_RAW = re.compile(r"\binferwatch_[a-z0-9_]+\b")


def test_everything_that_is_asked_is_recorded():
    """Each name of a question is the name of a rule."""
    recorded = {rule["record"] for rule in EVERY}
    assert len(ASKED) > 20
    assert recorded >= ASKED
    assert set(names.ALWAYS) <= recorded


def test_what_leaves_a_cluster_is_no_raw_series():
    """What is called a fleet's is a sum over hosts, but for the few that stand out."""
    for rule in EVERY:
        if rule["record"].startswith("inferwatch:fleet_") and "outlier" not in rule["record"]:
            by = re.match(r"\s*(?:sum|count|max) by \(([^)]*)\)", rule["expr"])
            assert by is not None, rule["record"]
            assert "instance" not in by[1].split(", ")


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule["record"])
def test_each_rule_reads_what_exists(rule: dict[str, Any]):
    """An expression that the history evaluates too; its metrics and labels are the catalogue's."""
    parse(rule["expr"])
    for name in _RAW.findall(rule["expr"]):
        assert name in METRICS or name.removesuffix("_bucket") in METRICS
    for name, matchers in re.findall(r"\b(inferwatch_[a-z0-9_]+)\{([^}]*)\}", rule["expr"]):
        assert {*re.findall(r"(\w+)=", matchers)} <= {*METRICS[name].labels}


def test_rules_come_after_what_they_need():
    """Within the one group each evaluation sees what those above it just recorded."""
    (group,) = GROUPS
    known: set[str] = set()
    for rule in group["rules"]:
        assert set(re.findall(r"inferwatch:[a-z0-9_:]+", rule["expr"])) <= known
        known.add(rule["record"])


def test_lean_scraping_keeps_what_is_read_and_nothing_else():
    """The example's pattern has every metric that the rules read, and no other of the catalogue."""
    config = yaml.safe_load((RULES.parent / "lean.yml").read_text("utf-8"))
    (relabel,) = config["scrape_configs"][0]["metric_relabel_configs"]
    kept = re.compile(relabel["regex"])
    read = {name for rule in EVERY for name in _RAW.findall(rule["expr"])}
    assert all(kept.fullmatch(name) for name in read)
    assert {name for name in METRICS if kept.fullmatch(name)} <= read
