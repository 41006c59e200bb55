"""What is too old or too much goes, and nothing else."""

from contextlib import closing
from pathlib import Path

from agent.store.reader import HistoryReader
from agent.store.target import Target
from agent.store.writer import Limits
from tests.agent.store.agents import START, Agent, kept_of
from tests.fakes.history import FULL, frame, named, series


def test_a_jump_of_the_clock_to_another_year_deletes_nothing(tmp_path: Path):
    """What seems a year old is kept for an hour; put right in time, the clock costs nothing."""
    path = tmp_path / "history.db"
    agent = Agent(path)
    agent.run(START, 900)
    agent.run(START + 365 * 86400, 900)
    agent.run(START + 900, 900)
    agent.close()
    assert [time for time in kept_of(path) if time < START + 1800] == [
        START + 10 * tick for tick in range(180)
    ]


def test_what_is_too_old_goes_full_resolution_first(tmp_path: Path):
    """By age: full resolution after its time, the windows after theirs, series with them."""
    path = tmp_path / "history.db"
    limits = Limits(full_age=3600.0, five_age=7200.0)
    agent = Agent(path, limits=limits)
    agent.run(START, 4 * 3600, step=60)
    now = START + 4 * 3600
    agent.close()
    stored = agent.history.status.stored
    assert stored.full is not None
    assert stored.five is not None
    assert now - 3600 - 600 <= stored.full[0] / 1000 <= now - 3600 + 300
    assert now - 7200 - 600 <= stored.five[0] / 1000 <= now - 7200 + 300
    with closing(HistoryReader(path, Target())) as reader:
        (found,) = reader.select(named(FULL), now - 7200, now)[:1]
    assert len([time for time in found.times if time > now - 3000]) == 49
    assert len([time for time in found.times if time < now - 4500]) < 12


def test_what_is_too_much_goes_oldest_first(tmp_path: Path):
    """By size: the file stays near its limit, and what is left is the newest."""
    path = tmp_path / "history.db"
    limit = 400_000
    agent = Agent(path, limits=Limits(max_size=limit))
    agent.run(START, 12 * 3600, count=100, step=60)
    agent.close()
    stored = agent.history.status.stored
    assert stored.size < 1.3 * limit
    assert stored.full is not None
    assert stored.full[0] / 1000 > START + 3600
    assert stored.full[1] / 1000 > START + 12 * 3600 - 400


def test_series_of_which_nothing_is_left_are_forgotten(tmp_path: Path):
    """Processes come and go for weeks; the table of series holds those of the days kept."""
    path = tmp_path / "history.db"
    agent = Agent(path, limits=Limits(full_age=3600.0, five_age=86400.0))
    for day in range(8):
        ids = {series(agent.table, FULL, f"{day}-{name}"): 1.0 for name in range(10)}
        for second in range(0, 86400, 1800):
            agent.history.append(frame(agent.table, START + day * 86400 + second, ids))
            assert agent.history.drain(10.0)
    agent.close()
    assert agent.history.status.stored.series <= 41
