"""The host as fixture trees show it, and as this machine does."""

import os
from pathlib import Path

import psutil
import pytest

from agent.model import SeriesTable, UnavailableError
from collectors.host import HostCollector, own
from collectors.host.clock import ClockState, read_clock
from collectors.host.cpu import count_of_list
from collectors.procfs import PAGE_SIZE, TICKS, read_file
from tests.collectors.hosts import HOSTS, collector_of, shown
from tests.fakes.clock import ManualClock
from tests.fakes.samples import samples


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


async def test_server_golden(clock: ManualClock) -> None:
    """Every number of a whole host is the fixture's in base units, and no other is published."""
    table = SeriesTable()
    state = ClockState(offset=-2_500_000, estimated_error=40, status=0x2001)
    found = await shown(table, collector_of(table, HOSTS / "server", clock, state=state))
    cpu = {
        "user": 1043218,
        "nice": 2201,
        "system": 388120,
        "idle": 98214411,
        "iowait": 40311,
        "irq": 0,
        "softirq": 21877,
        "steal": 512,
    }
    expected: dict[str, float] = {
        f'host_cpu_seconds_total{{mode="{mode}"}}': ticks / TICKS for mode, ticks in cpu.items()
    }
    expected |= {
        "host_load1": 1.25,
        "host_cpus": 128,
        "host_boot_time_seconds": 1795249729,
        "host_memory_total_bytes": 1056524288 * 1024,
        "host_memory_available_bytes": 884211712 * 1024,
        "host_swap_total_bytes": 8388608 * 1024,
        "host_swap_used_bytes": 262144 * 1024,
        "host_swap_in_bytes_total": 1024 * PAGE_SIZE,
        "host_swap_out_bytes_total": 4096 * PAGE_SIZE,
        "host_oom_kills_total": 3,
        'host_pressure_seconds_total{resource="cpu",kind="some"}': 8.518941,
        'host_pressure_seconds_total{resource="memory",kind="some"}': 0.25,
        'host_pressure_seconds_total{resource="memory",kind="full"}': 0.125,
        'host_pressure_seconds_total{resource="io",kind="some"}': 3.0,
        'host_pressure_seconds_total{resource="io",kind="full"}': 1.5,
        'host_network_receive_bytes_total{interface="eth0"}': 7000000123,
        'host_network_transmit_bytes_total{interface="eth0"}': 9000000456,
        'host_network_receive_bytes_total{interface="eth1"}': 1500,
        'host_network_transmit_bytes_total{interface="eth1"}': 900,
        "host_clock_offset_seconds": -0.0025,
        "host_clock_estimated_error_seconds": 40e-6,
        "host_clock_synchronised": 1,
    }
    assert found == pytest.approx(expected)


async def test_container_leaves_out_what_it_lacks(clock: ManualClock) -> None:
    """No pressure, swap, oom_kill, CPU list or adjtimex: those are absent, the rest is there."""
    table = SeriesTable()
    found = await shown(table, collector_of(table, HOSTS / "container", clock))
    names = {name.partition("{")[0] for name in found}
    assert names == {
        "host_cpu_seconds_total",
        "host_load1",
        "host_boot_time_seconds",
        "host_memory_total_bytes",
        "host_network_receive_bytes_total",
        "host_network_transmit_bytes_total",
    }
    assert found['host_network_receive_bytes_total{interface="veth7"}'] == 640


async def test_no_procfs_is_unavailable(tmp_path: Path, clock: ManualClock) -> None:
    """A root without /proc is no host, and the message names the folder."""
    collector = collector_of(SeriesTable(), tmp_path, clock)
    with pytest.raises(UnavailableError, match=str(tmp_path / "proc")):
        await collector.collect()


async def test_layout_is_kept(clock: ManualClock) -> None:
    """The list of series is the same object while the host stays as it is."""
    collector = collector_of(SeriesTable(), HOSTS / "server", clock)
    first = await collector.collect()
    clock.advance(1)
    second = await collector.collect()
    assert second.ids is first.ids
    assert second.values is not first.values


async def test_interfaces_come_and_go(tmp_path: Path, clock: ManualClock) -> None:
    """A network card that appears is published; a virtual interface that appears is not."""
    header = (HOSTS / "server/proc/net/dev").read_text().splitlines(keepends=True)[:2]
    net = tmp_path / "proc/net/dev"
    net.parent.mkdir(parents=True)
    (tmp_path / "proc/stat").write_text((HOSTS / "server/proc/stat").read_text())

    def write(*names: str) -> None:
        net.write_text("".join([*header, *(f"{name}: {' '.join('8' * 16)}\n" for name in names)]))

    def add_card(name: str) -> None:
        (tmp_path / f"sys/class/net/{name}/device").mkdir(parents=True)

    table = SeriesTable()
    collector = collector_of(table, tmp_path, clock)
    add_card("eth0")
    write("lo", "eth0")
    before = await shown(table, collector)
    add_card("ib0")
    write("lo", "eth0", "ib0", "veth1")
    after = await shown(table, collector)
    assert {name for name in after if name not in before} == {
        'host_network_receive_bytes_total{interface="ib0"}',
        'host_network_transmit_bytes_total{interface="ib0"}',
    }


@pytest.mark.parametrize(
    ("drop", "expected"), [(0.5, 100.0), (90.0, 10.0)], ids=["jitter", "cpu taken offline"]
)
async def test_idle_time_that_steps_back(
    tmp_path: Path, clock: ManualClock, drop: float, expected: float
) -> None:
    """A small step back of the kernel's idle time is held; a large one is a real reset."""
    (tmp_path / "proc").mkdir()

    def write(idle: float) -> None:
        (tmp_path / "proc/stat").write_text(f"cpu  0 0 0 {round(idle * TICKS)} 0 0 0 0 0 0\n")

    table = SeriesTable()
    collector = collector_of(table, tmp_path, clock)
    write(100.0)
    await collector.collect()
    write(100.0 - drop)
    found = await shown(table, collector)
    assert found['host_cpu_seconds_total{mode="idle"}'] == expected


@pytest.mark.parametrize(
    ("status", "offset"), [(0x0001, 1.5), (0x2001, 0.0015)], ids=["microseconds", "nanoseconds"]
)
async def test_clock_offset_unit(clock: ManualClock, status: int, offset: float) -> None:
    """The offset is in microseconds unless the kernel says STA_NANO."""
    table = SeriesTable()
    state = ClockState(offset=1_500_000, estimated_error=7, status=status)
    found = await shown(table, collector_of(table, HOSTS / "server", clock, state=state))
    assert found["host_clock_offset_seconds"] == pytest.approx(offset)


async def test_unsynchronised_clock_has_no_error(clock: ManualClock) -> None:
    """Without a time daemon the clock is reported unsynchronised and its error as unknown."""
    table = SeriesTable()
    state = ClockState(offset=0, estimated_error=16_000_000, status=0x2040)
    found = await shown(table, collector_of(table, HOSTS / "server", clock, state=state))
    assert found["host_clock_synchronised"] == 0
    assert "host_clock_estimated_error_seconds" not in found


def test_adjtimex_layout() -> None:
    """The struct handed to the kernel has its size and order: the time in it is the present."""
    state = read_clock()()
    if state is None:
        pytest.skip("adjtimex is not allowed here")
    assert abs(state.offset) < 10**9
    assert 0 <= state.estimated_error <= 16_000_000
    assert 0 <= state.status < 1 << 16


@pytest.mark.parametrize(("text", "count"), [("0\n", 1), ("0-3\n", 4), ("0-3,8,10-11\n", 7)])
def test_cpu_list(text: str, count: int) -> None:
    """A CPU list counts single numbers and ranges."""
    assert count_of_list(text) == count


async def test_this_host_agrees_with_psutil(clock: ManualClock) -> None:
    """On the machine of the test the numbers are those that psutil reads its own way."""
    table = SeriesTable()
    collector = HostCollector(table, folders=(), monotonic=clock.monotonic, time=clock.time)
    found = samples(table, await collector.collect())
    memory = psutil.virtual_memory()
    assert found["host_memory_total_bytes"] == memory.total
    assert found["host_memory_available_bytes"] == pytest.approx(memory.available, rel=0.2)
    assert found["host_cpus"] == psutil.cpu_count()
    assert found["host_boot_time_seconds"] == pytest.approx(psutil.boot_time(), abs=2)
    assert found['host_cpu_seconds_total{mode="user"}'] <= psutil.cpu_times().user
    assert psutil.PROCFS_PATH == "/proc"


async def test_own_cost_includes_children(clock: ManualClock) -> None:
    """The agent's cost covers itself and what it started, and its CPU time never falls."""
    table = SeriesTable()
    collector = HostCollector(table, folders=(), monotonic=clock.monotonic, time=clock.time)
    alone = samples(table, await collector.collect())
    with psutil.Popen(["sleep", "60"]) as child:
        clock.advance(60)
        both = samples(table, await collector.collect())
        child.kill()
    clock.advance(60)
    after = samples(table, await collector.collect())
    assert both["agent_processes"] == alone["agent_processes"] + 1
    assert after["agent_processes"] == alone["agent_processes"]
    assert both["agent_resident_memory_bytes"] > alone["agent_resident_memory_bytes"] / 2
    assert both["agent_threads"] >= alone["agent_threads"] + 1
    assert alone["agent_open_fds"] > 2
    own = psutil.Process().cpu_times()
    assert (
        0
        < alone["agent_cpu_seconds_total"]
        <= both["agent_cpu_seconds_total"]
        <= after["agent_cpu_seconds_total"]
        <= own.user + own.system + own.children_user + own.children_system + 0.1
    )


async def test_own_cost_sees_a_child_at_once(clock: ManualClock) -> None:
    """A process that the agent starts counts from the next look on, and no longer when it ended."""
    if read_file(f"/proc/self/task/{os.getpid()}/children") is None:
        pytest.skip("this kernel does not list children")
    table = SeriesTable()
    collector = HostCollector(table, folders=(), monotonic=clock.monotonic, time=clock.time)
    alone = samples(table, await collector.collect())
    with psutil.Popen(["sleep", "60"]) as child:
        clock.advance(1)
        both = samples(table, await collector.collect())
        child.kill()
    clock.advance(1)
    after = samples(table, await collector.collect())
    assert both["agent_processes"] == alone["agent_processes"] + 1
    assert after["agent_processes"] == alone["agent_processes"]


async def test_own_processes_are_looked_at_every_five_seconds(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks at them what they held stands, and the daemon's CPU time goes on."""
    looks = iter(range(10, 20))
    monkeypatch.setattr(own, "count_fds", lambda _proc, _pid: next(looks))
    table = SeriesTable()
    collector = HostCollector(table, folders=(), monotonic=clock.monotonic, time=clock.time)
    readings = []
    for _ in range(11):
        readings.append(samples(table, await collector.collect()))
        clock.advance(1)
    assert [found["agent_open_fds"] for found in readings] == [10] * 5 + [11] * 5 + [12]
    spent = [found["agent_cpu_seconds_total"] for found in readings]
    assert sorted(spent) == spent
    assert len(set(spent)) > 3


async def test_aclose_twice(clock: ManualClock) -> None:
    """Closing twice is safe."""
    collector = collector_of(SeriesTable(), HOSTS / "server", clock)
    await collector.aclose()
    await collector.aclose()
