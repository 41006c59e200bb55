"""The agent as a process, with eight stub GPUs whose numbers move."""

import contextlib
import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Self

from benchmarks.client import RawClient
from benchmarks.processes import running
from tests.fakes.nvml.controller import GIB, Process, StubDriver

GPUS = 8
_START = 20.0
_WANTED_UP = 'inferwatch_source_up{source="%s"} 1'


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Gpus:
    """A stub driver with busy GPUs: memory, power, clocks and processes as on a serving host."""

    def __init__(self, folder: Path) -> None:
        self.driver = StubDriver(folder, gpus=GPUS)
        self._random = random.Random(1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._move, daemon=True)
        for index in range(GPUS):
            self.driver.gpu(index).processes = [Process(pid=100_000 + index, memory=60 * GIB)]
        self.driver.write()

    def __enter__(self) -> Self:
        """Let the numbers move."""
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Let them stand."""
        self._stop.set()
        self._thread.join()

    def _move(self) -> None:
        """Change what changes on a busy GPU, once a second."""
        while not self._stop.wait(1.0):
            for index in range(GPUS):
                gpu = self.driver.gpu(index)
                used = self._random.randint(60 * GIB, 70 * GIB)
                power = self._random.randint(300_000, 700_000)
                gpu.memory_used, gpu.memory_free = used, 79 * GIB - used
                gpu.power_usage = power
                gpu.energy = (gpu.energy or 0) + power
                gpu.fields[83] = gpu.energy
                gpu.fields[197] += self._random.randint(0, 1 << 20)
                gpu.fields[198] += self._random.randint(0, 1 << 20)
                gpu.utilization_gpu = self._random.randint(80, 100)
                gpu.utilization_memory = self._random.randint(30, 80)
                gpu.temperature = self._random.randint(60, 75)
                gpu.clock_sm = self._random.choice((1755, 1830, 1905, 1980))
                for metric in (1, 2, 3, 5, 10, 20, 21):
                    gpu.gpm[metric] = self._random.uniform(0, 100)
            self.driver.write()


@dataclass(frozen=True, slots=True)
class RunningAgent:
    """An agent that answers."""

    pid: int
    port: int

    def page(self) -> bytes:
        """Return its page."""
        client = RawClient(self.port)
        try:
            return client.get()
        finally:
            client.close()

    def ticks(self) -> int:
        """Return how many ticks it has completed."""
        return int(sample(self.page(), b"inferwatch_ticks_total"))


def sample(page: bytes, series: bytes) -> float:
    """Return the value of a series.

    Raises:
        LookupError: the page does not have it.
    """
    for line in page.split(b"\n"):
        if line.startswith(series + b" "):
            return float(line.rpartition(b" ")[2])
    raise LookupError(f"the page has no {series.decode()}")


def configuration(port: int, engines: Sequence[int], *, history: Path | None) -> str:
    """Return a configuration: everything as by default, with engines at these ports.

    `history` is where the history goes; None for an agent that keeps none and has no rules.
    """
    lines = ["exporters:", "  http_api:", f'    listen: ["127.0.0.1:{port}"]']
    if history is None:
        lines += ["history: {enabled: false}", "alerts: {enabled: false}"]
    else:
        lines += [f'history: {{path: "{history}"}}']
    if engines:
        lines += ["collectors:", "  engines:", "    instances:"]
    for number, engine in enumerate(engines):
        lines += [
            f"      - name: engine-{number}",
            "        engine: vllm",
            f"        url: http://127.0.0.1:{engine}",
        ]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def agent(
    folder: Path,
    name: str,
    *,
    engines: Sequence[int],
    gpus: Gpus,
    whole: bool,
    program: Sequence[str] = (sys.executable, "-I", "-m", "agent"),
) -> Iterator[RunningAgent]:
    """Keep an agent running that sees the GPUs and these engines.

    Unless it is the whole agent, it watches only: without history and rules. `program` is what
    runs it.

    Raises:
        RuntimeError: it did not start, or does not see them all.
    """
    port = free_port()
    config = folder / f"{name}.yaml"
    history = folder / f"{name}.db" if whole else None
    config.write_text(configuration(port, engines, history=history))
    log = folder / f"{name}.log"
    command = [*program, "run", "--config", str(config)]
    with running(command, env=gpus.driver.env(), log=log) as process:
        found = RunningAgent(process.pid, port)
        _wait(found, [f"engine/engine-{number}" for number in range(len(engines))], log)
        yield found


def _wait(found: RunningAgent, sources: Sequence[str], log: Path) -> None:
    """Wait until the page shows all sources and all GPUs."""
    wanted = [_WANTED_UP % source for source in ("nvml", "host", *sources)]
    missing = ["its page"]
    end = time.monotonic() + _START
    while missing and time.monotonic() < end:
        time.sleep(0.25)
        with contextlib.suppress(OSError):
            page = found.page().decode()
            missing = [line for line in wanted if line not in page]
            seen = page.count("inferwatch_gpu_info{")
            if seen != GPUS:
                missing.append(f"{GPUS - seen} GPUs")
    if missing:
        raise RuntimeError(f"the agent lacks {', '.join(missing)}\n{log.read_text()}")
