"""What goes on around an engine, whatever the driver says."""

import math

import pytest

from agent.analysis.replicas import GpuKey, Replicas
from agent.analysis.surroundings import Surroundings, surroundings
from agent.analysis.window import Window
from agent.catalog import engine, gpu, process
from agent.model import Frame, SeriesTable
from tests.agent.analysis.views import REPLICA, START, view_of

CARDS: tuple[GpuKey, ...] = (("0", "GPU-0", ""), ("1", "GPU-1", ""))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("highest", "clock"), [(0.0, math.nan), (2000.0, 0.6)])
def test_a_clock_without_a_limit_is_no_share(highest: float, clock: float) -> None:
    """A driver that gives no highest clock gives 0; else it is the share of the slowest GPU."""
    table = SeriesTable()
    given = {
        table.intern(engine.REQUESTS_RUNNING, REPLICA): 1.0,
        table.intern(gpu.SM_CLOCK, CARDS[0]): 1800.0,
        table.intern(gpu.SM_CLOCK, CARDS[1]): 1200.0,
        table.intern(gpu.SM_CLOCK_MAX, CARDS[0]): highest,
        table.intern(gpu.SM_CLOCK_MAX, CARDS[1]): highest,
    }
    window = Window({table[number].metric for number in given})
    ids = [*given]
    for second in range(20):
        window.append(Frame(START + second, table, ids, [*given.values()]))
    replicas = Replicas(window, lambda *_replica: CARDS)
    view = replicas.views(table)[REPLICA]
    assert surroundings(view).clock == pytest.approx(clock, nan_ok=True)


def test_waits_for_a_cpu_and_a_quota() -> None:
    """Shares of the last seconds: of the time by role, and of the periods of the quota."""
    own = REPLICA[:2]
    seconds = range(30)
    view = view_of(
        {(engine.REQUESTS_RUNNING, ""): [1.0 for _ in seconds]},
        host={
            (process.CPU_WAIT, (*own, "core")): [10.0 + 0.8 * second for second in seconds],
            (process.CPU_WAIT, (*own, "server")): [0.25 * second for second in seconds],
            (process.CPU_WAIT, (*own, "worker")): [math.nan for _ in seconds],
            (process.CGROUP_CPU_PERIODS, own): [10.0 * second for second in seconds],
            (process.CGROUP_CPU_THROTTLED_PERIODS, own): [9.0 * second for second in seconds],
            (process.CGROUP_CPU_LIMIT, own): [0.5 for _ in seconds],
        },
    )
    found = surroundings(view)
    assert found.waits == pytest.approx({"core": 0.8, "server": 0.25})
    assert found.starved == pytest.approx(0.8)
    assert found.throttled == pytest.approx(0.9)
    assert found.quota == 0.5


def test_no_quota_and_no_counted_waits() -> None:
    """What is not known is not zero; a quota in whose periods nothing ran was not used up."""
    own = REPLICA[:2]
    view = view_of(
        {(engine.REQUESTS_RUNNING, ""): [1.0] * 5},
        host={(process.CGROUP_CPU_PERIODS, own): [7.0] * 5},
    )
    found = surroundings(view)
    assert found.waits == {}
    assert (found.starved, found.held_up) == (0.0, 0.0)
    assert math.isnan(found.throttled)
    assert math.isnan(found.quota)


@pytest.mark.parametrize(
    ("waits", "starved", "held_up"),
    [
        ({"core": 0.9}, 0.9, 0.9),
        ({"core": 0.9, "worker": 0.36}, 0.26, 0.36),
        ({"core": 0.9, "worker": 0.95}, 0.85, 0.9),
        ({"core": 0.3, "worker": 0.4}, 0.0, 0.3),
        ({"core": 0.9, "worker": 0.1, "server": 0.6}, 0.6, 0.6),
        ({"other": 0.9}, 0.0, 0.0),
    ],
)
def test_who_asks_again_and_again_loses_nothing_by_waiting(
    waits: dict[str, float], starved: float, held_up: float
) -> None:
    """A core that spins while its worker works was seen to wait in 90 % of the time, unharmed."""
    found = Surroundings(waits=waits)
    assert (found.starved, found.held_up) == (pytest.approx(starved), pytest.approx(held_up))
