"""A real Prometheus in front of the agent."""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import AgentProcess, agent_process, free_port

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(
        shutil.which("prometheus") is None or shutil.which("promtool") is None,
        reason="needs prometheus and promtool on the PATH",
    ),
]

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: inferwatch
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """The demo, as `make demo` runs it."""
    port = free_port()
    folder = tmp_path_factory.mktemp("demo")
    with agent_process(folder, "demo", "--listen", f"127.0.0.1:{port}", port=port) as agent:
        yield agent


class Prometheus:
    """A Prometheus that scrapes one target."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{query}", timeout=5) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return result

    def wait_for(self, expression: str, *, seconds: float = 30.0) -> list[dict[str, Any]]:
        """Return the first result that is not empty."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                found = self.query(expression)
                if found:
                    return found
            time.sleep(0.2)
        raise AssertionError(f"Prometheus never had an answer to {expression}")


@pytest.fixture
def prometheus(tmp_path: Path, demo: AgentProcess) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the demo every second."""
    config = tmp_path / "prometheus.yml"
    config.write_text(CONFIG.format(port=demo.url.rpartition(":")[2]))
    port = free_port()
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            yield Prometheus(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(timeout=10)


def test_promtool_finds_nothing_to_say(demo: AgentProcess):
    """The page passes Prometheus's own linter without a word."""
    _status, page = demo.get("/metrics")
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=page,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_prometheus_has_the_values_of_the_page(prometheus: Prometheus):
    """What stands still on the page has the same value and labels in Prometheus."""
    found = prometheus.wait_for("inferwatch_engine_max_num_seqs")
    assert found[0]["metric"] | {"instance": ""} == {
        "__name__": "inferwatch_engine_max_num_seqs",
        "engine": "vllm",
        "instance_name": "vllm-8000",
        "instance": "",
        "job": "inferwatch",
    }
    assert found[0]["value"][1] == "16"
    assert prometheus.query("inferwatch_gpus")[0]["value"][1] == "2"
    assert prometheus.query("up")[0]["value"][1] == "1"


def test_prometheus_can_work_with_the_histograms(prometheus: Prometheus, demo: AgentProcess):
    """Quantiles, rates and joins with the info metric work on the page as it is."""
    demo.wait_for("inferwatch_ticks_total", demo.value("inferwatch_ticks_total"), seconds=5)
    prometheus.wait_for(
        "histogram_quantile(0.95, sum by (le) "
        "(inferwatch_engine_inter_token_latency_seconds_bucket)) > 0"
    )
    prometheus.wait_for("rate(inferwatch_ticks_total[10s]) > 0.5")
    joined = prometheus.wait_for(
        "inferwatch_engine_kv_cache_usage_ratio "
        "* on (engine, instance_name) group_left (version) inferwatch_engine_info{model!=''}"
    )
    assert joined[0]["metric"]["version"] == "0.32.0"


def test_prometheus_takes_openmetrics(prometheus: Prometheus):
    """Prometheus asks for OpenMetrics and keeps the types that it is told."""
    prometheus.wait_for("inferwatch_gpus")
    with urllib.request.urlopen(f"{prometheus.url}/api/v1/metadata", timeout=5) as answer:
        metadata = json.load(answer)["data"]
    assert metadata["inferwatch_gpu_energy_joules"][0]["type"] == "counter"
    assert metadata["inferwatch_gpu_energy_joules"][0]["unit"] == "joules"
    assert metadata["inferwatch_engine"][0]["type"] == "info"
    assert metadata["inferwatch_engine_time_to_first_token_seconds"][0]["type"] == "histogram"
