"""What the watchers of a host cost, and what they cost the work that they watch."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.processes import cpu_seconds, memory, tree
from evaluation.faults_client import Asked, Load

_SETTLE: Final = 2.0
"""Seconds at the beginning of a block that are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process with its children took.

    Attributes:
        name: which.
        seconds: for how long it was watched.
        cpu: CPU seconds that it took.
        mib: of memory at the end, as if it ran alone.
    """

    name: str
    seconds: float
    cpu: float
    mib: float


class Meter:
    """Counts the CPU time of processes from now on."""

    def __init__(self, processes: Mapping[str, int]) -> None:
        self._processes = processes
        self._begun = time.monotonic()
        self._before = {name: cpu_seconds(pid) for name, pid in processes.items()}

    def read(self) -> list[Cost]:
        """Return what each has taken."""
        return [
            Cost(
                name=name,
                seconds=time.monotonic() - self._begun,
                cpu=cpu_seconds(pid) - self._before[name],
                mib=memory(pid).alone / 2**20,
            )
            for name, pid in self._processes.items()
        ]


def busy_seconds(stat: str, *, ticks: int) -> float:
    """Return for how long the cores of a host have worked, all together.

    Args:
        stat: the text of `/proc/stat`.
        ticks: of a second.
    """
    user, nice, system, _idle, _wait, interrupts, soft, *_rest = map(
        int, stat.split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + interrupts + soft) / ticks


class Others:
    """How many cores work on what does not belong to the run, from one call to the next.

    Args:
        processes: ids of those that belong to it, with all that descends from them.
    """

    def __init__(self, processes: Sequence[int]) -> None:
        self._processes = [*processes]
        self._last = self._now()

    def cores(self) -> float:
        """Return the mean since the last call."""
        now = self._now()
        (begin, busy, own), self._last = self._last, now
        return max(now[1] - busy - (now[2] - own), 0.0) / (now[0] - begin)

    def _now(self) -> tuple[float, float, float]:
        """Return the time, what all processes have taken, and what those of the run have."""
        # Of this process alone: its tree holds the others.
        own = sum(map(cpu_seconds, self._processes)) + time.process_time()
        stat = Path("/proc/stat").read_text(encoding="ascii")
        return time.monotonic(), busy_seconds(stat, ticks=os.sysconf("SC_CLK_TCK")), own


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two neighbouring blocks of the same load, one of them with the agent stopped.

    Attributes:
        first: median seconds to the first token, with the agent and without.
        gap: median seconds between tokens, with and without.
        requests: how many, with and without.
    """

    first: tuple[float, float]
    gap: tuple[float, float]
    requests: tuple[int, int]


async def paired(load: Load, agent: int, *, pairs: int, block: float) -> list[Pair]:
    """Compare the latencies that users get with the agent and with it stopped.

    Which of the two comes first changes from pair to pair, so that a drift of the host favours
    neither.

    Args:
        load: running, at the rate that is wanted.
        agent: its process id.
        pairs: how many.
        block: seconds of each half.
    """
    found: list[Pair] = []
    for number in range(pairs):
        halves: dict[bool, list[Asked]] = {}
        for watched in (True, False) if number % 2 else (False, True):
            _all(agent, signal.SIGCONT if watched else signal.SIGSTOP)
            begin = time.time() + _SETTLE
            await asyncio.sleep(_SETTLE + block)
            end = time.time() - 1.0
            halves[watched] = [one for one in load.asked if begin <= one.begun < end and one.whole]
        _all(agent, signal.SIGCONT)
        with_it, without = halves[True], halves[False]
        if with_it and without:
            found.append(
                Pair(
                    first=(_first(with_it), _first(without)),
                    gap=(_gap(with_it), _gap(without)),
                    requests=(len(with_it), len(without)),
                )
            )
    return found


def _all(root: int, number: signal.Signals) -> None:
    """Send a signal to a process and its children."""
    for pid in tree(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _first(asked: Sequence[Asked]) -> float:
    return median(one.first - one.begun for one in asked if one.first is not None)


def _gap(asked: Sequence[Asked]) -> float:
    return median(
        (one.ended - one.first) / max(one.tokens - 1, 1) for one in asked if one.first is not None
    )
