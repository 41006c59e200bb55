"""The kernel log: what is an event, and both ways of reading it."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.model import Event, SeriesTable, SourceError, UnavailableError
from collectors.kernel_log import KernelLogCollector
from collectors.kernel_log.journal import check_access
from collectors.kernel_log.kmsg import KmsgReader
from tests.collectors.kernel_log.messages import FELL_OFF, KILLED
from tests.fakes.clock import ManualClock
from tests.fakes.journalctl import FakeJournal
from tests.fakes.samples import samples


class Kmsg:
    """Stands in for /dev/kmsg: a FIFO that is read without waiting."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sequence = 100
        os.mkfifo(path)
        # Open for both, so that neither side waits for the other.
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def write(self, message: str, *, priority: int = 3, microseconds: int = 0) -> None:
        """Write one record with a property, as the kernel would."""
        self.sequence += 1
        record = f"{priority},{self.sequence},{microseconds},-;{message}\n DEVICE=+pci:x\n"
        os.write(self._fd, record.encode())

    def close(self) -> None:
        """Close this end."""
        os.close(self._fd)


@pytest.fixture
def kmsg(tmp_path: Path) -> Iterator[Kmsg]:
    """Return a kernel log to write to."""
    device = Kmsg(tmp_path / "kmsg")
    yield device
    device.close()


async def test_kmsg_events(kmsg: Kmsg) -> None:
    """Records written since the last look are events once; others are passed over."""
    table = SeriesTable()
    collector = KernelLogCollector(table, clock=ManualClock(), kmsg=kmsg.path)
    assert not (await collector.collect()).events
    kmsg.write("usb 1-1: new device")
    kmsg.write(FELL_OFF)
    kmsg.write(KILLED)
    reading = await collector.collect()
    assert [event.kind for event in reading.events] == ["xid", "oom_kill"]
    assert samples(table, reading) == {"kernel_log_lost_records_total": 0}
    assert not (await collector.collect()).events
    await collector.aclose()
    await collector.aclose()


async def test_kmsg_skips_what_was_there(tmp_path: Path) -> None:
    """Records from before the agent started are no events of this run."""
    log = tmp_path / "kmsg"
    log.write_text(f"3,1,0,-;{KILLED}\n")
    reader = KmsgReader(log, clock=ManualClock())
    assert await reader.read() == []
    with log.open("a") as file:
        file.write(f"3,2,0,-;{FELL_OFF}\n")
    assert [event.kind for event in await reader.read()] == ["xid"]
    await reader.aclose()


async def test_kmsg_believes_the_kernel_alone(kmsg: Kmsg) -> None:
    """A program that writes to the log cannot make an event."""
    collector = KernelLogCollector(SeriesTable(), clock=ManualClock(), kmsg=kmsg.path)
    await collector.collect()
    kmsg.write(FELL_OFF, priority=1 << 3 | 3)
    kmsg.write("not a record")
    assert not (await collector.collect()).events
    await collector.aclose()


async def test_kmsg_time(kmsg: Kmsg) -> None:
    """An event has the kernel's time, held between this look and the one before."""
    clock = ManualClock(time=5000.0, monotonic=100.0)
    reader = KmsgReader(kmsg.path, clock=clock)
    clock.advance(10)
    kmsg.write(FELL_OFF, microseconds=104_000_000)
    kmsg.write(FELL_OFF, microseconds=1_000_000)
    kmsg.write(FELL_OFF, microseconds=999_000_000)
    assert [event.time for event in await reader.read()] == [5004.0, 5000.0, 5010.0]
    await reader.aclose()


async def test_kmsg_text_is_unescaped(kmsg: Kmsg) -> None:
    """Bytes that the kernel escapes are what they were."""
    reader = KmsgReader(kmsg.path, clock=ManualClock())
    kmsg.write(r"Killed process 5 (a\x09b) total-vm:1kB")
    (event,) = await reader.read()
    assert event.labels["process"] == "a\tb"
    await reader.aclose()


async def test_kmsg_overwritten_ring(kmsg: Kmsg) -> None:
    """When the ring went over unread records their number is counted and reading goes on."""
    records: list[bytes | Exception] = [
        f"6,10,0,-;{KILLED}\n".encode(),
        BrokenPipeError(),
        f"6,25,0,-;{FELL_OFF}\n".encode(),
        BlockingIOError(),
    ]

    def read(fd: int, size: int) -> bytes:
        assert fd >= 0
        assert size >= 8192
        record = records.pop(0)
        if isinstance(record, Exception):
            raise record
        return record

    reader = KmsgReader(kmsg.path, clock=ManualClock(), read=read)
    assert [event.kind for event in await reader.read()] == ["oom_kill", "xid"]
    assert reader.lost == 14
    await reader.aclose()


async def test_kmsg_flood_is_read_in_pieces(kmsg: Kmsg) -> None:
    """A log that never runs dry does not hold up the look."""
    reader = KmsgReader(kmsg.path, clock=ManualClock(), read=lambda _fd, _size: b"6,1,0,-;x\n")
    assert await asyncio.wait_for(reader.read(), 5) == []
    await reader.aclose()


async def test_lost_records_survive_a_broken_device(kmsg: Kmsg) -> None:
    """A device that fails is closed and opened anew by the next look, and the count goes on."""
    table = SeriesTable()
    collector = KernelLogCollector(table, clock=ManualClock(), kmsg=kmsg.path)
    await collector.collect()
    reader = collector._reader
    assert isinstance(reader, KmsgReader)
    reader.lost = 3
    os.close(reader._fd)
    reader._fd = os.open("/", os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        await collector.collect()
    kmsg.write(FELL_OFF)
    reading = await collector.collect()
    assert samples(table, reading) == {"kernel_log_lost_records_total": 3}
    await collector.aclose()


class Journal(FakeJournal):
    """A journal that may be read, and the collector that reads it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, monkeypatch)
        self.collector = KernelLogCollector(
            SeriesTable(),
            clock=ManualClock(),
            kmsg=folder / "no-kmsg",
            journal_folders=(self.folder,),
        )

    def write(
        self, message: object, *, seconds: float = 1.5, facility: int = 0, end: str = "\n"
    ) -> None:
        """Write one entry as `journalctl -o json` does."""
        self.entry(message, seconds=seconds, end=end, SYSLOG_FACILITY=str(facility))

    async def started(self) -> None:
        """Start to follow, and wait until the other end does."""
        await self.collector.collect()
        await self.followed()

    async def events(self, count: int) -> list[Event]:
        """Look until that many events came."""
        events: list[Event] = []
        for _ in range(500):
            events += (await self.collector.collect()).events
            if len(events) >= count:
                return events
            await asyncio.sleep(0.01)
        raise AssertionError(f"only {events} came")


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """Return a journal to write to."""
    return Journal(tmp_path, monkeypatch)


async def test_journal_events(journal: Journal) -> None:
    """Without /dev/kmsg the journal gives the kernel's events, with the journal's time."""
    journal.write(KILLED)
    await journal.started()
    journal.write("usb 1-1: new device [1-1]")
    journal.write(FELL_OFF, seconds=1_800_000_000.25)
    journal.write([*KILLED.encode(), 0xFF])
    journal.write(None)
    journal.write(FELL_OFF, facility=1)
    journal.write(FELL_OFF)
    xid, kill, last = await journal.events(3)
    assert (last.kind, last.time) == ("xid", 1.5)
    assert (xid.kind, xid.time) == ("xid", 1_800_000_000.25)
    assert (kill.kind, kill.labels["process"]) == ("oom_kill", "vllm")
    await journal.collector.aclose()
    await journal.collector.aclose()
    arguments = json.loads((journal.bin / "arguments").read_text())
    assert {"--dmesg", "--follow", "--lines=0", "--output=json"} <= set(arguments)


async def test_journal_entry_in_two_pieces(journal: Journal) -> None:
    """An entry that arrives in pieces is one event."""
    await journal.started()
    journal.write(FELL_OFF, end="")
    await asyncio.sleep(0.05)
    assert not (await journal.collector.collect()).events
    with journal.log.open("a") as file:
        file.write("\n")
    assert [event.kind for event in await journal.events(1)] == ["xid"]
    await journal.collector.aclose()


async def test_journalctl_dies(journal: Journal) -> None:
    """Its end is an error with its last words, and the next look starts another."""
    await journal.started()
    (journal.bin / "die").touch()
    with pytest.raises(SourceError, match=r"journalctl ended: .*Input/output error") as error:
        await journal.events(1)
    assert not isinstance(error.value, UnavailableError)
    (journal.bin / "die").unlink()
    (journal.bin / "ready").unlink()
    await journal.started()
    journal.write(FELL_OFF)
    assert [event.kind for event in await journal.events(1)] == ["xid"]
    await journal.collector.aclose()


async def test_journalctl_that_ignores_the_end(journal: Journal) -> None:
    """A process that ignores SIGTERM is killed, and closing stays short."""
    (journal.bin / "stubborn").touch()
    await journal.started()
    loop = asyncio.get_running_loop()
    before = loop.time()
    await journal.collector.aclose()
    assert loop.time() - before < 2


async def test_no_journalctl(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without journalctl has no kernel log to read, and that is said."""
    monkeypatch.setenv("PATH", str(journal.folder))
    with pytest.raises(UnavailableError, match="journalctl cannot be started"):
        await journal.collector.collect()


async def test_a_look_that_ends_while_journalctl_starts_leaves_nothing_open(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a host that is too busy to start it in time, each look would leave two pipes."""

    async def never(*_command: str, **_streams: int) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "create_subprocess_exec", never)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - numbers are all
    look = asyncio.create_task(journal.collector.collect())
    await asyncio.sleep(0)
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208 - as above


async def test_neither_way_open(tmp_path: Path) -> None:
    """Without a device and a journal the source is unavailable, and both reasons are given."""
    collector = KernelLogCollector(
        SeriesTable(),
        clock=ManualClock(),
        kmsg=tmp_path / "kmsg",
        journal_folders=(tmp_path / "journal",),
    )
    with pytest.raises(UnavailableError, match=r"kmsg does not exist; there is no systemd journal"):
        await collector.collect()
    await collector.aclose()


def test_missing_right_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that is there but may not be read asks for the group."""
    (tmp_path / "0123").mkdir()
    (tmp_path / "0123/system.journal").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UnavailableError, match="systemd-journal"):
        check_access((tmp_path,))


def test_kmsg_missing_right_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that may not be read says which capability it takes."""

    def refuse(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UnavailableError, match=r"Operation not permitted.*CAP_SYSLOG"):
        KmsgReader(tmp_path / "kmsg", clock=ManualClock())
