"""A real Prometheus in front of the agent."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import AgentProcess
from tests.e2e.prometheus import SCRAPES, Server, prometheus
from tests.servers import NEEDS_PROMETHEUS, PROMTOOL

pytestmark = [pytest.mark.server, NEEDS_PROMETHEUS]


@pytest.fixture
def server(tmp_path: Path, demo: AgentProcess) -> Iterator[Server]:
    """A Prometheus that scrapes the demo every second."""
    with prometheus(tmp_path, SCRAPES.format(port=demo.url.rpartition(":")[2])) as server:
        yield server


def test_promtool_finds_nothing_to_say(demo: AgentProcess):
    """The page passes Prometheus's own linter without a word."""
    _status, page = demo.get("/metrics")
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"],
        input=page,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_prometheus_has_the_values_of_the_page(server: Server):
    """What stands still on the page has the same value and labels in Prometheus."""
    found = server.wait_for("inferwatch_engine_max_num_seqs")
    assert found[0]["metric"] | {"instance": ""} == {
        "__name__": "inferwatch_engine_max_num_seqs",
        "engine": "vllm",
        "instance_name": "vllm-8000",
        "instance": "",
        "job": "inferwatch",
    }
    assert found[0]["value"][1] == "16"
    assert server.found("inferwatch_gpus")[0]["value"][1] == "2"
    assert server.found("up")[0]["value"][1] == "1"


def test_prometheus_can_work_with_the_histograms(server: Server):
    """Quantiles, rates and joins with the info metric work on the page as it is."""
    server.wait_for(
        "histogram_quantile(0.95, sum by (le) "
        "(inferwatch_engine_inter_token_latency_seconds_bucket)) > 0"
    )
    server.wait_for("rate(inferwatch_ticks_total[10s]) > 0.5")
    joined = server.wait_for(
        "inferwatch_engine_kv_cache_usage_ratio "
        "* on (engine, instance_name) group_left (version) inferwatch_engine_info{model!=''}"
    )
    assert joined[0]["metric"]["version"] == "0.32.0"


def test_prometheus_takes_openmetrics(server: Server):
    """Prometheus asks for OpenMetrics and keeps the types that it is told."""
    server.wait_for("inferwatch_gpus")
    metadata = server.ask("metadata")[1]["data"]
    assert metadata["inferwatch_gpu_energy_joules"][0]["type"] == "counter"
    assert metadata["inferwatch_gpu_energy_joules"][0]["unit"] == "joules"
    assert metadata["inferwatch_engine"][0]["type"] == "info"
    assert metadata["inferwatch_engine_time_to_first_token_seconds"][0]["type"] == "histogram"
