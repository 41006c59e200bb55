"""What one host costs a Prometheus: `python -m benchmarks.scaling`, a quarter of an hour.

A real Prometheus scrapes the demo and a host of eight GPUs and eight engines every five seconds
until chunks have been filled; a snapshot says how many bytes a sample takes. Two more scrape the
second host under many names, so that their memory says what a series takes. Writes
`build/scaling.json`.
"""

import argparse
import contextlib
import json
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import yaml

from benchmarks.agent import Gpus, agent, free_port
from benchmarks.client import RawClient
from benchmarks.fleet import size
from benchmarks.measure import engines
from benchmarks.processes import cpu_seconds, memory, running

ROOT = Path(__file__).parents[1]
OUT = ROOT / "build" / "scaling.json"
INTERVAL = 5
MB = 1e6
_NAME = re.compile(r"\binferwatch_[a-z0-9_]+")


def samples(page: str) -> list[str]:
    """Return the names of the samples of a page, one for each series."""
    return [
        re.split(r"[ {]", line, maxsplit=1)[0]
        for line in page.splitlines()
        if line and not line.startswith("#")
    ]


def needed(*files: Path) -> set[str]:
    """Return the names of the agent's metrics that rule files read."""
    return {
        name
        for file in files
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        for name in _NAME.findall(rule["expr"])
    }


@contextlib.contextmanager
def prometheus(folder: Path, targets: dict[str, int], copies: int) -> Iterator[tuple[int, int]]:
    """Keep a Prometheus running that scrapes ports under several names; yields process and port."""
    folder.mkdir()
    port = free_port()
    jobs = [
        {
            "job_name": job,
            "metrics_path": "/metrics",
            "static_configs": [
                {"targets": [f"127.0.0.1:{at}"], "labels": {"instance": f"{job}-{number:04d}:9745"}}
                for number in range(copies)
            ],
        }
        for job, at in targets.items()
    ]
    scrape = {"scrape_interval": f"{INTERVAL}s", "scrape_timeout": f"{INTERVAL}s"}
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"global": scrape, "scrape_configs": jobs}))
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-admin-api",
        "--log.level=warn",
    ]
    with running(command, log=folder / "prometheus.log") as process:
        yield process.pid, port


def snapshot(folder: Path, port: int) -> tuple[int, int, int]:
    """Return bytes, samples and series of everything that a Prometheus has."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/admin/tsdb/snapshot", method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        name = json.load(answer)["data"]["name"]
    return size(folder / "data" / "snapshots" / name)


def asked(port: int, what: str) -> float:
    """Return a figure of a Prometheus about itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        found = re.search(rf"^{what} (\S+)", answer.read().decode(), re.MULTILINE)
    assert found is not None
    return float(found[1])


def pages(host: int, demo: int) -> dict[str, dict[str, float]]:
    """Return how many series the pages have, and how many of them rules read."""
    fleet = ROOT / "deploy" / "prometheus" / "fleet.yml"
    alerts = sorted((ROOT / "agent" / "alerts" / "rules").glob("*.yml"))
    by_fleet, by_all = needed(fleet), needed(fleet, *alerts)
    found: dict[str, dict[str, float]] = {}
    for name, port in (("host_8x8", host), ("demo", demo)):
        client = RawClient(port)
        page = client.get().decode()
        client.close()
        names = samples(page)
        found[name] = {
            "series": len(names),
            "page_bytes": len(page),
            "engines": len(
                {*re.findall(r'inferwatch_engine_up{[^}]*instance_name="([^"]*)"', page)}
            ),
            "read_by_fleet": sum(one in by_fleet for one in names),
            "read_by_fleet_and_alerts": sum(one in by_all for one in names),
            "buckets": sum(one.endswith("_bucket") for one in names),
        }
    return found


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--seconds", type=float, default=780.0)
    parser.add_argument("--copies", type=int, nargs=2, default=(10, 40))
    given = parser.parse_args()
    few, many = given.copies
    with (
        tempfile.TemporaryDirectory(prefix="inferwatch-scaling-") as name,
        contextlib.ExitStack() as held,
    ):
        folder = Path(name)
        ports = held.enter_context(engines(folder))
        gpus = held.enter_context(Gpus(folder))
        host = held.enter_context(agent(folder, "agent", engines=ports, gpus=gpus, whole=True))
        demo = free_port()
        command = [sys.executable, "-m", "agent", "demo", "--listen", f"127.0.0.1:{demo}"]
        held.enter_context(running(command, log=folder / "demo.log"))
        time.sleep(20.0)
        each = {
            job: held.enter_context(prometheus(folder / job, {job: port}, 1))
            for job, port in (("host", host.port), ("demo", demo))
        }
        copied = {
            count: held.enter_context(prometheus(folder / f"x{count}", {"host": host.port}, count))
            for count in (few, many)
        }
        time.sleep(given.seconds)
        found: dict[str, object] = {"interval_seconds": INTERVAL, "seconds": given.seconds}
        found["pages"] = pages(host.port, demo)
        for job, (_pid, port) in each.items():
            total, count, series = snapshot(folder / job, port)
            found[f"snapshot_{job}"] = {
                "bytes": total,
                "samples": count,
                "series": series,
                "bytes_per_sample": total / count,
                "chunk_bytes_per_sample": _chunks(folder / job) / count,
            }
        for count, (pid, port) in copied.items():
            found[f"copies_{count}"] = {
                "series": asked(port, "prometheus_tsdb_head_series"),
                "samples_appended": asked(
                    port, r"prometheus_tsdb_head_samples_appended_total(?:{[^}]*})?"
                ),
                "pss_mb": memory(pid).pss / MB,
                "cpu_seconds": cpu_seconds(pid),
            }
        lot, little = (found[f"copies_{count}"] for count in (many, few))
        assert isinstance(lot, dict)
        assert isinstance(little, dict)
        more = lot["series"] - little["series"]
        found["bytes_of_memory_per_series"] = (lot["pss_mb"] - little["pss_mb"]) * MB / more
    print(json.dumps(found, indent=2))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=2))
    return 0


def _chunks(folder: Path) -> int:
    """Return the bytes of chunks alone in a snapshot."""
    return sum(file.stat().st_size for file in folder.glob("data/snapshots/*/*/chunks/*"))


if __name__ == "__main__":
    sys.exit(main())
