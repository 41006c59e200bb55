"""The seven ways in which a real vLLM is broken, and what should be said of each."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.processes import tree
from evaluation.faults_client import Load
from evaluation.faults_host import KEY, MAX_LENGTH, Engine
from evaluation.faults_seen import Verdict

_CGROUP: Final = Path("/sys/fs/cgroup/cpu/inferwatch-faults")
_PERIOD: Final = 100_000
_SHARE: Final = 0.10
"""Of one core, that a starved engine is left."""


@dataclass(slots=True, kw_only=True)
class Host:
    """What faults are made on.

    Attributes:
        engine: the server.
        users: who ask it all the time.
        state: the agent's state folder, a file system of its own.
        verdicts: every change of the agent's verdict so far.
        loads: everyone who asks.
    """

    engine: Engine
    users: Load
    state: Path
    verdicts: list[Verdict] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def more(self, **what: Any) -> AsyncIterator[Load]:
        """Let others ask too during the block."""
        load = Load(url=self.engine.url, **{"key": KEY, **what})
        self.loads.append(load)
        task = asyncio.create_task(load.run(seed=len(self.loads)))
        try:
            yield load
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _kv(host: Host) -> None:
    """Let long requests grow until they need several times the KV cache."""
    async with host.more(prompt=(200, 400), output=(300, 500)) as load:
        for second in range(120):
            load.rate = 5.0 * second / 120.0
            await asyncio.sleep(1.0)
        await asyncio.sleep(150.0)


async def _kill(host: Host) -> None:
    host.engine.end()
    await asyncio.sleep(100.0)
    await asyncio.to_thread(host.engine.start)


async def _freeze(host: Host) -> None:
    host.engine.signal(signal.SIGSTOP)
    await asyncio.sleep(150.0)
    host.engine.signal(signal.SIGCONT)


async def _starve(host: Host) -> None:
    """Put the engine into a group that has a tenth of a core."""
    _CGROUP.mkdir(exist_ok=True)
    (_CGROUP / "cpu.cfs_period_us").write_text(str(_PERIOD))
    (_CGROUP / "cpu.cfs_quota_us").write_text(str(int(_SHARE * _PERIOD)))
    _move(tree(host.engine.pid), _CGROUP)
    try:
        await asyncio.sleep(180.0)
    finally:
        _move(tree(host.engine.pid), _CGROUP.parent)
        await asyncio.sleep(1.0)
        _CGROUP.rmdir()


def _move(pids: list[int], group: Path) -> None:
    """Put processes into a cgroup."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            (group / "cgroup.procs").write_text(str(pid))


async def _long(host: Host) -> None:
    async with host.more(rate=4.0, prompt=(MAX_LENGTH + 50, MAX_LENGTH + 150)):
        await asyncio.sleep(90.0)


async def _keys(host: Host) -> None:
    async with host.more(rate=4.0, key="of-nobody"):
        await asyncio.sleep(90.0)


async def _disk(host: Host) -> None:
    file = host.state / "other-files"
    with file.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"\0" * 65536)
    await asyncio.sleep(100.0)
    file.unlink()


_LATE: Final = frozenset(
    {"LatencyBudgetBurnsFast", "EngineQueueGrowing", "EngineQueueWait", "EngineHeadroomLow"}
)


class Fault(NamedTuple):
    """One way to break the engine.

    Attributes:
        name: for people.
        what: is done.
        make: does it; it is over when this returns.
        after: seconds for which what is told still counts.
        right: verdicts, and causes of a death, that are right.
        wanted: alerts that are about it.
    """

    name: str
    what: str
    make: Callable[[Host], Awaitable[None]]
    after: float
    right: frozenset[str]
    wanted: frozenset[str]


# Those that the same alert is about stand far apart: it fires on for minutes after the cause.
FAULTS: Final[tuple[Fault, ...]] = (
    Fault(
        "KV cache exhausted",
        "requests of 200 to 400 tokens for answers of 300 to 500 grow within 2 min to 5 a second",
        _kv,
        60.0,
        frozenset({"kv_memory"}),
        _LATE
        | {
            "EngineKvExhaustionSoon",
            "EnginePreemptionSoon",
            "EngineKvCacheNearlyFull",
            "EnginePreemptions",
            "EngineOverCapacity",
        },
    ),
    Fault(
        "over-long prompts",
        "4 requests a second longer than the model takes, answered with 400",
        _long,
        20.0,
        frozenset({"healthy"}),
        frozenset({"EngineRefusesCallers"}),
    ),
    Fault(
        "engine killed",
        "`kill -9` of all its processes; started again after 100 s",
        _kill,
        45.0,
        frozenset({"killed"}),
        frozenset({"EngineDown", "EngineDied", "EngineLoading"}),
    ),
    Fault(
        "engine frozen",
        "SIGSTOP to all its processes, SIGCONT after 150 s",
        _freeze,
        60.0,
        frozenset({"stalled", "hung"}),
        frozenset({"EngineNotAnswering", "EngineStalled"}),
    ),
    Fault(
        "CPU starved",
        "its processes get a tenth of a core together",
        _starve,
        60.0,
        frozenset({"host_cpu"}),
        _LATE | {"EngineCpuStarved", "EngineGenerationSlow", "EngineOverCapacity", "EngineStalled"},
    ),
    Fault(
        "state folder full",
        "the agent's own file system is filled to the last byte for 100 s",
        _disk,
        45.0,
        frozenset({"healthy"}),
        frozenset({"HistoryNotWritable", "HostDiskFull"}),
    ),
    Fault(
        "wrong API keys",
        "4 requests a second with a key that is not known, answered with 401",
        _keys,
        20.0,
        frozenset({"healthy"}),
        frozenset({"EngineRefusesCallers"}),
    ),
)
