"""What a report over a fleet costs, on a real Prometheus: `python -m benchmarks.fleet`.

Simulated hosts for a day, written as blocks by promtool; the fleet's rules evaluated over them;
then `inferwatch report --prometheus` as a process of its own. Writes `build/fleet.json`.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import yaml

from agent.report.fleet import names
from agent.report.fleet.report import PAST
from benchmarks.processes import cpu_seconds
from tests.e2e.fleet import RULES, fill, record, server
from tests.e2e.prometheus import Prometheus
from tests.fakes.fleet import DAY, hosts, openmetrics, wave

OUT = Path(__file__).parents[1] / "build" / "fleet.json"
STEP = 60.0
MB = 1e6
RAW = "sum by (model_name) (rate(inferwatch_engine_prompt_tokens_total[2m])) * 60"


def size(folder: Path) -> tuple[int, int, int]:
    """Return bytes, samples and series of the blocks in a folder; series of the largest block."""
    total = samples = series = 0
    for meta in folder.glob("*/meta.json"):
        stats = json.loads(meta.read_text())["stats"]
        samples += stats["numSamples"]
        series = max(series, stats["numSeries"])
        total += sum(file.stat().st_size for file in meta.parent.rglob("*") if file.is_file())
    return total, samples, series


def resident(pid: int) -> float:
    """Return the highest resident memory of a process so far, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024 / MB


def answered(url: str) -> tuple[float, float]:
    """Return how many queries a Prometheus has answered, and with how many bytes."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    told = dict.fromkeys(("count", "sum"), 0.0)
    for part in told:
        name = f"prometheus_http_response_size_bytes_{part}"
        pattern = rf'{name}{{handler="/api/v1/query(?:_range)?"}} (\S+)'
        told[part] = sum(map(float, re.findall(pattern, text)))
    return told["count"], told["sum"]


def query(url: str, path: str, **form: object) -> float:
    """Ask, and return how many seconds the answer took."""
    body = urllib.parse.urlencode({key: str(value) for key, value in form.items()}).encode()
    begun = time.perf_counter()
    with urllib.request.urlopen(f"{url}/api/v1/{path}", body, timeout=600) as answer:
        assert json.load(answer)["status"] == "success"
    return time.perf_counter() - begun


def report(running: Prometheus, start: float, end: float, by: str, form: str) -> dict[str, float]:
    """Make a report as users do, and return what it cost."""
    before, cpu = answered(running.url), cpu_seconds(running.process.pid)
    begun = time.perf_counter()
    command = [
        sys.executable, "-I", "-m", "agent", "report", f"--prometheus={running.url}", f"--by={by}",
        f"--from={start:.0f}", f"--to={end:.0f}", f"--format={form}",
    ]  # fmt: skip
    command.append(f"--output={tempfile.gettempdir()}/fleet-report.{form}")
    process = subprocess.Popen(command)
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    seconds = time.perf_counter() - begun
    after = answered(running.url)
    return {
        "seconds": seconds,
        "resident_mb": usage.ru_maxrss * 1024 / MB,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "prometheus_cpu_seconds": cpu_seconds(running.process.pid) - cpu,
        "queries": after[0] - before[0],
        "answered_mb": (after[1] - before[1]) / MB,
    }


def keep_past(folder: Path, groups: int, end: float) -> None:
    """Write 13 weeks of what rules record of some models, each minute, as blocks of ten days.

    Raises:
        subprocess.CalledProcessError: promtool fails.
    """
    times = np.arange(end - PAST, end, STEP)
    stamps = [f" {time:.0f}\n" for time in times.tolist()]
    page = folder / "past.om"
    with page.open("w") as file:
        for group in range(groups):
            labels = f'cluster="x",engine="vllm",model_name="m-{group:03d}",gpu_type="H200"'
            load = 1e6 * wave(times) * (1 + (times - times[0]) / PAST)
            for name, further, column in (
                (names.REPLICAS, "", 0 * load + 10),
                (names.TOKENS, ',phase="prompt"', 0.8 * load),
                (names.TOKENS, ',phase="generation"', 0.2 * load),
                (names.DEMAND, "", load),
            ):
                head = f"{name}{{{labels}{further}}} "
                file.write(
                    "".join(
                        f"{head}{value:.15g}{stamp}"
                        for value, stamp in zip(column.tolist(), stamps, strict=True)
                    )
                )
        file.write("# EOF\n")
    subprocess.run(
        [
            "promtool", "tsdb", "create-blocks-from", "openmetrics", "-q",
            "--max-block-duration=240h", str(page), str(folder / "data"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    page.unlink()


def long_ago(groups: int, end: float) -> dict[str, object]:
    """Return what a report on a day and one on two weeks cost where 13 weeks are recorded."""
    with tempfile.TemporaryDirectory(prefix="inferwatch-fleet-") as name:
        folder = Path(name)
        keep_past(folder, groups, end)
        with server(folder) as running:
            return {
                "groups": groups,
                **{
                    f"report_{days}d": report(running, end - days * DAY, end, "model", "html")
                    for days in (1, 14)
                },
            }


def evaluation(running: Prometheus, end: float) -> float:
    """Return the seconds of one evaluation of all rules in turn; of three the median."""
    rules = [
        rule["expr"]
        for group in yaml.safe_load(RULES.read_text())["groups"]
        for rule in group["rules"]
    ]
    return statistics.median(
        sum(query(running.url, "query", query=expr, time=end - 60) for expr in rules)
        for _ in range(3)
    )


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--groups", type=int, default=20, help="models with 13 weeks of history")
    given = parser.parse_args()
    several = hosts(given.hosts)
    end = time.time() // DAY * DAY  # noqa: TID251 - the report refuses what is to come
    start = end - given.hours * 3600
    found: dict[str, object] = {"hosts": given.hosts, "hours": given.hours}
    found["series_per_host"] = sum(
        1 for _ in openmetrics(several, start, start + STEP, step=STEP)
    ) / len(several)
    with tempfile.TemporaryDirectory(prefix="inferwatch-fleet-") as name:
        folder = Path(name)
        begun = time.perf_counter()
        fill(folder, several, start, end, step=STEP)
        found["fill_seconds"] = time.perf_counter() - begun
        total, samples, series = size(folder / "data")
        found["raw"] = {
            "samples": samples,
            "series": series,
            "bytes": total,
            "bytes_per_sample": total / samples,
        }
        begun = time.perf_counter()
        record(folder, start, end)
        found["record_seconds"] = time.perf_counter() - begun
        found["recorded_samples"] = size(folder / "data")[1] - samples
        with server(folder) as running:
            found["prometheus_start_resident_mb"] = resident(running.process.pid)
            for by in ("model", "gpu", "cluster"):
                found[f"report_{by}"] = report(running, start, end, by, "html")
            found["report_again"] = report(running, start, end, "model", "json")
            found["prometheus_resident_mb"] = resident(running.process.pid)
            found["evaluation_seconds"] = evaluation(running, end)
            found["raw_query_seconds"] = query(
                running.url, "query_range", query=RAW, start=start, end=end, step=60
            )
            found["prometheus_resident_after_raw_mb"] = resident(running.process.pid)
    found["thirteen_weeks"] = long_ago(given.groups, end)
    print(json.dumps(found, indent=2))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
