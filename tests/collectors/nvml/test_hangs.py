"""A driver call that never returns, and processes that end: nothing else may notice."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.model import SourceError
from collectors.nvml.supervisor import Process
from tests.fakes.nvml.controller import FOREVER, StubDriver
from tests.fakes.nvml.watched import Watched, watched

POWER = "nvmlDeviceGetPowerUsage"
WATTS = ("gpu_power_watts", "0")
SHORT = 0.4
"""Seconds until a call counts as hung: long against a look, short for a test."""


async def test_hung_call_is_killed_and_replaced(tmp_path: Path) -> None:
    """A hung call costs one deadline; its process is killed and a fresh one reads on."""
    driver = StubDriver(tmp_path)
    async with watched(driver, deadline=SHORT) as watching:
        await watching.look()
        first = watching.pid
        began = time.monotonic()
        await _hang(driver, watching)
        assert time.monotonic() - began < SHORT + 1
        driver.hangs.clear()
        driver.write()
        assert WATTS in await watching.look(2)
        assert watching.pid != first
        assert not _alive(first)
        assert watching.supervisor.abandoned == 0


async def test_at_most_two_are_abandoned(tmp_path: Path) -> None:
    """Processes that survive SIGKILL are left behind, two at most; the source then waits."""
    driver = StubDriver(tmp_path)
    spared: list[Process] = []
    async with watched(driver, deadline=SHORT, kill=spared.append) as watching:
        await watching.look()
        await _hang(driver, watching)
        await _hang_fresh_child(watching)
        assert watching.supervisor.abandoned == 2
        for _ in range(3):
            with pytest.raises(SourceError, match="2 processes hang"):
                await watching.look(100)
        assert len(spared) == 2
        # The driver comes to itself: the two find their socket closed and end, and it goes on.
        driver.hangs.clear()
        driver.write()
        for process in spared:
            process.wait(5)
        assert WATTS in await watching.look(100)
        assert watching.supervisor.abandoned == 0
        assert len(spared) == 2
        spared_last = watching.supervisor._child
        assert spared_last is not None
    spared_last.process.wait(5)


@pytest.mark.parametrize("tells", [True, False])
async def test_nothing_is_left_of_a_process_that_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, tells: bool
) -> None:
    """One that ends late leaves no zombie, and none of any age where the system cannot tell."""
    driver = StubDriver(tmp_path)
    spared: list[Process] = []
    if not tells:
        monkeypatch.delattr(os, "pidfd_open")  # as in a Python that was built for old systems
    async with watched(driver, deadline=SHORT, kill=spared.append) as watching:
        await watching.look()
        await _hang(driver, watching)
        (process,) = spared
        process.kill()
        for _ in range(500 if tells else 0):
            if not _is_there(process.pid):
                break
            await asyncio.sleep(0.01)
        if not tells:
            process.wait(5)
        assert not _is_there(process.pid)
        assert watching.supervisor.abandoned == 0


async def test_backoff_doubles(tmp_path: Path) -> None:
    """A source that keeps failing is tried after 1 s, 2 s, 4 s, and not in between."""
    driver = StubDriver(tmp_path)
    driver.faults["nvmlInitWithFlags"] = 999
    driver.write()
    async with watched(driver) as watching:
        starts = []
        for second in range(16):
            before = watching.supervisor.backoff.remaining
            with pytest.raises(SourceError, match="999"):
                await watching.look(1 if second else 0)
            if before <= 1:
                starts.append(second)
    assert starts == [0, 1, 3, 7, 15]


async def test_cancelled_look_is_taken_up_again(tmp_path: Path) -> None:
    """A look that the runtime cancels is not lost: the next one gets the same answer."""
    driver = StubDriver(tmp_path)
    async with watched(driver) as watching:
        await watching.look()
        driver.hangs[POWER] = 300
        driver.write()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await watching.look(1)
        child = watching.pid
        assert WATTS in await watching.look(1)
        assert watching.pid == child


async def test_one_slow_gpu_does_not_hide_an_xid(tmp_path: Path) -> None:
    """An XID right before a hang is reported although the call never returns."""
    driver = StubDriver(tmp_path)
    async with watched(driver, deadline=SHORT) as watching:
        await watching.look()
        await watching.listening()
        driver.hangs[POWER] = FOREVER
        driver.push_xid(0, 79)
        assert await watching.look(1) == {}
        assert watching.kinds() == ["xid"]
        with pytest.raises(SourceError, match="did not return"):
            await watching.look(0)


async def test_child_that_crashes(tmp_path: Path) -> None:
    """A crash inside the driver's library is an error of this source and is got over."""
    driver = StubDriver(tmp_path)
    async with watched(driver) as watching:
        await watching.look()
        os.kill(watching.pid, signal.SIGSEGV)
        with pytest.raises(SourceError, match=r"status -11"):
            await watching.look(1)
        assert WATTS in await watching.look(2)


async def test_close_is_quick_even_when_hung(tmp_path: Path) -> None:
    """Closing ends the child at once, also in a hung call, and may be done twice."""
    driver = StubDriver(tmp_path)
    async with watched(driver) as watching:
        await watching.look()
        child = watching.pid
        driver.hangs[POWER] = FOREVER
        driver.write()
        look = asyncio.create_task(watching.look(1))
        await asyncio.sleep(0.05)
        look.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await look
        began = time.monotonic()
        await watching.collector.aclose()
        await watching.collector.aclose()
        assert time.monotonic() - began < 1
        assert not _alive(child)


async def test_close_does_not_wait_for_what_cannot_die(tmp_path: Path) -> None:
    """Closing returns within a second although the child survives."""
    driver = StubDriver(tmp_path)
    driver.hangs[POWER] = FOREVER
    driver.write()
    spared: list[Process] = []
    async with watched(driver, kill=spared.append) as watching:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await watching.look()
        began = time.monotonic()
        await watching.collector.aclose()
        assert time.monotonic() - began < 1
    spared[0].kill()
    spared[0].wait(5)


@pytest.mark.parametrize("hung", [False, True])
def test_child_dies_with_the_agent(tmp_path: Path, *, hung: bool) -> None:
    """When the agent is killed its child ends too, even from within a hung call."""
    driver = StubDriver(tmp_path)
    if hung:
        driver.hangs[POWER] = FOREVER
        driver.write()
    script = """
import asyncio, sys, time
from collectors.nvml.supervisor import Supervisor
async def main():
    supervisor = Supervisor(monotonic=time.monotonic, deadline=60)
    asking = asyncio.create_task(supervisor.ask(7))
    await asyncio.sleep(0)
    print(supervisor._child.process.pid, flush=True)
    await asyncio.wait([asking], timeout=1)
    print("asked", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-I", "-c", script], env=driver.env(), stdout=subprocess.PIPE, text=True
    ) as agent:
        assert agent.stdout is not None
        child = int(agent.stdout.readline())
        assert agent.stdout.readline() == "asked\n"
        assert _alive(child)
        agent.kill()
    end = time.monotonic() + 5
    while _alive(child) and time.monotonic() < end:
        time.sleep(0.01)  # another process ends
    assert not _alive(child)


async def _hang(driver: StubDriver, watching: Watched) -> None:
    """Have a call hang until its process is given up."""
    driver.hangs[POWER] = FOREVER
    driver.write()
    with pytest.raises(SourceError, match="did not return"):
        await watching.look(1)


async def _hang_fresh_child(watching: Watched) -> None:
    """Have a fresh child hang and be given up, without its long first deadline."""
    asking = asyncio.create_task(watching.look(2))
    await asyncio.sleep(0.05)  # it has started a child and waits for it
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    assert watching.supervisor._child is not None
    watching.supervisor._child.deadline = asyncio.get_running_loop().time() + SHORT
    with pytest.raises(SourceError, match="did not return"):
        await watching.look(0)


def _is_there(pid: int) -> bool:
    """Return whether the kernel has an entry of a process, be it a zombie's."""
    return Path(f"/proc/{pid}").exists()


def _alive(pid: int) -> bool:
    """Return whether a process runs; one that waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")
