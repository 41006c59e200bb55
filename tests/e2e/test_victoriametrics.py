"""The fleet's questions asked of a real VictoriaMetrics, whose rules vmalert has evaluated."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.app.report_fleet import Fleet, make, make_of_host
from agent.config import Settings
from agent.model import SourceError
from agent.report.asked import Asked
from agent.report.report import ReportError
from tests.e2e import victoriametrics
from tests.e2e.fleet import RULES
from tests.e2e.process import AgentProcess, free_port
from tests.e2e.prometheus import SCRAPES, Server
from tests.e2e.test_scaler import CONFIG, host, running, until
from tests.fakes import fleet as made
from tests.servers import NEEDS_VICTORIAMETRICS, VMALERT

pytestmark = [pytest.mark.server, NEEDS_VICTORIAMETRICS]

START = 1_780_048_800.0
END = START + 7200.0
HOSTS = made.hosts(20)


@pytest.fixture(scope="module")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two hours of twenty hosts, and what vmalert records of them."""
    folder = tmp_path_factory.mktemp("victoria")
    with victoriametrics.victoriametrics(folder) as url:
        victoriametrics.fill(url, HOSTS, START, END, step=60.0)
        victoriametrics.record(url, folder, START, END)
        yield url


def asked(url: str, *, by: str = "model") -> dict[str, Any]:
    """Return a report on the last hour and a half."""
    fleet = Fleet(url=url, by=by, clusters=())
    return make(Settings(), Asked(start="90m"), fleet, now=END + 60.0).document


def test_a_report_has_the_figures_of_the_simulation(victoria: str):
    """Tokens, replicas, capacity, latencies, GPUs and alerts are those of the twenty hosts."""
    document = asked(victoria)
    groups = {one["instance_name"] or one["model_name"]: one for one in document["subjects"]}
    assert groups.keys() == {"the whole fleet", "org/chat-8b", "org/large-70b"}
    for name, one in groups.items():
        model = None if name == "the whole fleet" else name
        load = one["load"]
        truth = made.tokens_per_minute(HOSTS, END - 60, of=model)
        assert load["peak"]["tokens_per_minute"] == pytest.approx(truth, rel=2e-3)
        middle = made.tokens_per_minute(HOSTS, END - 2700, of=model)
        assert load["mean_tokens_per_minute"] == pytest.approx(middle, rel=2e-2)
        assert load["prompt_to_generation_ratio"] == pytest.approx(4.0)
        assert load["known_share"] == 1.0
        assert 1.0 < one["latencies"]["time_to_first_token"]["p95_seconds"] < 2.5
        assert 0.1 < one["latencies"]["inter_token"]["p95_seconds"] < 0.15
    whole = groups["the whole fleet"]
    assert (whole["replicas"], whole["replicas_with_known_capacity"]) == (27, 24)
    capacity = sum(one.kind.capacity * one.kind.engines for one in HOSTS)
    assert whole["capacity"]["tokens_per_minute"]["low"] == pytest.approx(capacity)
    assert whole["gpus"]["count"] == 160.0
    assert document["hosts"] == 20
    assert document["missing"] == []
    assert {one["alertname"] for one in document["alerts"]} == {"EngineHeadroomLow"}


@pytest.mark.parametrize("by", ["gpu", "cluster"])
def test_other_divisions_have_the_same_sum(victoria: str, by: str):
    """By GPU type or cluster: the parts make up the same whole."""
    subjects = asked(victoria, by=by)["subjects"]
    whole, *parts = (one["load"]["mean_tokens_per_minute"] for one in subjects)
    assert sum(parts) == pytest.approx(whole)


def test_the_odd_ones_are_found(victoria: str):
    """With their ratio, although VictoriaMetrics leaves the name to a mean over time."""
    found = asked(victoria)["outliers"]
    told = {(one["kind"], one["instance"]) for one in found}
    assert told == {("load", "gpu-0006:9745"), ("inter_token", "gpu-0012:9745")}
    assert all(one["ratio"] > 1.25 for one in found)
    assert all(one["share_of_time"] > 0.95 for one in found)


def test_one_host_is_told_of_as_by_itself(victoria: str):
    """With `--host` it is the report of that host, from its raw series."""
    found = make_of_host(
        Settings(),
        Asked(start="60m", instance="vllm-8000"),
        url=victoria,
        host="gpu-0001:9745",
        now=END + 60.0,
    ).document
    (one,) = found["subjects"]
    truth = made.tokens_per_minute([HOSTS[1]], END - 60)
    assert one["load"]["peak"]["tokens_per_minute"] == pytest.approx(truth, rel=2e-3)
    assert one["capacity"]["tokens_per_minute"]["low"] == HOSTS[1].kind.capacity
    assert one["verdicts"]["sequence_limit"] == 1.0


def test_what_is_not_there_is_said(victoria: str, tmp_path: Path):
    """No agents, no rules, and a query that is too much: each is one sentence."""
    with pytest.raises(ReportError, match="no series of an agent"):
        make(Settings(), Asked(), Fleet(url=victoria), now=START - 1e7)
    with pytest.raises(ReportError, match="no agent whose label instance is 'gpu-7'"):
        make_of_host(Settings(), Asked(), url=victoria, host="gpu-7", now=END + 60.0)
    few = "-search.maxUniqueTimeseries=1"
    with victoriametrics.victoriametrics(tmp_path, few) as url:
        victoriametrics.fill(url, HOSTS[:1], START, END, step=600.0)
        with pytest.raises(SourceError, match=r"exceeds 1; .* -search\.max"):
            make_of_host(
                Settings(), Asked(start="60m"), url=url, host="gpu-0000:9745", now=END + 60.0
            )


def test_vmalert_takes_every_file_of_rules():
    """Alert rules, the fleet's and those with other names: nothing that it does not know."""
    folder = RULES.parent
    files = [folder / "fleet.yml", folder / "openllmetry.yml", folder / "rules" / "*.yml"]
    done = subprocess.run(
        [VMALERT, *(f"-rule={file}" for file in files), "-dryRun"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_vmagent_scrapes_the_agent(demo: AgentProcess, tmp_path: Path):
    """Every sample of the page arrives, with the labels that a Prometheus gives it."""
    port = demo.url.rpartition(":")[2]
    with (
        victoriametrics.victoriametrics(tmp_path) as url,
        victoriametrics.vmagent(tmp_path, SCRAPES.format(port=port), url),
    ):
        server = Server(url)
        (found,) = server.wait_for("up == 1")
        assert found["metric"]["instance"] == f"127.0.0.1:{port}"
        (scraped,) = server.wait_for("scrape_samples_scraped > 300")
        page = demo.get("/metrics")[1].splitlines()
        lines = sum(not line.startswith("#") for line in page)
        assert abs(float(scraped["value"][1]) - lines) < 0.05 * lines
        server.wait_for('inferwatch_engine_up{job="inferwatch"} == 1')


def test_the_scaler_counts_all_hosts(tmp_path: Path):
    """Two hosts with 1,700 of 2,000 tokens a minute each need three replicas, one of them two."""
    port = free_port()
    settings = tmp_path / "config.yaml"
    settings.write_text("scaler: {interval: 1s, stale_after: 20s, scale_in_after: 3s}\n")
    with host() as one, host() as other, victoriametrics.victoriametrics(tmp_path) as url:
        config = CONFIG.format(one=one.server_port, other=other.server_port)
        command = (
            *(sys.executable, "-m", "agent", "scaler", "--prometheus", url),
            *("--listen", f"127.0.0.1:{port}", "--config", str(settings)),
        )
        with (
            victoriametrics.vmagent(tmp_path, config, url),
            running(tmp_path / "scaler.log", *command),
        ):
            path = f"http://127.0.0.1:{port}/api/v1/models/org/m/replicas"
            told = until(path, lambda status, text: status == 200 and '"replicas_now": 2' in text)
            assert (told["replicas"], told["replicas_with_known_capacity"]) == (3, 2)
            assert told["demand_tokens_per_minute"] == 3400.0
            one.shutdown()
            one.server_close()
            told = until(path, lambda status, text: status == 200 and '"replicas_now": 1' in text)
            assert told["demand_tokens_per_minute"] == 1700.0
