"""The report over a fleet, asked of a real Prometheus that has twenty simulated hosts."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.app.report_fleet import FORMS, Fleet, make, make_of_host
from agent.config import Settings
from agent.config.settings import ModelTargets, Targets
from agent.report.asked import Asked
from agent.report.report import Report, ReportError
from tests.e2e import fleet, told
from tests.e2e.process import free_port
from tests.e2e.told import END, HOSTS, NOW, START
from tests.fakes import fleet as made
from tests.servers import NEEDS_PROMETHEUS, PROMTOOL

pytestmark = [pytest.mark.server, NEEDS_PROMETHEUS]

UNIT_TESTS = Path(__file__).parents[1] / "rules" / "fleet"
SETTINGS = replace(
    Settings(),
    targets=Targets(models=(ModelTargets(model_name="org/large-70b", time_to_first_token=4.0),)),
)


folder = told.history


@pytest.fixture(scope="module")
def prometheus(folder: Path) -> Iterator[str]:
    """A Prometheus that has them."""
    with fleet.server(folder) as running:
        yield running.url


def report(url: str, *, by: str = "model", clusters: tuple[str, ...] = (), **asked: str) -> Report:
    """Return a report on the last hour and a half."""
    return make(
        SETTINGS,
        Asked(**{"start": "90m", **asked}),
        Fleet(url=url, by=by, clusters=clusters),
        now=NOW,
    )


def by_name(found: Report) -> dict[str, dict[str, Any]]:
    """Return the groups by their names."""
    return {one["instance_name"] or one["model_name"]: one for one in found.document["subjects"]}


def test_tokens_are_those_that_were_served(prometheus: str):
    """Peak, mean and sums of each model are those of the simulation, by the minute."""
    groups = by_name(report(prometheus))
    assert groups.keys() == {"the whole fleet", "org/chat-8b", "org/large-70b"}
    for name in groups:
        model = None if name == "the whole fleet" else name
        load = groups[name]["load"]
        truth = made.tokens_per_minute(HOSTS, END - 60, of=model)
        assert load["peak"]["tokens_per_minute"] == pytest.approx(truth, rel=2e-3)
        assert load["peak"]["length_seconds"] == 60.0
        middle = made.tokens_per_minute(HOSTS, END - 2700, of=model)
        assert load["mean_tokens_per_minute"] == pytest.approx(middle, rel=2e-2)
        assert load["prompt_to_generation_ratio"] == pytest.approx(4.0)
        assert load["cached_prompt_share"] == pytest.approx(made.CACHED)
        tokens = load["prompt_tokens"] + load["generation_tokens"]
        assert load["requests"] == pytest.approx(tokens / made.REQUEST, rel=1e-2)
        assert load["known_share"] == 1.0


def test_capacity_counts_what_is_not_known_as_its_like(prometheus: str):
    """Two of twenty hosts have no capacity: the mean of the same model and GPU stands for them."""
    groups = by_name(report(prometheus))
    truth = {
        model: sum(
            one.kind.capacity * one.kind.engines for one in HOSTS if one.kind.model_name == model
        )
        for model in ("org/chat-8b", "org/large-70b")
    }
    for model, capacity in truth.items():
        found = groups[model]["capacity"]["tokens_per_minute"]
        assert found["low"] == pytest.approx(capacity)
        assert found["high"] == pytest.approx(1.2 * capacity)
        head = groups[model]["headroom_at_peak"]
        assert head["share"] == pytest.approx(1 - head["demand_tokens_per_minute"] / capacity)
    whole = groups["the whole fleet"]
    assert whole["capacity"]["tokens_per_minute"]["low"] == pytest.approx(sum(truth.values()))
    assert (whole["replicas"], whole["replicas_with_known_capacity"]) == (27, 24)
    assert whole["capacity"]["binding"] == "inter_token"


def test_latencies_are_those_of_all_hosts_together(prometheus: str):
    """The 95th percentile is that of the mixture; the target is that of the model."""
    groups = by_name(report(prometheus))
    chat, large = (groups[name]["latencies"] for name in ("org/chat-8b", "org/large-70b"))
    # Of about 35 % that wait exp(-t/0.8) are over t: 5 % at 1.56 s, between the bounds 1 and 2.5.
    for one in (chat, large):
        assert 1.0 < one["time_to_first_token"]["p95_seconds"] < 2.5
        assert 0.1 < one["inter_token"]["p95_seconds"] < 0.15
    assert chat["time_to_first_token"]["share_of_time_over"] == 1.0
    assert large["time_to_first_token"]["share_of_time_over"] == 0.0
    assert large["time_to_first_token"]["target_seconds"] == 4.0


def test_what_else_is_told(prometheus: str):
    """Verdicts, GPUs, cost, alerts and hosts are the simulation's."""
    found = report(prometheus)
    groups = by_name(found)
    whole, large = groups["the whole fleet"], groups["org/large-70b"]
    assert whole["verdicts"]["sequence_limit"] == 1.0
    assert whole["gpus"]["count"] == 160.0
    assert whole["gpus"]["busy_share"] == pytest.approx(made.BUSY)
    assert whole["gpus"]["memory_used_share"] == pytest.approx(0.9)
    assert large["gpus"]["count"] == 56.0
    assert whole["cost"]["per_hour"] == pytest.approx(160 * made.PRICE)
    assert whole["cost"]["currency"] == "EUR"
    assert found.document["hosts"] == 20
    assert sum(one["count"] for one in found.document["gpus_installed"]) == 160
    assert found.document["missing"] == []
    (alert,) = {one["alertname"] for one in found.document["alerts"]}
    assert alert == "EngineHeadroomLow"


def test_the_odd_ones_are_found(prometheus: str):
    """The host that is asked too much and the one that is slow stand out, and nobody else."""
    found = report(prometheus).document["outliers"]
    told = {(one["kind"], one["instance"]) for one in found}
    assert told == {("load", "gpu-0006:9745"), ("inter_token", "gpu-0012:9745")}
    assert all(one["share_of_time"] > 0.95 for one in found)
    assert all(one["ratio"] > 1.25 for one in found)


def test_models_get_advice(prometheus: str):
    """Where the peak is over the capacity, replicas are wanted now, in a sentence with numbers."""
    large = by_name(report(prometheus))["org/large-70b"]
    (first, *_rest) = large["recommendations"]
    assert first["action"] == "add_replicas"
    assert first["replicas"] == 4
    assert "Add 4 replicas now" in first["sentence"]


def test_other_divisions_have_the_same_sum(prometheus: str):
    """By model, GPU type or cluster: the parts make up the same whole."""
    peaks = set()
    for by, names in (
        ("model", {"org/chat-8b", "org/large-70b"}),
        ("gpu", {one.gpu_type for one in made.KINDS}),
        ("cluster", {*made.CLUSTERS}),
    ):
        groups = by_name(report(prometheus, by=by))
        whole = groups.pop("the whole fleet")
        assert groups.keys() == names
        parts = sum(one["load"]["mean_tokens_per_minute"] for one in groups.values())
        assert parts == pytest.approx(whole["load"]["mean_tokens_per_minute"])
        peaks.add(round(whole["load"]["peak"]["tokens_per_minute"], 3))
        able = whole["capacity"]["tokens_per_minute"]["low"]
        assert able == pytest.approx(10.95e6)
    assert len(peaks) == 1


def test_one_cluster_of_one_model(prometheus: str):
    """What is asked for is what is told of, and nothing else."""
    found = report(prometheus, clusters=("oslo",), model="org/large-70b")
    few = [one for one in HOSTS if one.cluster == "oslo" and one.kind.model_name == "org/large-70b"]
    group = by_name(found)["org/large-70b"]
    assert group["replicas"] == len(few)
    assert group["load"]["peak"]["tokens_per_minute"] == pytest.approx(
        made.tokens_per_minute(few, END - 60), rel=2e-3
    )
    assert {one["cluster"] for one in found.document["gpus_installed"]} == {"oslo"}


def test_what_is_not_there_is_said(prometheus: str, tmp_path: Path):
    """An unknown cluster, rules that are not loaded, and no agents at all: each says what to do."""
    with pytest.raises(ReportError, match="nothing is recorded of cluster paris in this time"):
        report(prometheus, clusters=("paris",))
    fleet.fill(tmp_path, HOSTS[:1], START, END, step=60.0)
    with fleet.server(tmp_path) as running:
        with pytest.raises(ReportError, match=r"1 agents, but not .* load deploy/prometheus/fleet"):
            report(running.url)
        with pytest.raises(ReportError, match="no series of an agent"):
            make(SETTINGS, Asked(), Fleet(url=running.url), now=START - 1e7)


def test_every_form_tells_of_every_group(prometheus: str):
    """As text, rows and a page with plots, every group is there by its name."""
    found = report(prometheus)
    told = {form: FORMS[form](found) for form in FORMS}
    assert all("org/chat-8b" in text for text in told.values())
    assert told["html"].count("Demand against capacity") >= 3
    assert len(told["csv"].splitlines()) == 1 + 3 * 18


def test_the_command_writes_a_file(prometheus: str, tmp_path: Path):
    """`inferwatch report --prometheus` gives JSON with the schema that is documented."""
    path = tmp_path / "report.json"
    subprocess.run(
        [
            sys.executable, "-I", "-m", "agent", "report", f"--prometheus={prometheus}",
            f"--from={START + 1800:.0f}", f"--to={END:.0f}", "--format=json", f"--output={path}",
        ],
        check=True, timeout=60,
    )  # fmt: skip
    document = json.loads(path.read_text())
    assert document["schema"] == "inferwatch.fleet/1"
    assert document["server"] == prometheus


def test_the_command_says_who_does_not_answer():
    """An address at which nobody listens ends the command with one line and status 2."""
    done = subprocess.run(
        [
            sys.executable, "-I", "-m", "agent", "report",
            f"--prometheus=http://127.0.0.1:{free_port()}",
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "/api/v1/query_range: " in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["fleet", "agent-unreachable"])
def test_the_rules_record_and_tell_what_they_should(name: str):
    """Shared GPUs, engines without any, ranks, outliers; agents that nobody hears: promtool's."""
    done = subprocess.run(
        [PROMTOOL, "test", "rules", f"{name}.yml"],
        capture_output=True, text=True, timeout=30, check=False, cwd=UNIT_TESTS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "label"), [("fleet", "cluster"), ("fleet", "site"), ("agent-unreachable", "cluster")]
)
def test_the_rules_are_clean(tmp_path: Path, name: str, label: str):
    """Debian's linter has nothing to say, whatever the label of the cluster is called."""
    file = tmp_path / f"{name}.yml"
    file.write_text(fleet.RULES.with_name(file.name).read_text().replace("cluster", label))
    done = subprocess.run(
        [PROMTOOL, "check", "rules", str(file)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "lint" not in said


def test_one_host_is_told_of_as_by_itself(prometheus: str):
    """With `--host` it is the report of that host, from its raw series."""
    found = make_of_host(
        SETTINGS,
        Asked(start="60m", instance="vllm-8000"),
        url=prometheus,
        host="gpu-0001:9745",
        now=NOW,
    ).document
    (one,) = found["subjects"]
    assert found["host"] == "gpu-0001:9745"
    truth = made.tokens_per_minute([HOSTS[1]], END - 60)
    assert one["load"]["peak"]["tokens_per_minute"] == pytest.approx(truth, rel=2e-3)
    assert one["capacity"]["tokens_per_minute"]["low"] == HOSTS[1].kind.capacity
    assert one["latencies"]["inter_token"]["p95_seconds"] < 0.15
    assert one["verdicts"]["sequence_limit"] == 1.0


def test_a_host_that_is_not_there_is_said(prometheus: str):
    """A label that no agent has is named, with what was looked for."""
    with pytest.raises(ReportError, match="no agent whose label instance is 'gpu-7'"):
        make_of_host(SETTINGS, Asked(), url=prometheus, host="gpu-7", now=NOW)
