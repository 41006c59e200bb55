"""A real Prometheus that scrapes the same engines as often, for comparison."""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.agent import free_port
from benchmarks.processes import running


def version() -> str:
    """Return which Prometheus is installed."""
    said = subprocess.run(
        ["prometheus", "--version"], check=True, capture_output=True, text=True
    ).stdout
    return said.split()[2]


@contextlib.contextmanager
def prometheus(folder: Path, engines: Sequence[int]) -> Iterator[int]:
    """Keep a Prometheus running that scrapes these ports each second; yields its process id.

    Raises:
        RuntimeError: it does not scrape them all.
    """
    port = free_port()
    data = folder / "prometheus"
    shutil.rmtree(data, ignore_errors=True)
    targets = ", ".join(f"'127.0.0.1:{engine}'" for engine in engines)
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        "scrape_configs:\n"
        f"  - {{job_name: engines, static_configs: [{{targets: [{targets}]}}]}}\n"
    )
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    log = folder / "prometheus.log"
    with running(command, log=log) as process:
        end = time.monotonic() + 20
        up = 0
        while up < len(engines) and time.monotonic() < end:
            time.sleep(0.25)
            with contextlib.suppress(OSError):
                up = _up(port)
        if up < len(engines):
            raise RuntimeError(
                f"Prometheus scrapes {up} of {len(engines)} engines\n{log.read_text()}"
            )
        yield process.pid


def _up(port: int) -> int:
    """Return how many targets answer."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets", timeout=5) as answer:
        targets = json.load(answer)["data"]["activeTargets"]
    return sum(target["health"] == "up" for target in targets)
