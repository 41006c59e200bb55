"""The data-parallel rank of a process, by its title."""

import asyncio
import threading
from pathlib import Path

import pytest

from collectors.process_rank import ProcessRanks
from collectors.procfs import ProcessStat, process_stat, read_file
from tests.fakes.proc import FakeProc


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    """Return a vLLM of two ranks with two workers each; the kernel cut their names."""
    fake = FakeProc(tmp_path)
    fake.process(10, "vllm", title="vllm\0serve\0--data-parallel-size\x002\0")
    for rank in (0, 1):
        core = 20 + rank
        fake.process(core, "VLLM::EngineCor", ppid=10, title=f"VLLM::EngineCore_DP{rank}\0\0\0")
        fake.process(30 + rank, "VLLM::Worker_DP", ppid=core, title=f"VLLM::Worker_DP{rank}_TP0\0")
        fake.process(40 + rank, "VLLM::Worker_TP", ppid=core, title="VLLM::Worker_TP1\0")
    return fake


def _stats(proc: FakeProc, *pids: int) -> list[ProcessStat]:
    """Return the state of these processes."""
    stats = [process_stat(str(proc.root), pid) for pid in pids]
    return [stat for stat in stats if stat is not None]


async def test_ranks(proc: FakeProc):
    """A title that has the rank says it; a worker without it has that of its core."""
    ranks = ProcessRanks(str(proc.root))
    stats = _stats(proc, 10, 20, 21, 30, 31, 40, 41)
    await ranks.learn(stats)
    assert ranks.of(stats) == {10: "", 20: "0", 21: "1", 30: "0", 31: "1", 40: "0", 41: "1"}


@pytest.mark.parametrize(
    ("title", "rank"),
    [
        ("VLLM::EngineCore_DP12", "12"),
        ("VLLM::EngineCore", ""),
        ("VLLM::Worker_PP0_DP3_EP1", "3"),
        ("VLLM::Worker_TP0", ""),
        ("VLLM::Worker_DPx", ""),
        ("VLLM::EngineCore_DP0099999999", ""),
        ("python3 VLLM::EngineCore_DP1", ""),
        ("", ""),
    ],
)
async def test_titles(proc: FakeProc, title: str, rank: str):
    """Only what vLLM writes is taken for a rank."""
    proc.process(50, "VLLM::EngineCor", title=title)
    ranks = ProcessRanks(str(proc.root))
    stats = _stats(proc, 50)
    await ranks.learn(stats)
    assert ranks.of(stats) == {50: rank}


async def test_titles_are_read_once(proc: FakeProc):
    """A title is read again only when the process has another name or start."""
    ranks = ProcessRanks(str(proc.root))
    await ranks.learn(_stats(proc, 20))
    proc.process(20, "VLLM::EngineCor", title="VLLM::EngineCore_DP7")
    stats = _stats(proc, 20)
    await ranks.learn(stats)
    assert ranks.of(stats) == {20: "0"}
    proc.process(20, "VLLM::EngineCor", start=999)
    stats = _stats(proc, 20)
    await ranks.learn(stats)
    assert ranks.of(stats) == {20: "7"}


async def test_titles_of_others_are_not_read(proc: FakeProc):
    """A process with no title of vLLM's has no rank, whatever its command line says."""
    proc.process(60, "python3", title="VLLM::EngineCore_DP1")
    ranks = ProcessRanks(str(proc.root))
    stats = _stats(proc, 60)
    await ranks.learn(stats)
    assert ranks.of(stats) == {60: ""}


async def test_processes_that_are_their_own_parents(proc: FakeProc):
    """Parents that go round in a circle, as reused numbers can make them, end nothing."""
    proc.process(70, "a", ppid=71)
    proc.process(71, "b", ppid=70)
    assert ProcessRanks(str(proc.root)).of(_stats(proc, 70, 71)) == {70: "", 71: ""}


async def test_title_that_cannot_be_read_yet(proc: FakeProc, monkeypatch: pytest.MonkeyPatch):
    """While a read hangs nothing else is read and nobody waits; afterwards the rest is learned."""
    begun, go_on = threading.Event(), threading.Event()

    def hang(path: str) -> bytes | None:
        begun.set()
        go_on.wait(10)
        return read_file(path)

    monkeypatch.setattr("collectors.process_rank.read_file", hang)
    ranks = ProcessRanks(str(proc.root))
    asked = asyncio.create_task(ranks.learn(_stats(proc, 20)))
    await asyncio.to_thread(begun.wait, 10)
    stats = _stats(proc, 20, 21)
    assert not await ranks.learn(stats)
    assert ranks.of(stats) == {20: "", 21: ""}
    go_on.set()
    assert await asked
    assert await ranks.learn(stats)
    assert ranks.of(stats) == {20: "0", 21: "1"}
