"""Series under the names that others expect: the same in Prometheus's hands and in the agent's."""

import subprocess
from pathlib import Path

import pytest
import yaml

from agent.alerts.engine import RuleEngine
from agent.app.rules import configured_rules, load_rules, openllmetry_names
from agent.config.settings import Alerts
from agent.model import SeriesTable
from agent.promql import Vector, evaluate_instant, parse
from agent.store.history import History
from tests.e2e.test_rules_in_agent import START, played
from tests.fakes.clock import ManualClock
from tests.rules import notation
from tests.servers import NEEDS_PROMTOOL, PROMTOOL

ROOT = Path(__file__).parents[2]
UNIT_TESTS = ROOT / "tests" / "rules" / "names" / "openllmetry.yml"
NAMES = {
    "llm_operation_duration_seconds_bucket",
    "llm_operation_duration_seconds_sum",
    "llm_operation_duration_seconds_count",
    "llm_tokens_usage_total",
    "llm_requests_total",
    "llm_operation_errors_total",
    "llm_cost_usd_total",
    "llm_token_cost_per_request",
}


def test_they_are_off_unless_somebody_wants_them():
    """The rules are in a file of their own, which a setting adds."""
    off = {rule.name for group in configured_rules(Alerts()) for rule in group.rules}
    on = {
        rule.name
        for group in configured_rules(Alerts(openllmetry_names=True))
        for rule in group.rules
    }
    assert on - off == NAMES
    assert off <= on


def test_prometheus_gets_the_same_file():
    """What is deployed is what the agent has; `make deploy` copies it."""
    deployed = ROOT / "deploy" / "prometheus" / "openllmetry.yml"
    assert deployed.read_text() == openllmetry_names().read_text()


@pytest.mark.server
@NEEDS_PROMTOOL
@pytest.mark.parametrize("what", [["check", "rules"], ["test", "rules"]])
def test_promtool_has_nothing_to_say(what: list[str]):
    """The file is clean, and its unit tests pass."""
    file = UNIT_TESTS if what[0] == "test" else openllmetry_names()
    done = subprocess.run(
        [PROMTOOL, *what, str(file)],
        capture_output=True,
        text=True,
        check=False,
        cwd=UNIT_TESTS.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lint" not in done.stdout + done.stderr


def test_the_agent_does_as_promtool():
    """What promtool is expected to find at a time is what the agent's history has then."""
    (case,) = yaml.safe_load(UNIT_TESTS.read_text())["tests"]
    table = SeriesTable()
    history = History(table, clock=ManualClock(), span=1e6)
    engine = RuleEngine(load_rules([openllmetry_names()]), table=table, tick=30.0, stagger=False)
    checked = 0
    for frame in played(table, case, step=30):
        history.append(frame)
        assert engine.evaluate(frame.time, history).failures == []
        for check in case["promql_expr_test"]:
            if notation.seconds(check["eval_time"]) != round(frame.time - START):
                continue
            found = evaluate_instant(parse(check["expr"]), history, frame.time)
            assert isinstance(found, Vector)
            expected = {}
            for sample in check["exp_samples"]:
                name, labels = notation.series(
                    "x" * (sample["labels"][0] == "{") + sample["labels"]
                )
                names = (("__name__", name),) if name != "x" else ()
                expected[tuple(sorted((*labels, *names)))] = pytest.approx(sample["value"])
            assert dict(found) == expected, check["expr"]
            checked += 1
    assert checked == len(case["promql_expr_test"])
