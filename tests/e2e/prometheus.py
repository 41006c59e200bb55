"""Runs a real Prometheus, and asks whoever speaks its API."""

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.process import free_port
from tests.servers import PROMETHEUS

SCRAPES = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: inferwatch
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
"""Configuration that has it scrape an agent every second."""

# Whatever proxy this machine is told to use, the server is on it.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def now() -> float:
    """Return Unix seconds: those who ask have clocks of their own."""
    return time.time()  # noqa: TID251


@dataclass
class Server:
    """Whoever speaks the API."""

    url: str

    def ask(self, path: str, form: list[tuple[str, str]] | None = None) -> tuple[int, Any]:
        """Return status and JSON of an answer; a form is sent by POST."""
        data = None if form is None else urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data)
        try:
            with _DIRECT.open(request, timeout=40) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def query(self, text: str, **further: str) -> Any:
        """Return the data of an instant query."""
        status, answer = self.ask("query", [("query", text), *further.items()])
        assert status == 200, answer
        return answer["data"]

    def found(self, text: str, **further: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        result: list[dict[str, Any]] = self.query(text, **further)["result"]
        return result

    def wait_for(self, text: str, *, seconds: float = 30.0) -> list[dict[str, Any]]:
        """Return the first result that is not empty."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                found = self.found(text)
                if found:
                    return found
            time.sleep(0.2)
        raise AssertionError(f"{self.url} never had an answer to {text}")


@dataclass
class Prometheus(Server):
    """A running one.

    Attributes:
        process: itself.
        log: what it says.
    """

    process: subprocess.Popen[bytes]
    log: Path

    def wait_until_ready(self) -> None:
        """Wait until it answers."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                _DIRECT.open(f"{self.url}/-/ready", timeout=5).close()
                return
            time.sleep(0.05)
        raise AssertionError(f"Prometheus does not get ready\n{self.log.read_text()}")


@contextlib.contextmanager
def prometheus(
    folder: Path, config: str, *options: str, data: Path | None = None
) -> Iterator[Prometheus]:
    """Keep a Prometheus running.

    Args:
        folder: where its configuration and its log go; paths of the configuration begin there.
        config: its configuration.
        options: further ones of its command line.
        data: its blocks, which may be older than it keeps any by default.

    Raises:
        AssertionError: it does not get ready.
    """
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    command = [
        PROMETHEUS,
        "--config.file=prometheus.yml",
        f"--storage.tsdb.path={data or folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        *options,
    ]
    log = folder / "prometheus.log"
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=folder)
        try:
            server = Prometheus(f"http://127.0.0.1:{port}", process, log)
            server.wait_until_ready()
            yield server
        finally:
            process.terminate()
            process.wait(timeout=30)
