"""Engines are found by their command lines, and nothing else is taken for one."""

import asyncio
import contextlib
import sys
import threading
from pathlib import Path

import pytest

from agent.config import EngineInstance
from agent.model import SeriesTable, SourceError, UnavailableError
from collectors import discovery as module
from collectors.discovery import FULL_WALK_INTERVAL, YOUNG, Discovery
from collectors.engines import ENGINES
from collectors.engines.profile import Fact
from collectors.procfs import TICKS
from tests.fakes.clock import ManualClock
from tests.fakes.proc import FakeProc
from tests.fakes.samples import samples

BOOTED = 1_700_000_000


class World:
    """A host of processes, and a discovery that looks at it."""

    def __init__(self, root: Path, *configured: EngineInstance) -> None:
        self.root = root
        self.proc = FakeProc(root)
        (root / "stat").write_text(f"cpu 1 2 3\nbtime {BOOTED}\n")
        self.clock = ManualClock()
        self.table = SeriesTable()
        self.changes = 0
        self.discovery = Discovery(
            engines=ENGINES,
            table=self.table,
            clock=self.clock,
            configured=configured,
            forget_after=600.0,
            proc=root,
            on_change=self.changed,
        )

    def changed(self) -> None:
        """Count a change."""
        self.changes += 1

    def start(self, pid: int, command: str, *, ppid: int = 1, start: int = 1000) -> None:
        """Start a process; words of the command line are separated by spaces."""
        self.proc.process(pid, command.split(maxsplit=1)[0][-15:], ppid=ppid, start=start)
        (self.root / str(pid) / "cmdline").write_bytes(
            b"".join(word.encode() + b"\0" for word in command.split())
        )

    async def urls(self) -> dict[str, str]:
        """Look, and return address by name."""
        await self.discovery.collect()
        return {target.name: target.url for target in self.discovery.targets}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a host without engines."""
    host = World(tmp_path)
    host.start(1, "/sbin/init")
    host.start(2, "python3 -m http.server 8000")
    return host


async def test_engines_of_all_kinds_are_found_where_they_listen(world: World) -> None:
    """Each server becomes a target named after engine and port, at an address of this host."""
    world.start(10, "/usr/bin/python3 /usr/local/bin/vllm serve m --port=8001 --host 0.0.0.0")
    world.start(11, "python3 -m vllm.entrypoints.openai.api_server --model m")
    world.start(12, "/opt/llama.cpp/llama-server -m x.gguf --port 8081")
    world.start(13, "llama-server --host /run/llama.sock")
    world.start(14, "vllm serve m --uds /run/vllm.sock")
    assert await world.urls() == {
        "vllm-8001": "http://127.0.0.1:8001",
        "vllm-8000": "http://127.0.0.1:8000",
        "llamacpp-8081": "http://127.0.0.1:8081",
        "llamacpp-llama": "http://localhost",
        "vllm-vllm": "http://localhost",
    }
    sockets = {target.name: target.unix_socket for target in world.discovery.targets}
    assert sockets["llamacpp-llama"] == Path("/run/llama.sock")
    assert sockets["vllm-8000"] is None
    reading = await world.discovery.collect()
    assert samples(world.table, reading) == {
        'discovered_engines{engine="vllm"}': 3.0,
        'discovered_engines{engine="llamacpp"}': 2.0,
    }


async def test_wrappers_and_workers_are_not_servers(world: World) -> None:
    """Of `uv run`, the server, its forked children and its engine cores, only the server counts."""
    world.start(20, "uv run vllm serve m --port 8001")
    world.start(21, "/v/bin/python /v/bin/vllm serve m --port 8001", ppid=20)
    world.start(22, "/v/bin/python /v/bin/vllm serve m --port 8001", ppid=21)
    world.start(23, "/bin/sh -c worker", ppid=21)
    world.start(24, "/v/bin/python /v/bin/vllm serve m --port 8001", ppid=23)
    world.start(25, "VLLM::EngineCore", ppid=21)
    world.start(26, "VLLM::APIServer_0", ppid=21)
    assert await world.urls() == {"vllm-8001": "http://127.0.0.1:8001"}
    assert [process.pid for process in world.discovery.processes] == [21]


async def test_a_server_started_by_a_server_at_another_port_counts(world: World) -> None:
    """llama-server as a router starts one child a model, each at a port of its own."""
    world.start(20, "llama-server --port 8080")
    world.start(21, "llama-server --port 9001 -m a.gguf", ppid=20)
    assert set(await world.urls()) == {"llamacpp-8080", "llamacpp-9001"}


async def test_two_servers_at_one_port_have_names_of_their_own(world: World) -> None:
    """Containers may use the same port number; the later process is named with its number."""
    world.start(30, "vllm serve a")
    world.start(31, "vllm serve b")
    assert set(await world.urls()) == {"vllm-8000", "vllm-8000-31"}


async def test_a_young_process_may_still_become_an_engine(world: World) -> None:
    """A shell that replaces itself with an engine is found without waiting for a full walk."""
    world.start(40, "/bin/sh start.sh")
    assert await world.urls() == {}
    world.start(40, "vllm serve m")
    world.clock.advance(YOUNG - 1)
    assert set(await world.urls()) == {"vllm-8000"}


async def test_old_processes_are_read_again_only_once_a_minute(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between full walks a look reads nothing of processes that have been there for a while."""
    read: list[str] = []

    def reading(path: str) -> bytes | None:
        read.append(path)
        return Path(path).read_bytes()

    await world.discovery.collect()
    world.clock.advance(YOUNG + 1)
    monkeypatch.setattr(module, "read_file", reading)
    await world.discovery.collect()
    assert read == []
    world.start(50, "vllm serve m")
    await world.discovery.collect()
    assert read == [f"{world.root}/50/cmdline"]
    read.clear()
    world.clock.advance(FULL_WALK_INTERVAL)
    await world.discovery.collect()
    assert {Path(path).parent.name for path in read} == {"1", "2", "50"}


async def test_a_number_given_twice_is_another_process(world: World) -> None:
    """A process with the number of an engine that ended is not taken for it."""
    world.start(60, "vllm serve m")
    await world.discovery.collect()
    world.clock.advance(YOUNG + 1)
    world.start(60, "vim notes", start=9000)
    await world.discovery.collect()
    assert world.discovery.processes == []


async def test_a_server_that_overwrites_its_command_line_stays(world: World) -> None:
    """What was recognised once remains known while the process lives."""
    world.start(60, "vllm serve m --port 8001")
    await world.discovery.collect()
    world.start(60, "VLLM::Server")
    world.clock.advance(FULL_WALK_INTERVAL)
    assert set(await world.urls()) == {"vllm-8001"}


async def test_an_engine_that_ends_stays_a_target_for_a_while(world: World) -> None:
    """A crash must be seen as an engine that is down, so it is forgotten only later."""
    world.start(70, "vllm serve m")
    await world.discovery.collect()
    (target,) = world.discovery.targets
    world.proc.end(70)
    reading = await world.discovery.collect()
    assert [(event.kind, event.labels["instance_name"]) for event in reading.events] == [
        ("engine_ended", "vllm-8000")
    ]
    assert world.discovery.targets == [target]
    assert world.discovery.process_of(target) is None
    world.clock.advance(599)
    assert set(await world.urls()) == {"vllm-8000"}
    world.clock.advance(2)
    assert await world.urls() == {}


async def test_a_restarted_engine_is_the_same_target(world: World) -> None:
    """The name and the address outlive the process."""
    world.start(70, "vllm serve m")
    await world.discovery.collect()
    world.proc.end(70)
    await world.discovery.collect()
    world.start(71, "vllm serve m", start=5000)
    assert await world.urls() == {"vllm-8000": "http://127.0.0.1:8000"}
    process = world.discovery.process_of(world.discovery.targets[0])
    assert process is not None
    assert (process.pid, process.start_time) == (71, BOOTED + 5000 / TICKS)


async def test_a_change_is_told_once(world: World) -> None:
    """The callback comes when targets or processes changed, and only then."""
    await world.discovery.collect()
    assert world.changes == 0
    world.start(80, "vllm serve m")
    reading = await world.discovery.collect()
    assert world.changes == 1
    assert [event.kind for event in reading.events] == ["engine_discovered"]
    assert (await world.discovery.collect()).events == []
    assert world.changes == 1


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://localhost:8000", "https://[::1]:8000/base"]
)
async def test_a_configured_engine_takes_the_facts_of_its_process(tmp_path: Path, url: str) -> None:
    """An address of this host with the port of a process is that process, not a second target."""
    instance = EngineInstance(name="chat", engine="vllm", url=url)
    world = World(tmp_path, instance)
    world.start(90, "vllm serve m --max-num-seqs 64")
    assert await world.urls() == {}
    process = world.discovery.process_of(instance)
    assert process is not None
    assert process.facts[Fact.MAX_NUM_SEQS] == "64"


@pytest.mark.parametrize(
    ("engine", "url"),
    [
        ("vllm", "http://10.0.0.9:8000"),
        ("vllm", "http://127.0.0.1:8001"),
        ("llamacpp", "http://127.0.0.1:8000"),
    ],
)
async def test_a_configured_engine_elsewhere_is_not_the_local_process(
    tmp_path: Path, engine: str, url: str
) -> None:
    """Another host, port or engine is another server."""
    instance = EngineInstance(name="chat", engine=engine, url=url)
    world = World(tmp_path, instance)
    world.start(90, "vllm serve m")
    assert set(await world.urls()) == {"vllm-8000"}
    assert world.discovery.process_of(instance) is None


async def test_a_secret_on_the_command_line_is_not_kept(world: World) -> None:
    """An API key appears in nothing that discovery hands out."""
    world.start(95, "vllm serve m --api-key hunter2 --port 8001")
    world.start(96, "llama-server --api-key=hunter2 -m x")
    reading = await world.discovery.collect()
    shown = repr(
        (reading, world.discovery.targets, world.discovery.processes, vars(world.discovery))
    )
    assert "vllm" in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    "arguments",
    [
        "--host [x --port 9823",
        "--host [::1]",
        "--port " + "9" * 5000,
        "--max-num-seqs " + "9" * 5000,
        "--max-model-len " + "9" * 400 + "k",
    ],
)
async def test_an_odd_command_line_blinds_nobody(tmp_path: Path, arguments: str) -> None:
    """What one user starts does not keep the others' engines from being found and followed."""
    configured = EngineInstance(name="chat", engine="vllm", url="http://127.0.0.1:8001")
    world = World(tmp_path, configured)
    world.start(80, f"./vllm serve m {arguments}")
    world.start(81, "vllm serve m --port 8001")
    world.start(82, "vllm serve m --port 8002")
    assert "vllm-8002" in await world.urls()
    followed = world.discovery.process_of(configured)
    assert followed is not None
    assert followed.pid == 81


async def test_a_process_that_cannot_be_understood_is_skipped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error over one process, or a file of it that is no such file, costs that one alone."""
    world.start(80, "vllm serve m --port 8001")
    world.start(81, "vllm serve m --port 8002")
    (world.root / "80" / "stat").write_text("80 (")

    def broken(path: str) -> bytes | None:
        if "/2/" in path:
            raise OSError(5, "Input/output error")
        return Path(path).read_bytes()

    monkeypatch.setattr(module, "read_file", broken)
    assert set(await world.urls()) == {"vllm-8002"}


async def test_a_command_line_that_hangs_takes_discovery_down_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that does not return leaves the loop free; later looks say which process it is."""
    world.start(80, "vllm serve m")
    assert set(await world.urls()) == {"vllm-8000"}
    released = threading.Event()

    def hung(path: str) -> bytes | None:
        if "/81/" in path:
            released.wait(30)
        return Path(path).read_bytes()

    monkeypatch.setattr(module, "read_file", hung)
    world.start(81, "vllm serve m --port 8001")
    begun = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await world.discovery.collect()
    with pytest.raises(SourceError, match="process 81 does not return"):
        await world.discovery.collect()
    assert asyncio.get_running_loop().time() - begun < 5
    assert [target.name for target in world.discovery.targets] == ["vllm-8000"]
    released.set()
    for _ in range(500):
        with contextlib.suppress(SourceError):
            if set(await world.urls()) == {"vllm-8000", "vllm-8001"}:
                return
        await asyncio.sleep(0.01)
    raise AssertionError("the engine behind the hung read was never found")


async def test_no_procfs_is_unavailable(tmp_path: Path) -> None:
    """Without procfs the source is absent, not broken."""
    world = World(tmp_path)
    discovery = Discovery(
        engines=ENGINES, table=world.table, clock=world.clock, proc=tmp_path / "none"
    )
    with pytest.raises(UnavailableError, match="cannot be listed"):
        await discovery.collect()


async def test_a_real_process_is_found(tmp_path: Path) -> None:
    """On the real /proc, a process with the command line of an engine is found and has ended."""
    script = tmp_path / "vllm"
    script.write_text("import sys\nprint(flush=True)\nsys.stdin.read()\n")
    discovery = Discovery(engines=ENGINES, table=SeriesTable(), clock=ManualClock())
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), "serve", "m", "--port", "1234", "--max-num-seqs=7"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    await child.stdout.readline()
    await discovery.collect()
    found = [process for process in discovery.processes if process.pid == child.pid]
    await asyncio.wait_for(child.communicate(b""), 10)
    assert [process.port for process in found] == [1234]
    assert found[0].facts[Fact.MAX_NUM_SEQS] == "7"
    assert abs(found[0].start_time - script.stat().st_mtime) < 60
    await discovery.collect()
    assert child.pid not in [process.pid for process in discovery.processes]
    await discovery.aclose()
    await discovery.aclose()


async def test_another_discovery_goes_on_with_what_was_found(tmp_path: Path) -> None:
    """A reload forgets no engine that has just ended, and gives none another name or start.

    The alert about the one would be told as over, and the other would seem to be restarted.
    """
    world = World(tmp_path)
    world.start(7, "vllm serve big --port 8000")
    world.start(8, "vllm serve small --port 8001")
    world.start(9, "vllm serve third --port 8002")
    await world.urls()
    before = {process.pid: process for process in world.discovery.processes}
    (tmp_path / "7" / "cmdline").unlink()
    (tmp_path / "7" / "stat").unlink()
    (tmp_path / "7").rmdir()
    assert set(await world.urls()) == {"vllm-8000", "vllm-8001", "vllm-8002"}
    (tmp_path / "stat").write_text(f"cpu 1 2 3\nbtime {BOOTED + 5}\n")  # the clock was set
    configured = EngineInstance(name="third", engine="vllm", url="http://127.0.0.1:8002")
    after = Discovery(
        engines=ENGINES,
        table=world.table,
        clock=world.clock,
        configured=(configured,),
        forget_after=600.0,
        proc=tmp_path,
        found=world.discovery.found,
    )
    await after.collect()
    assert [target.name for target in after.targets] == ["vllm-8000", "vllm-8001"]
    assert {process.pid: process for process in after.processes} == {8: before[8], 9: before[9]}
    world.clock.advance(601.0)
    await after.collect()
    assert [target.name for target in after.targets] == ["vllm-8001"]
