"""A real Alertmanager, and whom it notifies."""

import contextlib
import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.e2e.process import free_port
from tests.servers import ALERTMANAGER

CONFIG = """
route:
  receiver: pager
  group_by: [{group_by}]
  group_wait: 100ms
  group_interval: 500ms
  repeat_interval: 1h
receivers:
  - name: pager
    webhook_configs:
      - url: {url}
        send_resolved: true
"""


class Pager:
    """Counts what Alertmanager tells people."""

    def __init__(self) -> None:
        self.notified: list[tuple[str, str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.stamps: list[float] = []
        pager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                pager.stamps.append(time.time())  # noqa: TID251 - when it was told
                pager.bodies.append(body)
                for alert in body["alerts"]:
                    labels = alert["labels"]
                    pager.notified.append(
                        (labels["alertname"], alert["status"], alert["fingerprint"])
                    )
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def states(self, alert: str) -> list[str]:
        """Return what was told of an alert, in order."""
        return [state for name, state, _fingerprint in self.notified if name == alert]


class RealAlertmanager:
    """A process that can be stopped and started with what it remembers."""

    def __init__(self, folder: Path, pager: Pager, *, group_by: str = "alertname") -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._folder = folder
        self._config = folder / "alertmanager.yml"
        self._config.write_text(CONFIG.format(url=pager.url, group_by=group_by))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is ready."""
        address = self.url.removeprefix("http://")
        with (self._folder / "alertmanager.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    ALERTMANAGER,
                    f"--config.file={self._config}",
                    f"--storage.path={self._folder / 'data'}",
                    f"--web.listen-address={address}",
                    "--cluster.listen-address=",
                ],
                stdout=log,
                stderr=log,
            )
        for _attempt in range(200):
            with contextlib.suppress(OSError):
                self.get("/-/ready")
                return
            time.sleep(0.05)
        raise AssertionError((self._folder / "alertmanager.log").read_text())

    def get(self, path: str) -> str:
        """Return a page."""
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            return str(answer.read().decode())

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that it holds for active."""
        found: list[dict[str, Any]] = json.loads(self.get("/api/v2/alerts"))
        return found

    def stop(self) -> None:
        """End it as systemd does."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(timeout=20)


@contextlib.contextmanager
def running(
    folder: Path, *, group_by: str = "alertname"
) -> Iterator[tuple[RealAlertmanager, Pager]]:
    """Run an Alertmanager with somebody to notify until the block ends."""
    pager = Pager()
    server = RealAlertmanager(folder, pager, group_by=group_by)
    try:
        server.start()
        yield server, pager
    finally:
        server.stop()
        pager.close()
