"""Rules right after a restart: the newest samples need the disk only where it has more series."""

from contextlib import closing
from pathlib import Path

import pytest

from agent.model import SeriesTable
from agent.store.history import History
from agent.store.series import milliseconds
from tests.fakes.clock import ManualClock
from tests.fakes.history import FIVE, FULL, frame, named, series

START = 1_800_000_000.0
BACK = 300_000


def _stored(path: Path, names: str) -> None:
    """Let a run write a few series and end."""
    table = SeriesTable()
    with closing(History(table, clock=ManualClock(), path=path)) as before:
        values = {series(table, FULL, name): 1.0 for name in names}
        before.append(frame(table, START, values))


def _next(path: Path, pause: float) -> tuple[SeriesTable, History]:
    """Return the history of the next run, with a tick of one series in it."""
    table = SeriesTable()
    history = History(table, clock=ManualClock(time=START + pause), path=path)
    values = {series(table, FULL, "a"): 2.0, series(table, FIVE, "z"): 3.0}
    history.append(frame(table, START + pause, values))
    return table, history


def test_the_same_series_need_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A restart of a second, and the page has what it had: one row says it all."""
    path = tmp_path / "history.db"
    _stored(path, "a")
    _table, history = _next(path, 1.0)
    now = milliseconds(START + 1)
    with closing(history):
        monkeypatch.delattr("agent.store.reader.HistoryReader.stretches")
        newest = history.recent().newest(named(FULL), now - BACK, now)
        assert newest is not None
        assert newest.values == [2.0]
        assert history.recent().newest(named(FIVE), now - BACK, now) is not None
        assert history.recent().columns(named(FULL), now - BACK, now) is None


def test_a_series_that_only_the_run_before_had_is_looked_for(tmp_path: Path):
    """Nothing says that it has ended, so for five minutes it is there, as in Prometheus."""
    path = tmp_path / "history.db"
    _stored(path, "ab")
    _table, history = _next(path, 1.0)
    now = milliseconds(START + 1)
    with closing(history):
        assert history.recent().newest(named(FULL), now - BACK, now) is None
        found = history.latest(named(FULL), START - 299, START + 1)
        assert {dict(labels)["x"]: value for labels, _time, value in found} == {"a": 2.0, "b": 1.0}


def test_what_ended_long_ago_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """After a pause longer than the look back memory covers it all, and nothing is read."""
    path = tmp_path / "history.db"
    _stored(path, "ab")
    monkeypatch.delattr("agent.store.reader.HistoryReader.stretches")
    _table, history = _next(path, 301.0)
    now = milliseconds(START + 301)
    with closing(history):
        newest = history.recent().newest(named(FULL), now - BACK, now)
        assert newest is not None
        assert newest.values == [2.0]


def test_the_series_are_let_go(tmp_path: Path):
    """They are held for as long as somebody may look back to them."""
    path = tmp_path / "history.db"
    _stored(path, "ab")
    table, history = _next(path, 1.0)
    with closing(history):
        assert history._prelude._series
        for second in (301.0, 601.0, 901.0):
            history.append(frame(table, START + second, {series(table, FULL, "a"): 2.0}))
        assert history._prelude._series is None
