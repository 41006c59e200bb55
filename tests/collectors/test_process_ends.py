"""How processes end that are held, with a kernel of the test and with that of this machine."""

import asyncio
import errno
import os
import signal
import subprocess
import sys

import pytest

from agent.model import SeriesTable
from collectors.pidfd import Held, hold
from collectors.process_ends import MOST, OUTLIVES, End, ProcessEnds
from collectors.processes import EngineProcessRef, ProcessesCollector
from collectors.procfs import ProcessStat, process_stat
from tests.fakes.clock import ManualClock

CHAT = ("vllm", "chat")
ENDLESS = "import signal; signal.pause()"


def own() -> ProcessStat:
    """Return this process, which is there all the time."""
    stat = process_stat("/proc", os.getpid())
    assert stat is not None
    return stat


class _Held(Held):
    """A process whose end the test decides on."""

    def __init__(self) -> None:
        self.code: int | OSError | None = None
        self.closed = False

    def exit_code(self) -> int | None:
        """Return or raise what the test says."""
        if isinstance(self.code, OSError):
            raise self.code
        return self.code

    def close(self) -> None:
        """Take note of it."""
        self.closed = True


class Watching:
    """Process ends over this process, which the test lets end as it likes."""

    def __init__(self) -> None:
        self.held: list[_Held] = []
        self.ends = ProcessEnds("/proc", hold=self._hold)

    def _hold(self, _pid: int) -> Held:
        self.held.append(_Held())
        return self.held[-1]

    def look(self, *, role: str | None, now: float = 0.0) -> list[End]:
        """Return what ended, at a look that shows the process in a role or does not show it."""
        self.ends.follow({} if role is None else {CHAT: [(own(), role)]})
        return self.ends.ended(now)


@pytest.mark.parametrize(
    ("code", "name", "status"),
    [(9, "KILL", None), (11 | 0x80, "SEGV", None), (0, "", 0), (3 << 8, "", 3), (40, "40", None)],
)
def test_an_end_is_told_once(code: int, name: str, status: int | None) -> None:
    """By signal or status, in the role that the process had, when it is no longer there."""
    watching = Watching()
    assert watching.look(role="other") == []
    assert watching.look(role="core") == []
    (held,) = watching.held
    held.code = code
    assert watching.look(role="core") == []
    assert watching.look(role=None) == [End(CHAT, "core", own().pid, name, status)]
    assert held.closed
    assert watching.look(role=None) == []


def test_a_process_that_left_its_engine_is_watched_on_for_a_while() -> None:
    """Its parent may have ended before it; what never ends is let go of."""
    watching = Watching()
    watching.look(role="core")
    assert watching.look(role=None, now=1.0) == []
    (held,) = watching.held
    assert not held.closed
    assert watching.look(role=None, now=1.0 + OUTLIVES) == []
    assert held.closed


def test_a_kernel_that_does_not_say() -> None:
    """An end of which nothing can be learned is not told."""
    watching = Watching()
    watching.look(role="core")
    watching.held[0].code = OSError(errno.ESRCH, "no such process")
    assert watching.look(role=None) == []


@pytest.mark.parametrize(("proc", "start"), [("/host/proc", 0), ("/proc", 1)])
def test_what_is_not_surely_the_process_is_not_held(proc: str, start: int) -> None:
    """Numbers in a procfs of another place are of another namespace; numbers are given again."""
    held: list[int] = []

    def take(pid: int) -> None:
        held.append(pid)

    ends = ProcessEnds(proc, hold=take)
    stat = own()
    other = ProcessStat(stat.pid, stat.comm, 1, 0.0, 1, stat.start_ticks + start, 0)
    for _look in range(3):
        ends.follow({CHAT: [(other, "core")]})
        assert ends.ended(0.0) == []
    assert len(held) == (proc == "/proc")


def test_no_more_are_held_than_a_bound() -> None:
    """An engine that starts thousands of processes does not use up the agent's descriptors."""
    watching = Watching()
    last = process_stat("/proc", 1)
    assert last is not None
    watching.ends.follow({CHAT: [(own(), "core")] * MOST + [(last, "core")]})
    assert len(watching.held) == 1
    watching.ends.close()
    assert all(held.closed for held in watching.held)


def _kernel_tells() -> bool:
    """Return whether this kernel tells of the end of a process that was held."""
    with subprocess.Popen([sys.executable, "-c", ENDLESS]) as child:
        held = hold(child.pid)
        child.kill()
        child.wait()
        try:
            return held is not None and held.exit_code() is not None
        except OSError:
            return False


@pytest.mark.skipif(not _kernel_tells(), reason="needs Linux 6.15, which tells of ends")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, 3])
async def test_a_process_of_this_machine(how: signal.Signals | int) -> None:
    """A process that is killed, asked to end or exits is told as an event with how it ended."""
    program = ENDLESS if isinstance(how, signal.Signals) else f"input(); raise SystemExit({how})"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=subprocess.PIPE, process_group=0
    )
    refs = [EngineProcessRef(instance_name="chat", engine="vllm", pid=child.pid)]
    clock = ManualClock()
    collector = ProcessesCollector(
        SeriesTable(),
        engine_processes=lambda: refs,
        monotonic=clock.monotonic,
        time=clock.time,
    )
    assert (await collector.collect()).events == []
    if isinstance(how, signal.Signals):
        child.send_signal(how)
    await child.communicate(b"\n")
    refs.clear()
    (event,) = (await collector.collect()).events
    await collector.aclose()
    assert event.kind == "engine_process_ended"
    assert event.time == clock.time()
    name = how.name.removeprefix("SIG") if isinstance(how, signal.Signals) else ""
    status = "" if isinstance(how, signal.Signals) else str(how)
    assert event.labels == {
        "engine": "vllm",
        "instance_name": "chat",
        "process": "server",
        "pid": str(child.pid),
        "signal": name,
        "status": status,
    }


@pytest.mark.skipif(not _kernel_tells(), reason="needs Linux 6.15, which tells of ends")
async def test_an_end_is_told_of_the_instance_as_it_is_called_then() -> None:
    """Who gives an engine a name of its own, by a reload, is told how that one ended."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", ENDLESS)
    refs = [EngineProcessRef(instance_name="vllm-8000", engine="vllm", pid=child.pid)]
    clock = ManualClock()
    collector = ProcessesCollector(
        SeriesTable(), engine_processes=lambda: refs, monotonic=clock.monotonic, time=clock.time
    )
    await collector.collect()
    refs[0] = EngineProcessRef(instance_name="chat", engine="vllm", pid=child.pid)
    await collector.collect()
    child.kill()
    await child.wait()
    refs.clear()
    (event,) = (await collector.collect()).events
    await collector.aclose()
    assert event.labels["instance_name"] == "chat"
