"""What queries cost: the ticks and scrapes of a busy agent while people ask, and the process.

`python -m benchmarks.queries` runs the agent with eight engines and eight GPUs, asks nothing for a
while, then one heavy query after the other, then a hundred at once, again and again.
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.agent import Gpus, agent
from benchmarks.client import RawClient
from benchmarks.measure import engines
from benchmarks.processes import memory

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_HEAVY = (
    "sum by (instance_name) (last_over_time({__name__=~'inferwatch_engine_.*_bucket'}[5m]))",
    "count({__name__=~'.+'})",
    "max_over_time(count({__name__=~'inferwatch_.*'})[4m:1s])",
    "topk(5, rate(inferwatch_engine_inter_token_latency_seconds_bucket[5m]))",
)
_EVERY = 0.02
_AT_ONCE = 100


@dataclass(slots=True)
class Phase:
    """What was seen in a phase.

    Attributes:
        name: for the table.
        scrapes: seconds of each answer of the page.
        queries: seconds of each answer of the API, refusals left out.
        refused: answers without a result.
        ticks: seconds between two ticks.
    """

    name: str
    scrapes: list[float] = field(default_factory=list)
    queries: list[float] = field(default_factory=list)
    refused: int = 0
    ticks: list[float] = field(default_factory=list)


def _ask(port: int, path: str, **form: str) -> object:
    """Return the data of an answer, None where there is none."""
    data = urllib.parse.urlencode(form).encode()
    try:
        with _DIRECT.open(f"http://127.0.0.1:{port}/api/v1/{path}", data, timeout=60) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError:
        return None


def _phase(port: int, name: str, seconds: float, ask: Callable[[Phase], None] | None) -> Phase:
    """Scrape all the time, ask if wanted, then look when the ticks were."""
    phase = Phase(name)
    end = time.monotonic() + seconds
    stop = threading.Event()

    def asking() -> None:
        while ask is not None and not stop.is_set():
            ask(phase)

    thread = threading.Thread(target=asking)
    thread.start()
    client = RawClient(port)
    while time.monotonic() < end:
        begun = time.perf_counter()
        client.get()
        phase.scrapes.append(time.perf_counter() - begun)
        time.sleep(_EVERY)
    client.close()
    stop.set()
    thread.join()
    found = _ask(port, "query", query=f"up[{max(2, int(seconds))}s]")
    assert isinstance(found, dict), "the agent does not tell its ticks"
    stamps = [float(stamp) for stamp, _value in found["result"][0]["values"]]
    phase.ticks = [after - before for before, after in itertools.pairwise(stamps)]
    return phase


def _one_by_one(port: int) -> Callable[[Phase], None]:
    """Return what asks one heavy query after the other."""

    def ask(phase: Phase) -> None:
        for query in _HEAVY:
            begun = time.perf_counter()
            if _ask(port, "query", query=query) is None:
                phase.refused += 1
            else:
                phase.queries.append(time.perf_counter() - begun)

    return ask


def _at_once(port: int) -> Callable[[Phase], None]:
    """Return what asks a hundred at once."""

    def ask(phase: Phase) -> None:
        threads = [
            threading.Thread(target=_one_of_many, args=(port, phase)) for _ in range(_AT_ONCE)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return ask


def _one_of_many(port: int, phase: Phase) -> None:
    """Ask once."""
    begun = time.perf_counter()
    if _ask(port, "query", query=_HEAVY[0]) is None:
        phase.refused += 1
    else:
        phase.queries.append(time.perf_counter() - begun)


def _row(phase: Phase) -> str:
    """Return what was seen, in milliseconds."""
    lateness = [abs(gap - 1.0) * 1e3 for gap in phase.ticks]
    cells = [
        phase.name,
        *(f"{_quantile(phase.scrapes, q) * 1e3:.1f}" for q in (0.5, 0.99, 1.0)),
        f"{statistics.mean(lateness):.1f}",
        f"{max(lateness):.1f}",
        str(len(phase.queries)),
        f"{_quantile(phase.queries, 0.5) * 1e3:.0f}" if phase.queries else "",
        str(phase.refused),
    ]
    return "| " + " | ".join(cells) + " |"


def _quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile: the value at its place."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queries", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each phase")
    parser.add_argument("--warm-up", type=float, default=60.0, help="before the first")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="inferwatch-bench-") as name:
        folder = Path(name)
        with (
            engines(folder) as ports,
            Gpus(folder) as gpus,
            agent(folder, "agent", engines=ports, gpus=gpus, whole=True) as busy,
        ):
            time.sleep(given.warm_up)
            before = memory(busy.pid)
            phases = [
                _phase(busy.port, "nobody asks", given.seconds, None),
                _phase(busy.port, "one by one", given.seconds, _one_by_one(busy.port)),
                _phase(busy.port, "a hundred at once", given.seconds, _at_once(busy.port)),
            ]
            print(f"series: {_ask(busy.port, 'query', query=_HEAVY[1])}")
            print(f"memory before: {before}, with the process: {memory(busy.pid)}")
    print(
        "| | scrape p50 ms | p99 | longest | tick off mean ms | longest | queries | p50 ms | "
        "refused |"
    )
    for phase in phases:
        print(_row(phase))
    return 0


if __name__ == "__main__":
    sys.exit(main())
