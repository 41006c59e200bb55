"""The space of folders, also of those that hang."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.model import Event, Reading, SeriesTable
from collectors.host import HostCollector
from collectors.host.disk import INTERVAL, STALE_AFTER, Disks
from tests.collectors.hosts import HOSTS, Usage, collector_of, shown
from tests.fakes.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


def answered(collector: HostCollector, *, but: str = "") -> None:
    """Wait until no filesystem is being asked any more, but one."""
    (disks,) = (part for part in collector._parts if isinstance(part, Disks))
    end = time.monotonic() + 5
    while any(folder.pending and folder.path != but for folder in disks._folders):
        assert time.monotonic() < end
        time.sleep(0.0005)


async def asked_again(collector: HostCollector, clock: ManualClock) -> Reading:
    """Look when it is time to ask every folder, and wait for the answers to the next look."""
    clock.advance(INTERVAL)
    reading = await collector.collect()
    answered(collector)
    return reading


async def test_folder_space(clock: ManualClock) -> None:
    """Each configured folder has its filesystem's size and space, one look after the question."""
    table = SeriesTable()
    folders = (Path("/models"), Path("/models"), Path("/state"))
    collector = collector_of(table, HOSTS / "server", clock, folders=folders)
    await collector.collect()
    answered(collector)
    found = await shown(table, collector)
    assert {name: value for name, value in found.items() if "filesystem" in name} == {
        'host_filesystem_size_bytes{path="/models"}': 1000,
        'host_filesystem_available_bytes{path="/models"}': 250,
        'host_filesystem_hung{path="/models"}': 0,
        'host_filesystem_size_bytes{path="/state"}': 1000,
        'host_filesystem_available_bytes{path="/state"}': 250,
        'host_filesystem_hung{path="/state"}': 0,
    }


async def test_missing_folder_is_absent(clock: ManualClock) -> None:
    """A configured folder that does not exist has no samples and does not disturb the others."""

    def usage(path: str) -> Usage:
        if path == "/gone":
            raise FileNotFoundError(path)
        return Usage(10, 5)

    table = SeriesTable()
    folders = (Path("/gone"), Path("/there"))
    collector = collector_of(table, HOSTS / "server", clock, folders=folders, usage=usage)
    await collector.collect()
    answered(collector)
    found = await shown(table, collector)
    assert not [name for name in found if "/gone" in name]
    assert found['host_filesystem_available_bytes{path="/there"}'] == 5


async def test_a_missing_folder_is_told_once(clock: ManualClock) -> None:
    """An event names a folder that cannot be watched; again only if it was there meanwhile."""
    problem: list[OSError] = [FileNotFoundError(2, "No such file or directory")]

    def usage(path: str) -> Usage:
        if path != "/there" and problem:
            raise problem[0]
        return Usage(10, 5)

    async def events(collector: HostCollector) -> list[Event]:
        found = []
        for _look in range(3):
            found += (await asked_again(collector, clock)).events
        return found

    table, unremarked = SeriesTable(), {"/model"}
    folders = (Path("/gone"), Path("/there"), Path("/model"))

    def collector() -> HostCollector:
        return collector_of(
            table, HOSTS / "server", clock, folders=folders, usage=usage, unremarked=unremarked
        )

    first = collector()
    (event,) = await events(first)
    assert (event.kind, event.source, event.labels) == ("folder_missing", "host", {"path": "/gone"})
    assert event.message == "the folder /gone cannot be watched: No such file or directory"
    assert event.time <= clock.time()
    assert await events(first) == []
    assert await events(collector()) == []  # as after a reload
    there = problem.pop()
    assert await events(first) == []
    problem.append(there)
    assert {event.labels["path"] for event in await events(first)} == {"/gone", "/model"}


async def test_a_question_that_could_not_be_asked_is_not_waited_for(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there may be no more threads for a while, the folder does not hang ever after."""

    def none_left(_work: object, *, name: str) -> threading.Thread:
        raise RuntimeError(f"can't start new thread: {name}")

    table = SeriesTable()
    collector = collector_of(table, HOSTS / "server", clock, folders=(Path("/models"),))
    with monkeypatch.context() as full:
        full.setattr("agent.aside.start_aside", none_left)
        with pytest.raises(RuntimeError):
            await collector.collect()
    for _look in range(2):
        await asked_again(collector, clock)
    found = await shown(table, collector)
    assert found['host_filesystem_hung{path="/models"}'] == 0
    assert found['host_filesystem_available_bytes{path="/models"}'] == 250


@pytest.fixture
def server_gone() -> Iterator[threading.Event]:
    """Return an event that, once set, lets hung questions return; set at the end of the test."""
    back = threading.Event()
    yield back
    back.set()


async def test_hung_mount_blocks_nothing(clock: ManualClock, server_gone: threading.Event) -> None:
    """A statvfs that never returns delays no look, starts no second thread, and is reported."""
    calls: list[str] = []

    def usage(path: str) -> Usage:
        calls.append(path)
        if path == "/nfs" and calls.count("/nfs") > 1:
            server_gone.wait(30)
        return Usage(10, 5)

    table = SeriesTable()
    folders = (Path("/nfs"), Path("/local"))
    collector = collector_of(table, HOSTS / "server", clock, folders=folders, usage=usage)
    await collector.collect()
    answered(collector)
    assert (await shown(table, collector))['host_filesystem_available_bytes{path="/nfs"}'] == 5
    started = time.monotonic()
    for _ in range(int(STALE_AFTER) * 2):
        clock.advance(1)
        await collector.collect()
        answered(collector, but="/nfs")
    found = await shown(table, collector)
    assert time.monotonic() - started < 5
    assert calls.count("/nfs") == 2
    assert calls.count("/local") >= int(STALE_AFTER * 2 / INTERVAL)
    assert found['host_filesystem_hung{path="/nfs"}'] == 1
    assert 'host_filesystem_available_bytes{path="/nfs"}' not in found
    assert found['host_filesystem_available_bytes{path="/local"}'] == 5
    server_gone.set()
    answered(collector)
    await asked_again(collector, clock)
    found = await shown(table, collector)
    assert found['host_filesystem_hung{path="/nfs"}'] == 0
    assert found['host_filesystem_available_bytes{path="/nfs"}'] == 5
