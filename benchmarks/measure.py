"""The running agent and a running Prometheus, side by side on the same engines.

Everything runs at once: both agents, Prometheus, the engines. So what disturbs the machine disturbs
them alike, and a ratio is taken within each window of some seconds.
"""

import contextlib
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.agent import Gpus, RunningAgent, agent
from benchmarks.client import ACCEPT, RawClient, timed
from benchmarks.processes import Memory, cpu_seconds, memory, running
from benchmarks.prometheus import prometheus

ENGINES = 8
WARM_UP = 100.0  # before that windows fill, and the forecasts say nothing yet
SETTLED = 660.0  # two windows of history are complete by then, and whatever grows has grown
WINDOWS = 6
REQUESTS_PER_SECOND = 10


@contextlib.contextmanager
def engines(folder: Path, count: int = ENGINES) -> Iterator[list[int]]:
    """Keep the fake engines running; yields their ports."""
    command = [sys.executable, "-m", "benchmarks.engines", str(count)]
    with running(command, log=folder / "engines.log", stdin=True) as process:
        assert process.stdout is not None
        yield [int(process.stdout.readline()) for _ in range(count)]


@dataclass(slots=True)
class Period:
    """CPU seconds in each window of one way of running.

    Attributes:
        busy: of the agent with all engines, children included.
        idle: of the agent without engines.
        peer: of Prometheus.
        ticks: of the agent with all engines.
        idle_ticks: of the other.
    """

    busy: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    ticks: list[int] = field(default_factory=list)
    idle_ticks: list[int] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """The agent's CPU by Prometheus's, window by window."""
        return [ours / theirs for ours, theirs in zip(self.busy, self.peer, strict=True)]

    @property
    def tick_ms(self) -> float:
        """CPU milliseconds of a tick."""
        return _per(self.busy, self.ticks)

    @property
    def floor_ms(self) -> float:
        """CPU milliseconds of a tick without engines."""
        return _per(self.idle, self.idle_ticks)

    @property
    def peer_ms(self) -> float:
        """CPU milliseconds of Prometheus in the time of a tick."""
        return _per(self.peer, self.ticks)


def _per(seconds: Sequence[float], ticks: Sequence[int]) -> float:
    """Return milliseconds a tick, median of the windows."""
    return statistics.median(map(lambda cpu, count: cpu * 1e3 / count, seconds, ticks))


@dataclass(slots=True)
class Measured:
    """What was measured on the running processes.

    Attributes:
        quiet: nobody asks for the agent's page.
        scraped: its page is asked for once a second.
        memory: of the agent.
        peer_memory: of Prometheus.
        latency: seconds of each answer, many a second.
        fresh_latency: seconds of the first answer after a tick.
        page: the agent's page.
        others: engines on this host that are not part of the benchmark.
    """

    quiet: Period
    scraped: Period
    memory: Memory
    peer_memory: Memory
    latency: list[float]
    fresh_latency: list[float]
    page: bytes
    others: int


def measure(folder: Path, seconds: float, *, whole: bool, python: str) -> Measured:
    """Run everything: warm up, `seconds` unasked and `seconds` scraped in turn, then requests.

    Memory is that of the end, when everything that grows has grown and the agent without engines,
    which shares pages with the other, has ended.

    Args:
        folder: for files.
        seconds: see above.
        whole: with history and rules.
        python: the interpreter that runs the agents.

    Raises:
        RuntimeError: something did not start.
    """
    program = (python, "-I", "-m", "agent")
    with (
        engines(folder) as ports,
        Gpus(folder) as gpus,
        prometheus(folder, ports) as peer,
        agent(folder, "agent", engines=ports, gpus=gpus, whole=whole, program=program) as busy,
    ):
        settled = time.monotonic() + SETTLED
        with agent(
            folder, "agent-without-engines", engines=(), gpus=gpus, whole=whole, program=program
        ) as idle:
            time.sleep(WARM_UP)
            quiet, scraped, fresh = _costs(busy, idle, peer, seconds)
        latency = _latency(busy.port, seconds)
        with _scraping((busy,), []):
            time.sleep(max(0.0, settled - time.monotonic()))
        page = busy.page()
        return Measured(
            quiet=quiet,
            scraped=scraped,
            memory=memory(busy.pid),
            peer_memory=memory(peer),
            latency=latency,
            fresh_latency=fresh,
            page=page,
            others=page.count(b"inferwatch_engine_up{") - ENGINES,
        )


def _costs(
    busy: RunningAgent, idle: RunningAgent, peer: int, seconds: float
) -> tuple[Period, Period, list[float]]:
    """Return the costs unasked and scraped, and how long the first answer after a tick took."""
    fresh: list[float] = []
    quiet, scraped = Period(), Period()
    for _ in range(WINDOWS):
        # In turn, so that what disturbs the machine for a while disturbs both alike.
        _window(quiet, busy, idle, peer, seconds / WINDOWS)
        with _scraping((busy, idle), fresh):
            _window(scraped, busy, idle, peer, seconds / WINDOWS)
    return quiet, scraped, fresh


def _window(
    period: Period, busy: RunningAgent, idle: RunningAgent, peer: int, seconds: float
) -> None:
    """Measure one window."""
    ticks = busy.ticks(), idle.ticks()
    before = cpu_seconds(busy.pid), cpu_seconds(idle.pid), cpu_seconds(peer)
    time.sleep(seconds)
    after = cpu_seconds(busy.pid), cpu_seconds(idle.pid), cpu_seconds(peer)
    for kept, begin, end in zip(
        (period.busy, period.idle, period.peer), before, after, strict=True
    ):
        kept.append(end - begin)
    period.ticks.append(busy.ticks() - ticks[0])
    period.idle_ticks.append(idle.ticks() - ticks[1])


@contextlib.contextmanager
def _scraping(agents: Sequence[RunningAgent], latency: list[float]) -> Iterator[None]:
    """Scrape these as a Prometheus on this host would, once a second, during the block."""
    stop = threading.Event()

    def scrape(client: RawClient, kept: list[float]) -> None:
        while not stop.wait(1.0):
            kept.append(timed(client, [0.0])[0][0])

    clients = [RawClient(found.port, accept=ACCEPT, gzip=True) for found in agents]
    # Only the first is the one whose answers are of interest.
    threads = [
        threading.Thread(target=scrape, args=(client, latency if number == 0 else []))
        for number, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        for client in clients:
            client.close()


def _latency(port: int, seconds: float) -> list[float]:
    """Return how long answers take, asked for at moments that fall anywhere between ticks."""
    chance = random.Random(2)
    count = int(seconds * REQUESTS_PER_SECOND)
    moments = sorted(chance.uniform(0, seconds) for _ in range(count))
    client = RawClient(port, accept=ACCEPT, gzip=True)
    client.get()
    try:
        return [took for took, _ in timed(client, moments)]
    finally:
        client.close()


def profiled(folder: Path, seconds: float, count: int, *, whole: bool) -> Path:
    """Run the agent under the sampling profiler, scraped once a second; return its report."""
    out = folder / "profile.json"
    program = (sys.executable, "-m", "benchmarks.sampled", str(out))
    with (
        engines(folder, count) as ports,
        Gpus(folder) as gpus,
        agent(folder, "agent", engines=ports, gpus=gpus, whole=whole, program=program) as found,
    ):
        time.sleep(WARM_UP)
        subprocess.run(["kill", "-USR1", str(found.pid)], check=True)
        with _scraping((found,), []):
            time.sleep(seconds)
    return out
