"""A segment is written a little at a time, so that no tick waits for all of it."""

import threading
from contextlib import closing
from pathlib import Path

from agent.model import SeriesTable
from agent.store.chunk import GROUP
from agent.store.database import open_for_writing
from agent.store.history import History
from agent.store.identity import Identities
from agent.store.job import BATCH, Job
from agent.store.ring import Ring
from agent.store.segment import Segment
from agent.store.series import is_stale
from agent.store.target import Directory, Target
from tests.fakes.clock import ManualClock
from tests.fakes.history import EVERYTHING, FULL, frame, series

START = 1_800_000_000.0


def test_each_step_prepares_one_group_or_writes_one_batch(tmp_path: Path):
    """For 100 groups there are 100 steps and more; no step writes more than a batch."""
    table = SeriesTable()
    sealed: list[Segment] = []
    ring = Ring("", Directory(table, Target()), span=60.0, sealed=sealed.append)
    ids = [series(table, FULL, str(number)) for number in range(100 * GROUP)]
    for second in range(20):
        ring.append(START + second, ids, [float(second)] * len(ids))
    ring.close()
    job = Job(sealed[0], table=table, identities=Identities(table), keep_full=())
    trims: list[int] = []
    database = open_for_writing(tmp_path / "history.db", now=lambda: START, told=print)
    with closing(database):
        written: list[int] = []
        while (samples := job.step(database, lambda: trims.append(1))) is not None:
            written.append(samples)
    assert len(written) > 100
    assert max(written) == BATCH * GROUP * 20
    assert sum(written) == len(ids) * 20
    assert len(trims) == -(-100 // BATCH)


def test_it_can_be_asked_from_another_thread_while_it_grows(tmp_path: Path):
    """A query sees whole ticks, whatever is appended meanwhile."""
    table = SeriesTable()
    history = History(table, clock=ManualClock(), path=tmp_path / "history.db")
    ids = [series(table, FULL, str(number)) for number in range(20)]
    problems: list[str] = []
    asked: list[int] = []
    done = threading.Event()

    def ask() -> None:
        # Waiting a little lets the writer have the interpreter, which a loop without rest may not.
        while not done.wait(0.001):
            problems.extend(
                str(found.labels)
                for found in history.select(EVERYTHING, START - 1, START + 5000)
                for time, value in zip(found.times, found.values, strict=True)
                if time != value and not is_stale(value)
            )
            asked.append(1)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        for second in range(3000):
            # Every tenth tick the layout changes.
            shown = ids if second % 10 else [*ids, series(table, FULL, "sometimes")]
            history.append(frame(table, START + second, dict.fromkeys(shown, START + second)))
            if second % 300 == 0:
                assert history.drain(60.0)
    finally:  # a thread that goes on asking would slow down every test after this one
        done.set()
        thread.join(60.0)
    assert not thread.is_alive()
    assert problems == []
    assert len(asked) > 1
    assert history.close()
