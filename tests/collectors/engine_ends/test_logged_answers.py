"""Answers to callers that logs name, as a counter of the source of engines' ends."""

import asyncio
import fcntl
import json
import struct
import termios
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import SeriesTable
from collectors.engine_ends import EngineEnd, EngineEndsCollector
from collectors.engine_ends.answers import STATUSES
from collectors.engine_ends.tail import FileTail
from tests.fakes.clock import ManualClock
from tests.fakes.journalctl import FakeJournal
from tests.fakes.proc import FakeProc
from tests.fakes.samples import samples

GET = 'INFO:     127.0.0.1:5 - "GET /metrics HTTP/1.1" 200 OK\n'
REFUSED = 'INFO:     10.0.0.7:5 - "POST /v1/completions HTTP/1.1" 401 Unauthorized\n'
SERVED = 'INFO:     10.0.0.7:5 - "POST /v1/completions HTTP/1.1" 200 OK\n'
ENTRY = {
    "__CURSOR": "s=0639a7d6d5a24bb5a4f0c1c5c8a0a3c1;i=1a2b3c;b=5b;m=1f2e3d4c5b;t=6441;x=9f1e",
    "__REALTIME_TIMESTAMP": "1763784000000000",
    "__MONOTONIC_TIMESTAMP": "123456789",
    "_BOOT_ID": "5b7c9f3a4e6d4f7f8a9b0c1d2e3f4a5b",
    "_SYSTEMD_UNIT": "chat.service",
    "MESSAGE": REFUSED.rstrip(),
}


class Host:
    """Engines and the source that reads their logs."""

    def __init__(self, root: Path, journal: Path) -> None:
        (root / "proc").mkdir()
        self.proc = FakeProc(root / "proc")
        self.table = SeriesTable()
        self.engines: list[EngineEnd] = []
        self.collector = EngineEndsCollector(
            self.table,
            clock=ManualClock(),
            engines=lambda: self.engines,
            proc=root / "proc",
            sys=root / "sys",
            journal_folders=(journal,),
        )

    def runs(self, name: str, pid: int | None = None, log: Path | None = None) -> None:
        """Have an engine watched, in place of one of that name."""
        self.engines = [one for one in self.engines if one.instance_name != name]
        self.engines.append(EngineEnd(engine="vllm", instance_name=name, pid=pid, log_file=log))

    async def answers(self, name: str = "chat") -> Mapping[str, float]:
        """Look once and return the answers of an engine by status; empty without the metric."""
        found = samples(self.table, await self.collector.collect())
        text = 'engine_logged_http_responses_total{engine="vllm",instance_name="%s",status="%s"}'
        return {
            status: found[text % (name, status)]
            for status in STATUSES
            if text % (name, status) in found
        }


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Return a host without a journal."""
    return Host(tmp_path, tmp_path / "no-journal")


def write(log: Path, text: str) -> None:
    """Add to a log."""
    with log.open("a") as file:
        file.write(text)


async def test_what_a_log_file_names(host: Host, tmp_path: Path):
    """Absent before the log names an answer, then 0, then what is refused and served."""
    log = tmp_path / "log"
    log.write_text(REFUSED)
    host.runs("chat", log=log)
    assert await host.answers() == {}
    write(log, "INFO:     Application startup complete.\n")
    assert await host.answers() == {}
    write(log, GET + REFUSED)
    assert await host.answers() == dict.fromkeys(STATUSES, 0)
    write(log, REFUSED + SERVED + SERVED)
    assert await host.answers() == {**dict.fromkeys(STATUSES, 0), "401": 2, "2xx": 2}
    await host.collector.aclose()


async def test_without_a_log_nothing_is_known(host: Host):
    """An engine whose log nobody reads has no such counter."""
    host.runs("chat")
    assert await host.answers() == {}


async def one_that_answers(host: Host, log: Path) -> None:
    """Have an engine watched whose log names an answer."""
    write(log, "")
    host.runs("chat", log=log)
    await host.answers()
    write(log, GET)
    assert await host.answers()


async def test_a_log_that_cannot_be_read_any_more(host: Host, tmp_path: Path):
    """While a log is not read its counter is absent, not a standing one; then it goes on."""
    log = tmp_path / "log"
    await one_that_answers(host, log)
    log.rename(tmp_path / "log.1")
    log.mkdir()
    assert await host.answers() == {}
    log.rmdir()
    log.write_text(REFUSED)
    assert (await host.answers())["401"] == 1


async def test_a_restart_without_an_access_log(host: Host, tmp_path: Path):
    """A new process may have been told to log no answers: it has to name one first."""
    log = tmp_path / "log"
    log.write_text("")
    host.runs("chat", pid=7, log=log)
    await host.answers()
    write(log, REFUSED)
    await host.answers()
    host.runs("chat", pid=8, log=log)
    assert await host.answers() == {}
    write(log, GET)
    assert (await host.answers())["401"] == 1


async def test_a_log_of_two_engines(host: Host, tmp_path: Path):
    """Whose answers they are cannot be told where two engines write to one log."""
    log = tmp_path / "log"
    log.write_text("")
    host.runs("chat", log=log)
    host.runs("embed", log=log)
    await host.answers()
    write(log, GET + REFUSED)
    await host.answers()
    assert await host.answers() == {}
    assert await host.answers("embed") == {}
    host.engines = [one for one in host.engines if one.instance_name == "chat"]
    write(log, GET)
    await host.answers()
    assert await host.answers() == dict.fromkeys(STATUSES, 0)


async def until(host: Host, status: str, count: int) -> Mapping[str, float]:
    """Look until so many answers are known, for five seconds at most."""
    found: Mapping[str, float] = {}
    for _wait in range(500):
        found = await host.answers()
        if found.get(status, 0) >= count:
            break
        await asyncio.sleep(0.01)
    return found


async def test_what_a_unit_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Lines of the unit count as those of a file, what systemd says of it does not.

    The counter is absent once the journal is not read; nothing counts twice beside a log file.
    """
    journal = FakeJournal(tmp_path, monkeypatch)
    host = Host(tmp_path, journal.folder)
    log = tmp_path / "log"
    log.write_text("")
    for pid, name, file in ((7, "chat", None), (8, "tee", log)):
        host.proc.process(pid, "vllm", cgroup=f"0::/system.slice/{name}.service\n")
        host.runs(name, pid=pid, log=file)
    await host.answers()
    await journal.followed()
    write(log, GET + REFUSED)
    for unit in ("chat.service", "tee.service"):
        journal.entry(GET.rstrip(), _SYSTEMD_UNIT=unit)
        journal.entry(REFUSED.rstrip(), UNIT=unit, _SYSTEMD_UNIT="init.scope")
        journal.entry(REFUSED.rstrip(), _SYSTEMD_UNIT=unit)
    journal.entry(SERVED.rstrip(), _SYSTEMD_UNIT="chat.service")
    assert await until(host, "2xx", 1) == {**dict.fromkeys(STATUSES, 0), "401": 1, "2xx": 1}
    assert (await host.answers("tee"))["401"] == 1
    (journal.bin / "die").touch()
    for _wait in range(500):
        if not await host.answers():
            break
        await asyncio.sleep(0.01)
    assert await host.answers() == {}
    assert await host.answers("tee")
    await host.collector.aclose()


@given(st.lists(st.sampled_from(["cut", "rotate", "look"]), max_size=8), st.binary(max_size=40))
def test_rotation_counts_no_line_twice(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], noise: bytes
):
    """A whole line counts once, one that a rotation cut in two at most once.

    So it is whatever bytes come between, and wherever a look or a rotation cuts a line.
    """
    folder = tmp_path_factory.mktemp("rotation")
    log = folder / "log"
    log.write_bytes(b"")
    host = Host(folder, folder / "no-journal")
    host.runs("chat", log=log)

    async def play() -> tuple[float, int, int]:
        await host.answers()
        write(log, GET)
        await host.answers()
        whole = parts = 0
        for number, step in enumerate(steps):
            line = REFUSED.encode()
            at = (7 * number + len(noise)) % len(line)
            with log.open("ab") as file:
                file.write(noise.replace(b"\n", b"") + b"\n" + line[:at])
            if step == "rotate":
                log.rename(folder / f"log.{number}")
                parts += 1
            else:
                whole += 1
            if step == "look":
                await host.answers()
            with log.open("ab") as file:
                file.write(line[at:])
            if step == "rotate":
                await host.answers()
        counts = await host.answers()
        await host.collector.aclose()
        return counts["401"], whole, parts

    count, whole, parts = asyncio.run(play())
    assert whole <= count <= whole + parts


async def test_a_log_that_hangs(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """While a read has not come back, nothing is said of any answers."""
    await one_that_answers(host, tmp_path / "log")
    gate = threading.Event()

    def hang(_tail: FileTail) -> list[bytes]:
        gate.wait()
        return []

    monkeypatch.setattr(FileTail, "read", hang)
    look = asyncio.ensure_future(host.collector.collect())
    await asyncio.sleep(0)
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    assert await host.answers() == {}
    gate.set()


async def test_a_busy_unit_does_not_fall_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What a unit writes in a second of 1,000 answers is read with one look at the end of it.

    Else each look would leave more behind, and the end of an engine be told minutes late.
    """
    journal = FakeJournal(tmp_path, monkeypatch)
    host = Host(tmp_path, journal.folder)
    host.proc.process(7, "vllm", cgroup="0::/system.slice/chat.service\n")
    host.runs("chat", pid=7)
    await host.answers()
    await journal.followed()
    journal.entry(GET.rstrip(), _SYSTEMD_UNIT="chat.service")
    for _wait in range(500):
        if await host.answers():
            break
        await asyncio.sleep(0.01)
    one = len(json.dumps(ENTRY)) + 1
    with journal.log.open("ab") as file:
        file.write((json.dumps(ENTRY) + "\n").encode() * 1000)
    reader = host.collector._journal
    assert reader is not None
    for _wait in range(200):
        [waiting] = struct.unpack("i", fcntl.ioctl(reader._output, termios.FIONREAD, b"\0" * 4))
        if waiting >= 1000 * one:
            break
        await asyncio.sleep(0.01)
    assert (await host.answers())["401"] == 1000
    await host.collector.aclose()
