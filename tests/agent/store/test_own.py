"""What the history says of itself."""

from pathlib import Path

from agent.model import SeriesTable
from agent.store.history import History
from tests.fakes.clock import ManualClock
from tests.fakes.history import FULL, frame, series

START = 1_800_000_000.0


def _said(history: History, table: SeriesTable) -> dict[str, float]:
    """Return its own samples by name and label values."""
    reading = history.reading()
    names = (
        "/".join((table[i].metric.name.removeprefix("inferwatch_history_"), *table[i].labels))
        for i in reading.ids
    )
    return dict(zip(names, reading.values, strict=True))


def test_without_a_disk_there_is_nothing_to_say():
    """A history in memory only is not one that cannot be written."""
    table = SeriesTable()
    assert _said(History(table, clock=ManualClock()), table) == {}


def test_it_counts_what_it_keeps_and_what_it_lost(tmp_path: Path):
    """Written, span, size and series as of the last complete segment; lost as it happens."""
    table = SeriesTable()
    history = History(table, clock=ManualClock(), path=tmp_path / "history.db")
    for second in (*range(301), 299):
        history.append(frame(table, START + second, {series(table, FULL, "a"): 1.0}))
    assert history.drain(10.0)
    said = _said(history, table)
    assert said.pop("size_bytes") > 4096
    assert said == {
        "writable": 1.0,
        "samples_saved_total": 600.0,
        "series": 2.0,
        "samples_lost_total/clock": 1.0,
        "samples_lost_total/disk": 0.0,
        "span_seconds/full": 299.0,
        "span_seconds/5m": 299.0,
    }
    assert history.reading().ids is history.reading().ids
    history.close()
