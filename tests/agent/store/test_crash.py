"""Killed at any moment, the agent leaves a history that can be read and gone on with."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from agent.model import SeriesTable
from agent.store.history import History
from agent.store.reader import HistoryReader
from agent.store.target import Target
from tests.fakes.clock import ManualClock
from tests.fakes.history import EVERYTHING, FULL, frame, named, series

ROOT = Path(__file__).parents[3]

# Says on standard output which tick it writes; the value of each series at a tick is its time.
WRITER = """
import sys
from pathlib import Path
from agent.model import SeriesTable
from agent.store.history import History
from tests.fakes.clock import ManualClock
from tests.fakes.history import FULL, frame, series

table = SeriesTable()
history = History(table, clock=ManualClock(), path=Path(sys.argv[1]), told=lambda text: None)
start = int(sys.argv[2])
ids = [series(table, FULL, str(number)) for number in range(300)]
for second in range(0, 100_000, 10):
    history.append(frame(table, start + second, dict.fromkeys(ids, float(start + second))))
    if second % 300 == 290:
        history.drain(20.0)
        print(start + second, flush=True)
"""


def _killed_after(path: Path, start: int, seconds: float) -> int:
    """Let a process write for some time, kill it; return the last tick before its last segment."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(start)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline()]
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        said += process.stdout.readlines()
    return int([line for line in said if line.endswith("\n")][-1])


def test_killed_at_any_moment_it_keeps_what_was_written(tmp_path: Path):
    """After each kill the next run finds every complete segment, whole, and says what is lost."""
    path = tmp_path / "history.db"
    chance = random.Random(7)
    start = 1_800_000_000
    for _kill in range(6):
        begun = start
        last = _killed_after(path, start, chance.uniform(0.0, 0.25))
        with closing(HistoryReader(path, Target())) as reader:
            found = reader.select(named(FULL), begun - 1, last + 10_000)
        # The segment that ends with `last` was still growing when that was said.
        complete = [float(tick) for tick in range(begun, last - 290, 10)]
        assert complete == [] or len(found) == 300
        for one in found:
            assert list(one.times[: len(complete)]) == complete
            assert list(one.values) == list(one.times)
        start = last + 100_000 - (last + 100_000) % 300
    told: list[str] = []
    table = SeriesTable()
    history = History(table, clock=ManualClock(), path=path, told=told.append)
    history.append(frame(table, start, {series(table, FULL, "0"): 1.0}))
    assert history.drain(10.0)
    assert len([sentence for sentence in told if "was not closed" in sentence]) == 1
    assert history.close()
    with closing(HistoryReader(path, Target())) as reader:
        assert reader.stored().series == 301
        assert reader.select(EVERYTHING, start - 1, start)[0].values[0] == 1.0


def test_a_history_that_was_closed_has_lost_nothing_to_tell(tmp_path: Path):
    """A graceful restart says nothing and keeps every tick."""
    path = tmp_path / "history.db"
    told: list[str] = []
    for start in (1_800_000_000, 1_800_000_100):
        table = SeriesTable()
        history = History(table, clock=ManualClock(), path=path, told=told.append)
        for second in range(100):
            history.append(frame(table, start + second, {series(table, FULL, "0"): 1.0}))
        assert history.close()
        assert history.close()
    assert told == []
    with closing(HistoryReader(path, Target())) as reader:
        (found,) = reader.select(named(FULL), 0, 2e9)
    assert len(found.times) == 200
