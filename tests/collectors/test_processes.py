"""Engines' processes by role, on a written procfs and on a real process."""

import asyncio
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.catalog.placement import PROCESS_INFO
from agent.model import SeriesTable
from collectors.process_tree import FULL_SCAN_INTERVAL, SCAN_INTERVAL, ProcessTree
from collectors.processes import (
    FDS_INTERVAL,
    MOST_NAMED,
    SETTLED,
    EngineProcessRef,
    ProcessesCollector,
)
from tests.fakes.clock import ManualClock
from tests.fakes.proc import FakeProc
from tests.fakes.samples import samples

MIB = 2**20


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    """Return a procfs with an init and a vLLM with two workers."""
    fake = FakeProc(tmp_path)
    fake.process(1, "systemd", ppid=0)
    fake.process(100, "vllm", cpu_seconds=10, resident_bytes=500 * MIB, threads=60, fds=9)
    fake.process(101, "py) R 1 (3", ppid=100, cpu_seconds=1, resident_bytes=10 * MIB, fds=3)
    fake.process(102, "VLLM::EngineCor", ppid=100, cpu_seconds=100, resident_bytes=MIB, fds=4)
    fake.process(103, "VLLM::Worker_TP", ppid=102, cpu_seconds=200, resident_bytes=2 * MIB, fds=5)
    fake.process(104, "VLLM::Worker_TP", ppid=102, cpu_seconds=300, resident_bytes=3 * MIB, fds=6)
    fake.process(900, "cron", cpu_seconds=5)
    return fake


class World:
    """A collector over a written procfs, with a clock and a list of engines to change."""

    def __init__(self, proc: FakeProc) -> None:
        self.clock = ManualClock()
        self.engines = [EngineProcessRef(instance_name="chat", engine="vllm", pid=100)]
        self.table = SeriesTable()
        self.collector = ProcessesCollector(
            self.table,
            engine_processes=lambda: self.engines,
            monotonic=self.clock.monotonic,
            time=self.clock.time,
            proc=proc.root,
            sys=proc.root / "sys",
        )

    async def named(self) -> set[tuple[str, str, str]]:
        """Return role, pid and rank of each process that one look names."""
        reading = await self.collector.collect()
        series = [self.table[number] for number in reading.ids]
        return {
            (one.labels[2], one.labels[3], one.labels[4])
            for one in series
            if one.metric is PROCESS_INFO
        }

    async def look(self) -> dict[str, float]:
        """Return what one look gives, with the role alone as the labels."""
        found = samples(self.table, await self.collector.collect())
        prefix = 'engine="vllm",instance_name="chat",process='
        return {
            name.replace(prefix, "").removeprefix("engine_").replace('"', ""): value
            for name, value in found.items()
        }


async def test_roles_are_summed(proc: FakeProc) -> None:
    """Each role has the sum of its processes, found below the server at any depth."""
    found = await World(proc).look()
    assert {name: value for name, value in found.items() if "cpu" in name} == {
        "process_cpu_seconds_total{server}": 10,
        "process_cpu_seconds_total{other}": 1,
        "process_cpu_seconds_total{core}": 100,
        "process_cpu_seconds_total{worker}": 500,
    }
    assert found["processes{worker}"] == 2
    assert found["process_resident_memory_bytes{worker}"] == 5 * MIB
    assert found["process_threads{server}"] == 60
    assert found["process_open_fds{worker}"] == 11


async def test_replaced_worker_keeps_the_counter_rising(proc: FakeProc) -> None:
    """A worker that ends and one that starts, even under its number, never lower the CPU time."""
    world = World(proc)
    await world.look()
    proc.process(104, "VLLM::Worker_TP", ppid=102, cpu_seconds=7, start=999)
    proc.process(103, "VLLM::Worker_TP", ppid=102, cpu_seconds=204)
    found = await world.look()
    assert found["process_cpu_seconds_total{worker}"] == 500 + 4 + 7


STATES = st.dictionaries(
    st.integers(101, 104),
    st.tuples(
        st.sampled_from(["python3", "VLLM::Worker_TP", "VLLM::EngineCor"]),
        st.integers(1, 3),
        st.integers(0, 50),
    ),
)


@given(st.lists(STATES, min_size=2, max_size=6))
@settings(max_examples=40, deadline=None)
def test_cpu_time_never_falls(states: list[dict[int, tuple[str, int, int]]]) -> None:
    """Whatever processes come, go, are renamed or share a number, no counter falls."""
    with tempfile.TemporaryDirectory() as folder:
        fake = FakeProc(Path(folder))
        fake.process(100, "vllm", cpu_seconds=1)
        world = World(fake)
        before: dict[str, float] = {}
        for state in states:
            for pid in range(101, 105):
                if (fake.root / str(pid)).exists():
                    fake.end(pid)
            for pid, (comm, start, cpu_seconds) in state.items():
                fake.process(pid, comm, ppid=100, cpu_seconds=cpu_seconds, start=start)
            world.clock.advance(SCAN_INTERVAL)
            found = asyncio.run(world.look())
            counters = {name: value for name, value in found.items() if "cpu" in name}
            assert all(counters[name] >= value for name, value in before.items())
            before = counters


async def test_role_that_ended_keeps_its_counter(proc: FakeProc) -> None:
    """When all workers are gone their number is 0, their CPU time stays, their memory is absent."""
    world = World(proc)
    await world.look()
    proc.end(103)
    proc.end(104)
    found = await world.look()
    assert found["processes{worker}"] == 0
    assert found["process_cpu_seconds_total{worker}"] == 500
    assert "process_resident_memory_bytes{worker}" not in found


async def test_waits_for_a_cpu_are_of_the_process_that_waited_longest(proc: FakeProc) -> None:
    """Of two workers one waited 0.3 s since the look before and the other 0.8 s: 0.8 s more."""
    world = World(proc)
    proc.process(103, "VLLM::Worker_TP", ppid=102, waited=50.0)
    proc.process(104, "VLLM::Worker_TP", ppid=102, waited=7.0)
    assert "process_cpu_wait_seconds_total{worker}" not in await world.look()
    proc.process(103, "VLLM::Worker_TP", ppid=102, waited=50.3)
    proc.process(104, "VLLM::Worker_TP", ppid=102, waited=7.8)
    found = await world.look()
    assert found["process_cpu_wait_seconds_total{worker}"] == pytest.approx(0.8)
    proc.end(104)
    found = await world.look()
    assert found["process_cpu_wait_seconds_total{worker}"] == pytest.approx(0.8)
    assert "process_cpu_wait_seconds_total{core}" not in found


async def test_when_the_server_began(proc: FakeProc) -> None:
    """It is said from the first look on, and not of a server of which it is not known."""
    world = World(proc)
    labels = 'engine="vllm",instance_name="chat"'
    name = f"engine_server_start_time_seconds{{{labels}}}"
    assert name not in samples(world.table, await world.collector.collect())
    world.engines = [replace(world.engines[0], start_time=1_800_000_000.0)]
    assert samples(world.table, await world.collector.collect())[name] == 1_800_000_000.0


async def test_title_set_after_start(proc: FakeProc) -> None:
    """A process that takes its name late changes role, and no time is counted twice."""
    world = World(proc)
    proc.process(105, "python3", ppid=102, cpu_seconds=2)
    await world.look()
    proc.process(105, "VLLM::Worker_TP", ppid=102, cpu_seconds=5)
    found = await world.look()
    assert found["process_cpu_seconds_total{other}"] == 1 + 2
    assert found["process_cpu_seconds_total{worker}"] == 500 + 3


async def test_new_child_is_found_by_the_next_scan(proc: FakeProc) -> None:
    """Processes are looked for every 10 s, not each time."""
    world = World(proc)
    await world.look()
    proc.process(110, "VLLM::Worker_TP", ppid=102)
    world.clock.advance(SCAN_INTERVAL / 2)
    assert (await world.look())["processes{worker}"] == 2
    world.clock.advance(SCAN_INTERVAL / 2)
    assert (await world.look())["processes{worker}"] == 3


async def test_new_engine_is_found_at_once(proc: FakeProc) -> None:
    """An engine that discovery adds is followed with its children from the same look on."""
    world = World(proc)
    await world.look()
    proc.process(200, "llama-server", cpu_seconds=3)
    proc.process(201, "sh", ppid=200)
    world.engines.append(EngineProcessRef(instance_name="code", engine="llamacpp", pid=200))
    found = samples(world.table, await world.collector.collect())
    labels = 'engine="llamacpp",instance_name="code",process='
    assert found[f'engine_process_cpu_seconds_total{{{labels}"server"}}'] == 3
    assert found[f'engine_processes{{{labels}"other"}}'] == 1


async def test_engine_that_is_gone_has_no_samples(proc: FakeProc) -> None:
    """What discovery no longer lists is forgotten; without engines the reading is empty."""
    world = World(proc)
    await world.look()
    world.engines.clear()
    assert await world.look() == {}


async def test_number_given_to_a_stranger(proc: FakeProc) -> None:
    """A worker's number that a foreign process has now does not count for the engine."""
    world = World(proc)
    await world.look()
    proc.process(104, "postgres", ppid=1, cpu_seconds=1000, start=999)
    found = await world.look()
    assert found["processes{worker}"] == 1
    assert found["process_cpu_seconds_total{other}"] == 1


async def test_fds_that_may_not_be_counted_are_absent(proc: FakeProc) -> None:
    """One process whose descriptors are hidden makes the number of its role unknown."""
    proc.process(106, "VLLM::Worker_TP", ppid=102)
    found = await World(proc).look()
    assert "process_open_fds{worker}" not in found
    assert found["process_open_fds{core}"] == 4


async def test_fds_are_counted_rarely(proc: FakeProc) -> None:
    """The count of descriptors is kept for 10 s."""
    world = World(proc)
    await world.look()
    proc.process(102, "VLLM::EngineCor", ppid=100, fds=40)
    world.clock.advance(FDS_INTERVAL / 2)
    assert (await world.look())["process_open_fds{core}"] == 4
    world.clock.advance(FDS_INTERVAL / 2)
    assert (await world.look())["process_open_fds{core}"] == 40


async def test_layout_is_kept(proc: FakeProc) -> None:
    """The list of series is the same object while the processes stay."""
    world = World(proc)
    first = await world.collector.collect()
    assert (await world.collector.collect()).ids is first.ids


async def test_processes_are_named(proc: FakeProc) -> None:
    """Each process of a known role is named with its rank; helpers once they have lasted."""
    proc.process(102, "VLLM::EngineCor", ppid=100, title="VLLM::EngineCore_DP1")
    world = World(proc)
    known = {
        ("server", "100", ""),
        ("core", "102", "1"),
        ("worker", "103", "1"),
        ("worker", "104", "1"),
    }
    assert await world.named() == known
    world.clock.advance(SETTLED)
    assert await world.named() == known | {("other", "101", "")}


async def test_short_lived_helpers_are_not_named(proc: FakeProc) -> None:
    """A helper that another replaces under its number begins anew: no name for each of them."""
    world = World(proc)
    for start in range(5):
        proc.process(101, "cc1plus", ppid=100, start=start)
        await world.look()
        world.clock.advance(SETTLED / 2)
    assert not any(role == "other" for role, _pid, _rank in await world.named())


async def test_names_are_bounded(proc: FakeProc) -> None:
    """Of very many helpers only so many are named, and none in the place of a worker."""
    for pid in range(1000, 1200):
        proc.process(pid, "helper", ppid=100)
    world = World(proc)
    await world.look()
    world.clock.advance(SETTLED)
    named = await world.named()
    assert len(named) == MOST_NAMED
    assert {"server", "core", "worker"} <= {role for role, _pid, _rank in named}


async def test_container_belongs_to_its_engine(proc: FakeProc) -> None:
    """What runs in the container of the engine without descending from it counts for it."""
    path = "/docker/" + "0123456789abcdef" * 4
    group = proc.root / "sys" / "fs" / "cgroup" / path.lstrip("/")
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text("99\n100\n102\n300\n")
    proc.process(99, "tini", ppid=1, cpu_seconds=1)
    proc.process(100, "vllm", ppid=99, cpu_seconds=10, cgroup=f"0::{path}\n")
    proc.process(300, "VLLM::Worker_TP", ppid=1, cpu_seconds=1000)
    world = World(proc)
    found = await world.look()
    assert found["processes{worker}"] == 3
    assert found["process_cpu_seconds_total{worker}"] == 1500
    assert found["processes{other}"] == 2
    proc.process(300, "postgres", ppid=1, cpu_seconds=5000, start=999)
    assert (await world.look())["processes{worker}"] == 2


def test_tree_of_nested_roots(proc: FakeProc) -> None:
    """A process below two roots belongs to the nearer one."""
    tree = ProcessTree(str(proc.root), monotonic=ManualClock().monotonic)
    stats = tree.stats((100, 102))
    assert [stat.pid for stat in stats[100]] == [100, 101]
    assert sorted(stat.pid for stat in stats[102]) == [102, 103, 104]


def test_tree_reads_new_processes_alone(proc: FakeProc) -> None:
    """A scan trusts what it knows of a number until the full scan finds another parent."""
    clock = ManualClock()
    tree = ProcessTree(str(proc.root), monotonic=clock.monotonic)
    assert len(tree.stats((100,))[100]) == 5
    proc.process(900, "VLLM::Worker_TP", ppid=102, start=999)
    clock.advance(SCAN_INTERVAL)
    assert len(tree.stats((100,))[100]) == 5
    clock.advance(FULL_SCAN_INTERVAL)
    assert len(tree.stats((100,))[100]) == 6


def test_tree_follows_adopted_processes(proc: FakeProc) -> None:
    """A process whose parent ended leaves the tree, unless the tree's root adopted it."""
    clock = ManualClock()
    tree = ProcessTree(str(proc.root), monotonic=clock.monotonic)
    tree.stats((100,))
    proc.end(102)
    proc.process(103, "VLLM::Worker_TP", ppid=1)
    proc.process(104, "VLLM::Worker_TP", ppid=100)
    clock.advance(SCAN_INTERVAL)
    assert sorted(stat.pid for stat in tree.stats((100,))[100]) == [100, 101, 104]


async def test_real_processes() -> None:
    """A shell and its child on this machine are found with memory, threads and descriptors."""
    table = SeriesTable()
    shell = await asyncio.create_subprocess_exec(
        "sh", "-c", "sleep 60 & echo; wait", stdout=subprocess.PIPE, process_group=0
    )
    try:
        assert shell.stdout is not None
        await shell.stdout.readline()
        ref = EngineProcessRef(instance_name="chat", engine="vllm", pid=shell.pid)
        collector = ProcessesCollector(
            table,
            engine_processes=lambda: [ref],
            monotonic=ManualClock().monotonic,
            time=ManualClock().time,
        )
        found = samples(table, await collector.collect())
    finally:
        os.killpg(shell.pid, 9)
        await shell.communicate()
    labels = 'engine="vllm",instance_name="chat",process='
    assert found[f'engine_processes{{{labels}"server"}}'] == 1
    assert found[f'engine_processes{{{labels}"other"}}'] == 1
    assert found[f'engine_process_resident_memory_bytes{{{labels}"server"}}'] > 0
    assert found[f'engine_process_open_fds{{{labels}"server"}}'] >= 3


async def test_aclose_twice(proc: FakeProc) -> None:
    """Closing twice is safe."""
    collector = World(proc).collector
    await collector.aclose()
    await collector.aclose()


async def test_a_process_whose_series_was_forgotten_is_named_again(proc: FakeProc) -> None:
    """The name of a process that was out of sight for long comes back with it."""
    world = World(proc)
    first = await world.collector.collect()
    pids = [i for i in world.table if "pid" in world.table[i].metric.labels]
    assert pids
    world.table.forget(pids)
    again = await world.collector.collect()
    assert len(again.ids) == len(first.ids)
    assert all(series_id in world.table for series_id in again.ids)
