"""The rules as they are deployed, in a real Prometheus in front of a fake Alertmanager."""

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.prometheus import prometheus
from tests.servers import NEEDS_PROMETHEUS

pytestmark = [pytest.mark.server, NEEDS_PROMETHEUS]

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
PAGE = b'inferwatch_gpu_up{gpu="0",uuid="GPU-0"} 0\n'
# Of no shipped set, so it must come through; it fires after GpuLost, which waits for 10 s.
CONTROL = {
    "groups": [
        {
            "name": "control",
            "rules": [
                {
                    "alert": "Control",
                    "expr": 'ALERTS{alertname="GpuLost", alertstate="firing"}',
                    "for": "2s",
                    "labels": {"ruleset": "control"},
                }
            ],
        }
    ]
}


class Handler(http.server.BaseHTTPRequestHandler):
    """A host with a lost GPU, and an Alertmanager that keeps what it is told."""

    told: set[str]

    def do_GET(self) -> None:
        """Answer a scrape."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(PAGE)

    def do_POST(self) -> None:
        """Take alerts."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.told |= {alert["labels"]["alertname"] for alert in json.loads(body)}
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet."""


@contextlib.contextmanager
def served(told: set[str]) -> Iterator[str]:
    """Serve both on loopback and yield the address."""
    handler = type("Bound", (Handler,), {"told": told})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_prometheus_shows_and_does_not_page(tmp_path: Path):
    """With the example configuration a shipped alert fires in Prometheus and goes nowhere."""
    told: set[str] = set()
    with served(told) as address:
        config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s"} | {
            "evaluation_interval": "1s"
        }
        config["rule_files"] = [str(DEPLOY / name) for name in config["rule_files"]]
        config["rule_files"].append(str(tmp_path / "control.yml"))
        config["scrape_configs"][0]["static_configs"] = [{"targets": [address]}]
        config["alerting"]["alertmanagers"][0]["static_configs"] = [{"targets": [address]}]
        (tmp_path / "control.yml").write_text(yaml.safe_dump(CONTROL))
        with prometheus(tmp_path, yaml.safe_dump(config)) as server:
            end = time.monotonic() + 60
            while "Control" not in told and time.monotonic() < end:
                time.sleep(0.2)
            firing = server.found('ALERTS{alertname="GpuLost", alertstate="firing"}')
    assert [alert["metric"]["gpu"] for alert in firing] == ["0"]
    assert told == {"Control"}
