"""A real Prometheus that has simulated hosts in its history, and what the fleet's rules record."""

import contextlib
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.e2e.process import free_port
from tests.fakes.fleet import Host, openmetrics

RULES: Final = Path(__file__).parents[2] / "deploy" / "prometheus" / "fleet.yml"
BLOCK: Final = 7200.0
_RECORD: Final = re.compile(r"inferwatch:[a-z0-9_:]+")


@dataclass(frozen=True, slots=True)
class Server:
    """A running Prometheus.

    Attributes:
        url: of its web interface.
        process: itself.
    """

    url: str
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def server(folder: Path, *, rules: Path | None = None) -> Iterator[Server]:
    """Keep a Prometheus running on the history in a folder; it scrapes nothing.

    Raises:
        AssertionError: it does not get ready.
    """
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"rule_files": [] if rules is None else [str(rules)]}))
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            found = Server(f"http://127.0.0.1:{port}", process)
            _wait(found, folder / "prometheus.log")
            yield found
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(found: Server, log: Path) -> None:
    """Wait until it answers."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{found.url}/-/ready", timeout=5).close()
            return
        time.sleep(0.05)
    raise AssertionError(f"Prometheus does not get ready\n{log.read_text()}")


def fill(folder: Path, several: Sequence[Host], start: float, end: float, *, step: float) -> None:
    """Write what hosts said in [start, end) as blocks, two hours at a time."""
    page = folder / "page.om"
    while start < end:
        until = min(end, (start // BLOCK + 1) * BLOCK)
        with page.open("w") as file:
            file.writelines(openmetrics(several, start, until, step=step))
        _promtool("create-blocks-from", "openmetrics", "-q", page, folder / "data")
        start = until
    page.unlink()


def stages(rules: Path = RULES) -> list[list[dict[str, Any]]]:
    """Return the rules, those that need what others record after these."""
    left = [
        rule for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]
    ]
    known: set[str] = set()
    found: list[list[dict[str, Any]]] = []
    while left:
        wanted = {rule["record"] for rule in left}
        now = [rule for rule in left if not {*_RECORD.findall(rule["expr"])} & (wanted - known)]
        assert now, "rules that wait for each other"
        found.append(now)
        left = [rule for rule in left if rule not in now]
        known |= {rule["record"] for rule in now}
    return found


def record(folder: Path, start: float, end: float) -> None:
    """Evaluate the rules on the history, each minute, and add what they record to it.

    promtool does not see what another rule of the same run recorded, hence stage by stage.
    """
    for number, rules in enumerate(stages()):
        file, out = folder / "stage.yml", folder / f"stage-{number}"
        group = {"name": "stage", "interval": "1m", "rules": rules}
        file.write_text(yaml.safe_dump({"groups": [group]}))
        with server(folder) as running:
            _promtool(
                "create-blocks-from",
                "rules",
                f"--start={start:.0f}",
                f"--end={end:.0f}",
                f"--url={running.url}",
                "--eval-interval=1m",
                f"--output-dir={out}",
                file,
            )
        for block in out.iterdir():
            block.rename(folder / "data" / block.name)
        shutil.rmtree(out)


def _promtool(*arguments: str | Path) -> None:
    """Run `promtool tsdb`."""
    done = subprocess.run(
        ["promtool", "tsdb", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
