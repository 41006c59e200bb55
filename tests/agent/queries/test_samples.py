"""What the process reads is what the agent itself would read."""

import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import SeriesTable
from agent.promql.errors import TooManySamplesError
from agent.queries import wire
from agent.store.history import History
from agent.store.lending import blocks
from agent.store.reader import HistoryReader
from agent.store.series import STALE
from agent.store.target import Target
from tests.agent.queries.borrowed import Borrowed
from tests.fakes.clock import ManualClock
from tests.fakes.history import EVERYTHING, FULL, frame, named, seen, series

START = 1_800_000_000.0
TARGET = Target(job="j", instance="i", external={"site": "s"})
_STEPS = st.sampled_from([1.0, 1.0, 1.0, 40.0, 290.0, 400.0, -4.0, -700.0])
_ROWS = st.lists(
    st.tuples(_STEPS, st.dictionaries(st.integers(0, 4), st.floats(), max_size=5)),
    min_size=1,
    max_size=25,
)


@settings(max_examples=20, deadline=None)
@given(
    rows=_ROWS,
    recorded=st.lists(st.integers(0, 3), max_size=3),
    back=st.sampled_from([0.5, 5.0, 300.0, 5000.0]),
    on_disk=st.booleans(),
)
def test_memory_and_disk_give_what_the_history_gives(
    rows: list[tuple[float, dict[int, float]]],
    recorded: list[int],
    back: float,
    on_disk: bool,  # noqa: FBT001 - a parameter
):
    """Series that come and go, clocks that go back, records of rules: bit by bit the same."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "h.db" if on_disk else None
        table = SeriesTable()
        history = History(table, clock=ManualClock(), path=path, target=TARGET)
        reader = None if path is None else HistoryReader(path, TARGET)
        borrowed = Borrowed(history, reader=reader, target=TARGET)
        time = START
        for step, row in rows:
            time += step
            ids = {series(table, FULL, str(name)): value for name, value in row.items()}
            history.append(frame(table, time, ids))
            if recorded:
                numbers = [series(table, FULL, f"r{name}") for name in set(recorded)]
                history.record(time, numbers, [1.0] * len(numbers))
            assert history.drain(10.0)
            for wanted in (EVERYTHING, named(FULL), ()):
                one = borrowed.source()
                assert seen(one.select(wanted, time - back, time)) == seen(
                    history.select(wanted, time - back, time)
                )
                assert sorted(map(repr, one.latest(wanted, time - back, time))) == sorted(
                    map(repr, history.latest(wanted, time - back, time))
                )
        if reader is not None:
            reader.close()
        history.close()


@pytest.fixture
def table() -> SeriesTable:
    """The series of a run."""
    return SeriesTable()


def _history(
    table: SeriesTable, count: int = 5, ticks: int = 10, path: Path | None = None
) -> History:
    """Return a history."""
    history = History(table, clock=ManualClock(), path=path)
    for tick in range(ticks):
        values = {series(table, FULL, str(name)): float(name) for name in range(count)}
        history.append(frame(table, START + tick, values))
    return history


def test_many_series_of_many_ticks_come_in_pieces(table: SeriesTable):
    """None of them larger than what holds up the agent for a moment, and together all there is."""
    history = _history(table, count=300, ticks=200)
    borrowed = Borrowed(history)

    found = seen(borrowed.source().select(named(FULL), START + 9, START + 150))

    assert found == seen(history.select(named(FULL), START + 9, START + 150))
    lent = history.lend()
    ids = lent.live()
    sizes = [block.values.size for one in lent.segments for block in blocks(one, ids, 0, 200)]
    assert sum(sizes) == 301 * 200
    assert max(sizes) <= 16_384


def test_labels_are_told_once(table: SeriesTable):
    """A second query learns only of what is new; what is gone is forgotten."""
    gone = series(table, FULL, "gone")
    history = _history(table, count=500)
    borrowed = Borrowed(history)
    assert len(borrowed.source().latest(named(FULL), START, START + 9)) == 500
    borrowed.named.clear()
    assert borrowed.known.labels(gone) is not None
    table.forget([gone])
    new = series(table, FULL, "new")
    history.append(frame(table, START + 10, {new: 1.0}))

    assert [dict(one[0])["x"] for one in borrowed.source().latest(named(FULL), START, 2e9)] == [
        "new"
    ]

    assert borrowed.named == [new]
    assert borrowed.known.labels(gone) is None


def test_too_many_samples_are_refused_before_they_are_kept(table: SeriesTable):
    """With Prometheus's words; what was no longer held counts no more."""
    source = Borrowed(_history(table), most=50).source()
    assert source.select(named(FULL), START - 1, START + 8)
    with pytest.raises(TooManySamplesError, match="too many samples into memory"):
        source.select(named(FULL), START - 1, START + 9)
    source.again()
    assert source.select(named(FULL), START - 1, START + 8)


def test_ends_of_series_are_no_newest_samples(table: SeriesTable):
    """What the last row lacks has ended; a marker is not shown."""
    history = _history(table)
    history.append(frame(table, START + 10, {series(table, FULL, "a"): STALE}))
    history.record(START + 10, [series(table, FULL, "b")], [STALE])

    assert Borrowed(history).source().latest(named(FULL), START, START + 10) == []


def test_what_was_lent_stands_while_a_query_lasts(table: SeriesTable):
    """Rows that come in between do not change what is read."""
    history = _history(table)
    source = Borrowed(history).source()
    before = seen(source.select(named(FULL), START, START + 1000))
    for tick in range(800):
        history.append(frame(table, START + 100 + tick, {series(table, FULL, "z"): 1.0}))

    after = seen(source.select(named(FULL), START, START + 50))

    assert before == after


def test_a_damaged_file_is_said_and_memory_answers(tmp_path: Path, table: SeriesTable):
    """The answer has a warning; where there is no file there is nothing to say."""
    path = tmp_path / "h.db"
    _history(table, path=path).close()
    history = _history(table, path=path)
    with closing(HistoryReader(tmp_path / "none.db", Target())) as reader:
        source = Borrowed(history, reader=reader).source()
        assert len(source.select(named(FULL), 0.0, 2e9)) == 5
        assert not source.warnings
    (tmp_path / "bad.db").write_bytes(b"no database at all, and long enough to look like one" * 40)
    with closing(HistoryReader(tmp_path / "bad.db", Target())) as reader:
        source = Borrowed(history, reader=reader).source()
        assert len(source.select(named(FULL), 0.0, 2e9)) == 5
        assert source.stored(named(FULL), 0.0) == ()
        assert any("bad.db" in one for one in source.warnings)
    history.close()


@pytest.mark.parametrize("kind", [wire.READ, wire.PRESENT])
def test_nothing_is_given_that_was_not_lent(table: SeriesTable, kind: int):
    """A process that asks nonsense is told apart from one that has ended."""
    borrowed = Borrowed(_history(table))
    body = b"" if kind == wire.READ else (7).to_bytes(4, "little")
    with pytest.raises(ValueError, match=r".+"):
        list(borrowed.lender.answer(kind, body))
    list(borrowed.lender.answer(wire.LEND, b""))
    with pytest.raises(ValueError, match=r".+"):
        list(borrowed.lender.answer(kind, body))
    with pytest.raises(ValueError, match="unknown kind"):
        list(borrowed.lender.answer(ord("?"), b""))
