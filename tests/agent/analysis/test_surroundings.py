"""What goes on around an engine, whatever the driver says."""

import math

import pytest

from agent.analysis.replicas import GpuKey, Replicas
from agent.analysis.surroundings import surroundings
from agent.analysis.window import Window
from agent.catalog import engine, gpu
from agent.model import Frame, SeriesTable
from tests.agent.analysis.views import REPLICA, START

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
