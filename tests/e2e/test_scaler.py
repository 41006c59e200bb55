"""`inferwatch scaler` between a real Prometheus and whoever asks it for replicas."""

import contextlib
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import free_port
from tests.e2e.prometheus import prometheus
from tests.servers import NEEDS_PROMETHEUS

pytestmark = [pytest.mark.server, NEEDS_PROMETHEUS]

_LABELS = 'engine="vllm",instance_name="chat",model_name="org/m",rank="0"'
PAGE = f"""\
inferwatch_engine_requests_running{{{_LABELS}}} 4
inferwatch_engine_demand_tokens_per_minute{{{_LABELS},phase="total"}} 1700
inferwatch_engine_demand_tokens_per_minute{{{_LABELS},phase="prompt"}} 1500
inferwatch_engine_capacity_tokens_per_minute{{{_LABELS},phase="total",bound="low"}} 2000
inferwatch_engine_capacity_tokens_per_minute{{{_LABELS},phase="total",bound="high"}} 9000
inferwatch_engine_queue_tokens{{{_LABELS}}} 0
inferwatch_engine_latency_p95_seconds{{{_LABELS},quantity="queue"}} 0.1
inferwatch_engine_latency_p95_seconds{{{_LABELS},quantity="end_to_end"}} 30
"""
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: inferwatch
    static_configs: [{{targets: ["127.0.0.1:{one}", "127.0.0.1:{other}"]}}]
"""


@contextlib.contextmanager
def host() -> Iterator[ThreadingHTTPServer]:
    """Serve the page of a host."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(PAGE.encode())

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def running(said: Path, *command: str) -> Iterator[None]:
    """Run a command until the block ends."""
    with said.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=15)


def _get(url: str) -> tuple[int, str]:
    """Return status and text of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def until(url: str, good: Callable[[int, str], bool], *, seconds: float = 40.0) -> Any:
    """Return the first answer that is good."""
    end, last = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            status, last = _get(url)
            if good(status, last):
                return json.loads(last) if status == 200 else last
        time.sleep(0.2)
    raise AssertionError(f"{url} never answered well; last: {last}")


@pytest.fixture
def scaler(tmp_path: Path) -> Iterator[tuple[str, int, ThreadingHTTPServer]]:
    """Two hosts, a Prometheus and the scaler: its address, that of its gRPC, one of the hosts."""
    http, grpc = (free_port() for _ in range(2))
    with host() as one, host() as other:
        config = CONFIG.format(one=one.server_port, other=other.server_port)
        settings = tmp_path / "config.yaml"
        settings.write_text("scaler: {interval: 1s, stale_after: 20s, scale_in_after: 3s}\n")
        with (
            prometheus(tmp_path, config) as server,
            running(
                tmp_path / "scaler.log",
                *(sys.executable, "-m", "agent", "scaler"),
                *("--prometheus", server.url),
                *("--listen", f"127.0.0.1:{http}", "--grpc", f"127.0.0.1:{grpc}"),
                *("--config", str(settings)),
            ),
        ):
            yield f"http://127.0.0.1:{http}", grpc, one


def test_all_hosts_of_a_prometheus_count(scaler: tuple[str, int, ThreadingHTTPServer]):
    """Two hosts with 1,700 of 2,000 tokens a minute each need three replicas; gRPC says so too.

    A host that is gone is gone from the sum with the next scrape, and what is stale is never told.
    """
    pytest.importorskip("grpc", reason="needs the extra inferwatch[scaler]")
    url, port, one = scaler
    path = f"{url}/api/v1/models/org/m/replicas"
    told = until(path, lambda status, text: status == 200 and '"replicas_now": 2' in text)
    assert (told["replicas"], told["replicas_with_known_capacity"]) == (3, 2)
    assert told["demand_tokens_per_minute"] == 3400.0
    assert _needed(port) == 3.0
    one.shutdown()
    one.server_close()
    told = until(path, lambda status, text: status == 200 and '"replicas_now": 1' in text)
    assert told["demand_tokens_per_minute"] == 1700.0


def test_a_prometheus_without_its_remote_storage_is_not_trusted(tmp_path: Path):
    """It answers with what it has and a warning: how many replicas there are is not known."""
    http, nobody = (free_port() for _ in range(2))
    remote = f"remote_read: [{{url: 'http://127.0.0.1:{nobody}/read', read_recent: true}}]\n"
    with host() as one:
        config = CONFIG.format(one=one.server_port, other=one.server_port) + remote
        with (
            prometheus(tmp_path, config) as server,
            running(
                tmp_path / "scaler.log",
                *(sys.executable, "-m", "agent", "scaler"),
                *("--prometheus", server.url, "--listen", f"127.0.0.1:{http}"),
            ),
        ):
            url = f"http://127.0.0.1:{http}"
            said = until(
                f"{url}/api/v1/models/org/m/replicas", lambda _status, text: "in full" in text
            )
            assert "the server did not answer in full: " in said
            assert str(nobody) in said
            assert _get(f"{url}/-/ready")[0] == 200
    assert "does not answer in full" in (tmp_path / "scaler.log").read_text()


def _needed(port: int) -> float:
    """Return what a gRPC client is told."""
    import grpc

    from exporters.keda import messages

    request = messages()["GetMetricsRequest"](
        scaledObjectRef={"name": "x", "namespace": "y", "scalerMetadata": {"modelName": "org/m"}},
        metricName="replicas",
    )
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = channel.unary_unary(
            "/externalscaler.ExternalScaler/GetMetrics",
            request_serializer=type(request).SerializeToString,
            response_deserializer=messages()["GetMetricsResponse"].FromString,
        )
        (value,) = ask(request, timeout=5).metricValues
        return float(value.metricValueFloat)
