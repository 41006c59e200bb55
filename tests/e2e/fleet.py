"""A real Prometheus that has simulated hosts in its history, and what the fleet's rules record."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.e2e.prometheus import Prometheus, prometheus
from tests.fakes.fleet import Host, openmetrics
from tests.servers import PROMTOOL

RULES: Final = Path(__file__).parents[2] / "deploy" / "prometheus" / "fleet.yml"
BLOCK: Final = 7200.0
_RECORD: Final = re.compile(r"inferwatch:[a-z0-9_:]+")


@contextlib.contextmanager
def server(folder: Path, *, rules: Path | None = None) -> Iterator[Prometheus]:
    """Keep a Prometheus running on the history in a folder; it scrapes nothing.

    Raises:
        AssertionError: it does not get ready.
    """
    config = yaml.safe_dump({"rule_files": [] if rules is None else [str(rules)]})
    with prometheus(folder, config, "--log.level=warn") as running:
        yield running


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
        [PROMTOOL, "tsdb", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
