"""The source of engines' ends: events out of log files, units and cgroups."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.model import Event, SeriesTable
from collectors.engine_ends import EngineEnd, EngineEndsCollector
from collectors.engine_ends.units import Unit, journal_command, labels_of, unit_of, unit_of_process
from tests.fakes.clock import ManualClock
from tests.fakes.journalctl import FakeJournal
from tests.fakes.proc import FakeProc
from tests.fakes.samples import samples


class Host:
    """A host with engines, and the collector that watches them."""

    def __init__(self, root: Path, journal: Path) -> None:
        (root / "proc").mkdir()
        self.sys = root / "sys"
        self.proc = FakeProc(root / "proc")
        self.clock = ManualClock()
        self.table = SeriesTable()
        self.engines: list[EngineEnd] = []
        self.collector = EngineEndsCollector(
            self.table,
            clock=self.clock,
            engines=lambda: self.engines,
            proc=root / "proc",
            sys=self.sys,
            journal_folders=(journal,),
        )

    def engine(self, name: str, *, pid: int | None = None, log_file: Path | None = None) -> None:
        """Have an engine watched."""
        self.engines.append(
            EngineEnd(engine="vllm", instance_name=name, pid=pid, log_file=log_file)
        )

    def kills(self, path: str, count: int) -> None:
        """Let the kernel have killed so many processes in a cgroup."""
        file = self.sys / "fs" / "cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"low 0\nhigh 0\nmax 3\noom {count}\noom_kill {count}\n")

    async def events(self) -> Sequence[Event]:
        """Look once."""
        return (await self.collector.collect()).events


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Return a host without a journal."""
    return Host(tmp_path, tmp_path / "no-journal")


async def test_a_log_file(host: Host, tmp_path: Path):
    """A line that matters is an event of its engine, at the time of the look."""
    log = tmp_path / "chat.log"
    log.write_text("torch.OutOfMemoryError: old\n")
    host.engine("chat", log_file=log)
    assert await host.events() == []
    with log.open("a") as file:
        file.write('INFO: "GET /metrics"\ntorch.OutOfMemoryError: CUDA out of memory. Tried\n')
    [event] = await host.events()
    assert (event.kind, event.time) == ("engine_log", host.clock.time())
    assert event.labels == {"engine": "vllm", "instance_name": "chat", "finding": "cuda_oom"}
    assert event.message == "torch.OutOfMemoryError: CUDA out of memory. Tried"
    assert await host.events() == []
    await host.collector.aclose()
    await host.collector.aclose()


async def test_a_log_file_that_cannot_be_read(host: Host, tmp_path: Path):
    """It is told once, and harms neither the source nor the other engines."""
    (tmp_path / "folder").mkdir()
    log = tmp_path / "chat.log"
    log.write_text("")
    host.engine("broken", log_file=tmp_path / "folder")
    host.engine("chat", log_file=log)
    [event] = await host.events()
    assert event.kind == "engine_log_unreadable"
    assert event.labels["instance_name"] == "broken"
    log.write_text("EngineCore encountered a fatal error.\n")
    assert [one.kind for one in await host.events()] == ["engine_log"]
    await host.collector.aclose()


async def test_a_log_file_that_is_not_there_is_told_once(host: Host, tmp_path: Path):
    """A slip in its name would cost the reason of an end; once it is there it is read."""
    log = tmp_path / "later.log"
    host.engine("chat", log_file=log)
    [event] = await host.events()
    assert event.kind == "engine_log_unreadable"
    assert event.message == "the log file of chat cannot be read: No such file or directory"
    assert await host.events() == []
    log.write_text("EngineCore encountered a fatal error.\n")
    assert [one.kind for one in await host.events()] == ["engine_log"]
    log.unlink()
    assert await host.events() == []
    await host.collector.aclose()


async def test_another_log_file_is_followed_instead(host: Host, tmp_path: Path):
    """A reload may name a log file, or another: from then on that is read, and that alone."""
    logs = [tmp_path / "old.log", tmp_path / "new.log"]
    for log in logs:
        log.write_text("")
    for log_file in (None, logs[0]):
        host.engines.clear()
        host.engine("chat", log_file=log_file)
        assert await host.events() == []
    logs[0].write_text("EngineCore encountered a fatal error.\n")
    assert [one.kind for one in await host.events()] == ["engine_log"]
    host.engines.clear()
    host.engine("chat", log_file=logs[1])
    assert await host.events() == []
    for log in logs:
        log.write_text("torch.OutOfMemoryError: CUDA out of memory. Tried\n" * 2)
    [event] = await host.events()
    assert event.labels["finding"] == "cuda_oom"
    await host.collector.aclose()


@pytest.mark.parametrize(
    ("cgroup", "file"),
    [
        ("0::/system.slice/chat.service\n", "system.slice/chat.service/memory.events"),
        ("4:memory:/docker/ab\n0::/\n", "memory/docker/ab/memory.oom_control"),
    ],
)
async def test_kills_in_the_cgroup(host: Host, cgroup: str, file: str):
    """The kernel's count of kills is told while the cgroup is there, in both versions."""
    host.proc.process(7, "vllm", cgroup=cgroup)
    host.kills(file, 2)
    host.engine("chat", pid=7)
    name = 'engine_cgroup_oom_kills_total{engine="vllm",instance_name="chat"}'
    assert samples(host.table, await host.collector.collect()) == {name: 2.0}
    # Its process is gone, its cgroup is not.
    host.engines.clear()
    host.engine("chat")
    host.kills(file, 3)
    assert samples(host.table, await host.collector.collect()) == {name: 3.0}
    (host.sys / "fs" / "cgroup" / file).unlink()
    assert samples(host.table, await host.collector.collect()) == {}


async def test_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What a unit writes and what systemd says of it are events of the engine that runs in it."""
    journal = FakeJournal(tmp_path, monkeypatch)
    host = Host(tmp_path, journal.folder)
    host.proc.process(7, "vllm", cgroup="0::/system.slice/chat.service\n")
    host.engine("chat", pid=7)
    await host.events()
    await journal.followed()
    arguments = json.loads((journal.bin / "arguments").read_text())
    assert arguments[-3:] == ["_SYSTEMD_UNIT=chat.service", "+", "UNIT=chat.service"]
    journal.entry("RuntimeError: CUDA error: x", _SYSTEMD_UNIT="chat.service", seconds=5)
    journal.entry("Stopping chat.service - x...", UNIT="other.service", _SYSTEMD_UNIT="init.scope")
    text = "chat.service: Main process exited, code=killed, status=9/KILL"
    journal.entry(text, UNIT="chat.service", _SYSTEMD_UNIT="init.scope", seconds=6)
    events: list[Event] = []
    for _wait in range(500):
        events += await host.events()
        if len(events) >= 2:
            break
        await asyncio.sleep(0.01)
    log, unit = events
    assert (log.kind, log.time, log.labels["finding"]) == ("engine_log", 5.0, "gpu_error")
    assert (unit.kind, unit.time) == ("engine_unit", 6.0)
    assert unit.labels == {
        "engine": "vllm",
        "instance_name": "chat",
        "unit": "chat.service",
        "what": "exited",
        "code": "killed",
        "status": "KILL",
    }
    (journal.bin / "die").touch()
    for _wait in range(500):
        await host.events()
        if host.collector._journal is None:
            break
        await asyncio.sleep(0.01)
    assert host.collector._journal is None
    await host.collector.aclose()


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("/system.slice/chat.service", Unit("chat.service")),
        ("/system.slice/system-vllm.slice/vllm@a.service", Unit("vllm@a.service")),
        ("/system.slice/chat.service/sub", Unit("chat.service")),
        ("/payload/system.slice/chat.service", Unit("chat.service")),
        ("/system.slice/containerd.service/kubepods/pod1/" + "c" * 64, None),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/chat.service",
            Unit("chat.service", is_user=True),
        ),
        ("/user.slice/user-1000.slice/session-3.scope", None),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", None),
        ("/system.slice/docker-" + "a" * 64 + ".scope", None),
        ("/kubepods.slice/kubepods-pod1.slice/cri-containerd-b.scope", None),
        ("/", None),
    ],
)
def test_the_unit_of_a_cgroup(cgroup: str, unit: Unit | None):
    """Services have units, of the system or a user; sessions and containers have none."""
    assert unit_of(cgroup) == unit


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0::/system.slice/chat.service\n", Unit("chat.service")),
        ("4:memory:/x\n1:name=systemd:/system.slice/a.service\n0::/\n", Unit("a.service")),
        ("9:pids:/system.slice/a.service\n", Unit("a.service")),
        ("nonsense\n", None),
        ("", None),
    ],
)
def test_the_unit_of_a_process(tmp_path: Path, text: str, unit: Unit | None):
    """The unit is found with both versions of control groups, whatever is accounted for."""
    FakeProc(tmp_path).process(7, "vllm", cgroup=text)
    assert unit_of_process(str(tmp_path), 7) == unit
    assert unit_of_process(str(tmp_path), 8) is None


@pytest.mark.parametrize(
    ("message", "labels"),
    [
        (
            "chat.service: Main process exited, code=exited, status=1/FAILURE",
            {"what": "exited", "code": "exited", "status": "1"},
        ),
        (
            "chat.service: Main process exited, code=dumped, status=11/SEGV",
            {"what": "exited", "code": "dumped", "status": "SEGV"},
        ),
        (
            "chat.service: A process of this unit has been killed by the OOM killer.",
            {"what": "oom_killed"},
        ),
        ("chat.service: Failed with result 'oom-kill'.", {"what": "oom_killed"}),
        ("Stopping chat.service - vLLM...", {"what": "stopping"}),
        (
            "chat.service: Deactivated successfully.",
            {"what": "exited", "code": "exited", "status": "0"},
        ),
        ("Stopped chat.service - vLLM.", {}),
        ("chat.service: Scheduled restart job, restart counter is at 1.", {}),
        ("chat.service: Failed with result 'exit-code'.", {}),
    ],
)
def test_what_systemd_says(message: str, labels: dict[str, str]):
    """The messages of systemd about the end of a unit; a restart after an end is no stop."""
    assert labels_of(message) == labels


def test_the_command_for_several_units():
    """Units of the system and of users are followed by one `journalctl`."""
    command = journal_command({Unit("b.service", is_user=True), Unit("a.service")})
    assert command[-7:] == [
        "_SYSTEMD_UNIT=a.service",
        "+",
        "UNIT=a.service",
        "+",
        "_SYSTEMD_USER_UNIT=b.service",
        "+",
        "USER_UNIT=b.service",
    ]
