"""The season of demand begins with what the history holds."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from agent.analysis.demand.forecaster import DemandForecaster
from agent.analysis.demand.host import Demands, Key
from agent.analysis.demand.maturity import Maturity
from agent.analysis.demand.said import HOST
from agent.app.conclusions import Conclusions
from agent.app.demand import DemandHistory
from agent.app.past_demand import learned
from agent.catalog.capacity import DEMAND
from agent.config import Settings
from agent.config.settings import Capacity
from agent.model import Frame, SeriesTable
from agent.steps import at_once
from agent.store.history import History
from agent.store.reader import HistoryReader
from agent.store.target import Target
from tests.fakes.clock import ManualClock

START = 1_798_416_000.0
DAY = 86_400.0
TARGET = Target()


def write(path: Path, *, days: float, every: float = 60.0) -> float:
    """Write a history of two replicas of a model and one of another; return its end.

    `big` is asked for 100 and 50 tokens a minute, ten times as much from 8 to 18 o'clock; `small`
    for 7.
    """
    table = SeriesTable()
    history = History(table, clock=ManualClock(), path=path)
    ids = [
        table.intern(DEMAND, ("vllm", name, model, "0", phase))
        for name, model in (("a", "big"), ("b", "big"), ("c", "small"))
        for phase in ("total", "prompt")
    ]
    times = START + np.arange(every, days * DAY + every, every)
    for time in times.tolist():
        busy = 10.0 if 8.0 <= time % DAY / 3600.0 < 18.0 else 1.0
        values = [100.0 * busy, 1.0, 50.0 * busy, 1.0, 7.0, 1.0]
        history.append(Frame(time, table, ids, values))
        if time % 300.0 == 0:
            history.drain(10.0)
    assert history.close()
    return float(times[-1])


def read(path: Path, time: float) -> dict[Key, DemandForecaster]:
    """Return what is learned of a history."""
    with closing(HistoryReader(path, TARGET)) as reader:
        return at_once(learned(reader, time=time, horizon=300.0, hours=2))


@pytest.fixture(name="past", scope="module")
def _past(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """Return a history of some days and its end."""
    path = tmp_path_factory.mktemp("past") / "history.db"
    return path, write(path, days=2.2, every=60.0)


def test_season_and_minutes_are_learned(past: tuple[Path, float]):
    """Models are told apart, replicas added up; the time of day and the next minutes are known."""
    path, end = past
    known = read(path, end)
    assert set(known) == {("big",), ("small",), HOST}
    assert known["big",].maturity is Maturity.DAYS
    assert known["big",].days == pytest.approx(2.2, abs=0.1)
    noon = known["big",].season.expected(end - end % DAY + 12 * 3600.0)
    assert noon == pytest.approx(1500.0, rel=0.05)
    assert known[HOST].season.expected(end - end % DAY + 12 * 3600.0) == pytest.approx(
        1507.0, rel=0.05
    )
    ahead = known["small",].forecast(end, 300.0)
    assert ahead is not None
    assert ahead.estimate == pytest.approx(7.0)


def test_a_minute_that_is_cut_in_two_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whenever it is read: hours are read piece by piece, and pieces begin with a minute."""
    end = write(tmp_path / "history.db", days=3.0 / 24.0, every=15.0)
    learn, found = DemandForecaster.learn, []

    def watched(one: DemandForecaster, times: Sequence[float], values: Sequence[float]) -> None:
        found.extend(values)
        learn(one, times, values)

    monkeypatch.setattr(DemandForecaster, "learn", watched)
    read(tmp_path / "history.db", end - 17.0)
    assert {*found} == {150.0, 7.0, 157.0}
    assert len(found) > 3 * 100


def test_what_was_later_is_not_known(past: tuple[Path, float]):
    """After a clock was set back, what the history has of the future is left out."""
    path, _end = past
    known = read(path, START + DAY)
    assert known["big",].days == pytest.approx(1.0, abs=0.1)


async def run(demands: Demands, path: Path, time: float) -> list[str]:
    """Have demands read a history; return what was told."""
    told: list[str] = []
    history = DemandHistory(demands, path, target=TARGET, clock=ManualClock(), told=told.append)
    assert demands.unread
    await history.publish(Frame(time, SeriesTable(), [], []))
    assert history._reading is not None
    await history._reading
    await history.publish(Frame(time, SeriesTable(), [], []))
    await history.aclose()
    await history.aclose()
    return told


async def test_it_is_read_beside_the_loop(past: tuple[Path, float]):
    """Demands that ask for the past have it after a while, and go on from there."""
    path, end = past
    demands = Demands(dict)
    assert await run(demands, path, START + DAY / 4.0) == []
    assert not demands.unread
    assert demands._known["big",].days == pytest.approx(0.25, abs=0.01)
    assert end > START + DAY


async def test_without_a_history_all_begins_now(tmp_path: Path):
    """The first run has no history: nothing is said of it, and nothing waits."""
    demands = Demands(dict)
    assert await run(demands, tmp_path / "none.db", START) == []
    assert not demands.unread


async def test_a_history_that_cannot_be_read_is_told(tmp_path: Path):
    """A damaged file costs the season, not the agent."""
    path = tmp_path / "history.db"
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    demands = Demands(dict)
    (told,) = await run(demands, path, START)
    assert told.startswith("the season of demand begins anew: ")
    assert not demands.unread


async def test_a_past_that_nobody_understands_is_told_once(
    past: tuple[Path, float], monkeypatch: pytest.MonkeyPatch
):
    """Whatever reading it raises, demands go on without it; it is not read again every second."""

    def broken(*_given: object, **_named: object) -> NoReturn:
        raise ZeroDivisionError("no days")

    monkeypatch.setattr("agent.app.demand.learned", broken)
    demands = Demands(dict)
    assert await run(demands, past[0], START) == ["the season of demand begins anew: no days"]
    assert not demands.unread


def test_the_horizon_is_a_setting():
    """How far ahead demand is foreseen is told by the configuration, also by a later one."""
    conclusions = Conclusions(Settings(capacity=Capacity(horizon=600.0)))
    assert conclusions.capacity()["demand"]["horizon_seconds"] == 600.0
    conclusions.use(Settings())
    assert conclusions.capacity()["demand"]["horizon_seconds"] == 300.0


async def test_the_end_of_the_agent_does_not_wait_for_it(past: tuple[Path, float]):
    """Closed while it reads, it ends after the piece that it is at."""
    path, end = past
    demands = Demands(dict)
    history = DemandHistory(demands, path, target=TARGET, clock=ManualClock(), told=print)
    await history.publish(Frame(end, SeriesTable(), [], []))
    await asyncio.wait_for(history.aclose(), 5.0)
    assert demands._known == {}
