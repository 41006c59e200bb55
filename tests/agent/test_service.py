"""The service manager and the clock of the machine."""

import asyncio
import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.service import ServiceManager, SystemClock


class _Manager:
    """The receiving end of the notifications, as systemd has it."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def messages(self) -> list[list[str]]:
        """Return the datagrams that arrived, each as its lines."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return found


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return where the manager listens."""
    return str(tmp_path / "notify")


@pytest.fixture
def manager(path: str) -> Iterator[_Manager]:
    """Return a manager that listens."""
    found = _Manager(path)
    yield found
    found.socket.close()


def test_ready_at_the_first_tick(manager: _Manager, path: str):
    """The service is ready when its first tick is complete, and not before."""
    service = ServiceManager({"NOTIFY_SOCKET": path})
    assert manager.messages() == []
    service.tick(100.0, lambda: "12 series")
    assert manager.messages() == [["READY=1", "STATUS=12 series"]]


@pytest.mark.parametrize(
    ("watchdog", "interval", "longest"), [(30.0, 1.0, 8.0), (2.0, 1.0, 1.0), (600.0, 10.0, 30.0)]
)
def test_the_watchdog_is_fed_in_time(
    manager: _Manager, path: str, watchdog: float, interval: float, longest: float
):
    """While ticks complete the watchdog hears of it at least twice in its time, not each tick."""
    environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": str(int(watchdog * 1e6))}
    service = ServiceManager(environment)
    fed = []
    for tick in range(100):
        service.tick(tick * interval, lambda: "well")
        for message in manager.messages():
            assert message[0] == ("WATCHDOG=1" if fed else "READY=1")
            fed.append(tick * interval)
    gaps = [later - earlier for earlier, later in itertools.pairwise(fed)]
    assert max(gaps) == longest
    assert longest <= watchdog / 2


def test_rare_ticks_have_a_patient_watchdog(manager: _Manager, path: str):
    """A watchdog shorter than four ticks is lengthened, and is still fed twice in its time."""
    service = ServiceManager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000000"})
    service.expect(60.0)
    service.expect(1.0)
    assert manager.messages() == [["WATCHDOG_USEC=240000000"], ["WATCHDOG_USEC=30000000"]]
    service.expect(60.0)
    for tick in range(10):
        service.tick(60.0 * tick, lambda: "well")
    words = [message[0] for message in manager.messages()[1:]]
    assert words == ["READY=1", *["WATCHDOG=1"] * 9]


def test_no_watchdog_is_none_to_lengthen(manager: _Manager, path: str):
    """Without a watchdog there is nothing to tell of the interval."""
    ServiceManager({"NOTIFY_SOCKET": path}).expect(60.0)
    assert manager.messages() == []


def test_status_is_renewed_without_a_watchdog(manager: _Manager, path: str):
    """Without a watchdog the status line is still renewed now and then."""
    service = ServiceManager({"NOTIFY_SOCKET": path})
    for second in range(61):
        service.tick(float(second), lambda now=second: f"{now} s")
    statuses = [message[1] for message in manager.messages()]
    assert statuses == ["STATUS=0 s", "STATUS=30 s", "STATUS=60 s"]


def test_reload_and_stop(manager: _Manager, path: str):
    """A reload is told with the monotonic time that systemd wants; then its end; then the stop."""
    service = ServiceManager({"NOTIFY_SOCKET": path})
    service.tick(12.0, lambda: "well")
    service.reloading(12.5)
    service.reloaded()
    service.stopping()
    assert manager.messages()[1:] == [
        ["RELOADING=1", "MONOTONIC_USEC=12500000"],
        ["READY=1"],
        ["STOPPING=1"],
    ]


def test_a_reload_before_the_first_tick_makes_nothing_ready(manager: _Manager, path: str):
    """What was asked for while the agent starts is no reason to call it started."""
    service = ServiceManager({"NOTIFY_SOCKET": path})
    service.reloading(0.5)
    service.reloaded()
    assert manager.messages() == []
    service.tick(1.0, lambda: "well")
    assert manager.messages() == [["READY=1", "STATUS=well"]]


def test_abstract_address(tmp_path: Path):
    """An address that begins with @ lies in the abstract namespace."""
    name = f"inferwatch-{tmp_path.name}"
    found = _Manager("\0" + name)
    ServiceManager({"NOTIFY_SOCKET": "@" + name}).stopping()
    assert found.messages() == [["STOPPING=1"]]
    found.socket.close()


def test_ready_is_said_again_when_it_was_not_heard(path: str):
    """A manager that could not take the word at first hears it at a later tick."""
    service = ServiceManager({"NOTIFY_SOCKET": path})
    service.tick(1.0, lambda: "well")
    late = _Manager(path)
    service.tick(2.0, lambda: "well")
    service.tick(3.0, lambda: "well")
    assert late.messages() == [["READY=1", "STATUS=well"]]
    late.socket.close()


def test_a_manager_that_does_not_read_blocks_nothing(manager: _Manager, path: str):
    """When the socket is full, messages are dropped and the tick goes on."""
    service = ServiceManager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "4"})
    for second in range(5000):
        service.tick(float(second), lambda: "x" * 2000)
    assert 0 < len(manager.messages()) < 5000


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"WATCHDOG_USEC": ""}])
def test_silent_without_systemd(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """Without a service manager nothing is sent anywhere."""
    monkeypatch.setattr(socket, "socket", None)
    service = ServiceManager(environment)
    service.tick(1.0, lambda: "well")
    service.reloading(1.0)
    service.reloaded()
    service.stopping()


def test_the_environment_of_the_process_is_used(
    manager: _Manager, path: str, monkeypatch: pytest.MonkeyPatch
):
    """Without an argument the variables of the process count."""
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    ServiceManager().stopping()
    assert manager.messages() == [["STOPPING=1"]]


def test_system_clock():
    """The clocks go forward, and sleep lets at least that much time pass."""
    clock = SystemClock()
    before, wall = clock.monotonic(), clock.time()
    asyncio.run(clock.sleep(0.001))
    assert clock.monotonic() - before >= 0.001
    assert clock.time() >= wall > 1_700_000_000
