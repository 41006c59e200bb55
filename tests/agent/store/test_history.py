"""The history in memory and on disk against dictionaries."""

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import Frame, SeriesTable
from agent.store.five import Part
from agent.store.history import History
from agent.store.reader import HistoryReader
from agent.store.series import STALE, Matcher, MatchOp
from agent.store.target import UP, Target
from tests.fakes.clock import ManualClock
from tests.fakes.history import (
    EVERYTHING,
    FIVE,
    FULL,
    NONE,
    Model,
    bits,
    frame,
    named,
    seen,
    series,
)

START = 1_800_000_000.0

# Steps of the clock: mostly a second, sometimes none, a gap, or back by a little or by a lot.
_STEPS = st.one_of(
    st.just(1.0),
    st.floats(0.9, 1.1),
    st.sampled_from([0.0, 0.0004, 40.0, 290.0, 400.0, -1.5, -4.0, -30.0, -700.0]),
)
_ROW = st.dictionaries(st.integers(0, 4), st.floats(), max_size=5)
_ROWS = st.lists(st.tuples(_STEPS, _ROW), min_size=1, max_size=30)


def _fill(
    history: History, table: SeriesTable, rows: list[tuple[float, dict[int, float]]]
) -> tuple[Model, list[float]]:
    """Append rows to a history and to a model; return the model and the times."""
    model = Model()
    time = START
    times = [time]
    for step, row in rows:
        time += step
        values = {series(table, FULL, str(name)): value for name, value in row.items()}
        history.append(frame(table, time, values))
        model.append(time, values)
        assert history.drain(10.0)
        times.append(time)
    return model, times


def _check(history: History, model: Model, table: SeriesTable, start: float, end: float) -> None:
    """Compare what both give for a range."""
    found = seen(history.select(named(FULL), start, end))
    for name in map(str, range(5)):
        labels = (("__name__", FULL.name), ("x", name))
        wanted = model.select(series(table, FULL, name), start, end)
        assert found.get(labels, []) == wanted


@given(_ROWS, st.floats(-10, 500), st.floats(-10, 500))
def test_memory_gives_what_dictionaries_give(
    rows: list[tuple[float, dict[int, float]]], start: float, length: float
):
    """Any range of the hot ring, whatever came and went and wherever the clock jumped."""
    table = SeriesTable()
    history = History(table, clock=ManualClock(), span=1e9)
    model, times = _fill(history, table, rows)
    _check(history, model, table, min(times) - 1, max(times))
    _check(history, model, table, START + start, START + start + length)


@given(
    st.lists(
        st.tuples(st.sets(st.integers(0, 3), max_size=3), st.floats()), min_size=1, max_size=80
    )
)
def test_few_of_many_series_that_come_and_go(rows: list[tuple[set[int], float]]):
    """Where at most three of a dozen are away, values and ends of all are their own."""
    table = SeriesTable()
    history, model = History(table, clock=ManualClock(), span=1e9), Model()
    ids = [series(table, FULL, str(number)) for number in range(12)]
    time = START
    for away, value in rows:
        time += 60.0  # five rows of a segment, so that some begin without what comes back
        values = {one: value + number for number, one in enumerate(ids) if number not in away}
        history.append(frame(table, time, values))
        model.append(time, values)
    found = seen(history.select(named(FULL), 0.0, time))
    assert found == {
        (("__name__", FULL.name), ("x", str(number))): model.select(series_id, 0.0, time)
        for number, series_id in enumerate(ids)
        if model.select(series_id, 0.0, time)
    }


@settings(max_examples=15, deadline=None)
@given(_ROWS, st.floats(-10, 500), st.floats(-10, 500))
def test_disk_gives_what_dictionaries_give(
    rows: list[tuple[float, dict[int, float]]], start: float, length: float
):
    """The same, after the history was closed and opened by another run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        table = SeriesTable()
        with closing(History(table, clock=ManualClock(), path=path, span=1e9)) as history:
            model, times = _fill(history, table, rows)
            _check(history, model, table, min(times) - 1, max(times))
        again = SeriesTable()
        again.intern(NONE, ("shifts the identifiers",))
        with closing(History(again, clock=ManualClock(), path=path)) as later:
            assert later.drain(10.0)
            _check(later, model, table, min(times) - 1, max(times))
            _check(later, model, table, START + start, START + start + length)


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 40.0, -1.5, -30.0]), _ROW), min_size=1))
def test_the_newest_samples_are_the_last_of_a_selection(
    rows: list[tuple[float, dict[int, float]]],
):
    """`latest` is `select`, its last samples, without what has ended."""
    table = SeriesTable()
    history = History(table, clock=ManualClock(), span=1e9)
    _model, times = _fill(history, table, rows)
    end = times[-1]
    found = {
        labels: (time, bits(value)) for labels, time, value in history.latest(EVERYTHING, 0.0, end)
    }
    assert found == {
        one.labels: (one.times[-1], bits(one.values[-1]))
        for one in history.select(EVERYTHING, 0.0, end)
        if bits(one.values[-1]) != bits(STALE)
    }


def test_the_newest_samples_may_lie_before_a_pause():
    """A moment between two segments is asked for when the clock stepped back a little."""
    table = SeriesTable()
    history = History(table, clock=ManualClock())
    one = series(table, FULL, "1")
    for time, value in ((START - 10.0, 1.0), (START + 10.0, 2.0)):
        history.append(frame(table, time, {one: value}))
    assert [value for _labels, _time, value in history.latest(named(FULL), 0.0, START)] == [1.0]


def test_target_labels_are_attached_and_can_be_asked_for():
    """Rules see `job`, `instance` and external labels, and `up`, as in Prometheus."""
    table = SeriesTable()
    target = Target(job="inferwatch", instance="host:9745", external={"site": "a", "x": "no"})
    history = History(table, clock=ManualClock(), target=target)
    history.append(frame(table, START, {series(table, FULL, "1"): 2.0}))
    (found,) = history.select((Matcher("site", MatchOp.EQUAL, "a"), *named(FULL)), 0, START)
    assert dict(found.labels) == {
        "__name__": FULL.name,
        "instance": "host:9745",
        "job": "inferwatch",
        "site": "a",
        "x": "1",
    }
    (up,) = history.select((*named(UP), Matcher("job", MatchOp.REGEX, "infer.*")), 0, START)
    assert list(up.values) == [1.0]


def test_a_label_of_the_series_gives_way_to_that_of_the_target():
    """As Prometheus does without honor_labels, the series' own instance becomes exported."""
    labels = Target(job="j", instance="i").attach("inferwatch_m", [("instance", "own"), ("a", "")])
    assert labels == (
        ("__name__", "inferwatch_m"),
        ("exported_instance", "own"),
        ("instance", "i"),
        ("job", "j"),
    )


def test_what_rules_record_is_there_at_once_and_ends_when_they_say():
    """Records of several rules at one tick, at different intervals, end only by their marker."""
    table = SeriesTable()
    history = History(table, clock=ManualClock())
    fast, slow = series(table, FULL, "fast"), series(table, FULL, "slow")
    for second in range(61):
        time = START + second
        history.append(frame(table, time, {series(table, FULL, "tick"): 1.0}))
        history.record(time, [fast], [float(second)])
        if second % 30 == 0:
            history.record(time, [slow], [float(second)])
    history.record(START + 60, [fast], [STALE])
    found = {dict(one.labels)["x"]: one for one in history.select(EVERYTHING, 0, START + 60)}
    assert list(found["slow"].times) == [START, START + 30, START + 60]
    assert list(found["slow"].values) == [0.0, 30.0, 60.0]
    assert len(found["fast"].times) == 61
    assert bits(found["fast"].values[-1]) == bits(STALE)
    newest = {
        dict(labels)["x"]: value for labels, _t, value in history.latest(EVERYTHING, 0, START + 60)
    }
    assert newest == {"slow": 60.0, "tick": 1.0}


def test_how_long_a_metric_is_kept_is_what_the_catalogue_says(tmp_path: Path):
    """Full, five minutes and none; a metric that rules name is kept in full."""
    table = SeriesTable()
    path = tmp_path / "history.db"
    ids = {m: series(table, m, "a") for m in (FULL, FIVE, NONE)}
    history = History(table, clock=ManualClock(), path=path, span=0.0)
    for second in range(700):
        history.append(frame(table, START + second, dict.fromkeys(ids.values(), float(second))))
    assert history.close()
    with closing(HistoryReader(path, Target())) as reader:
        counts = {m: [len(s.times) for s in reader.select(named(m), 0, START + 700)] for m in ids}
        (five,) = reader.select(named(FIVE), 0, START + 900)
    assert counts == {FULL: [700], FIVE: [3], NONE: []}
    assert list(five.times) == [START + 300, START + 600, START + 699]
    assert list(five.values) == [299.0, 599.0, 699.0]


def test_a_metric_that_rules_name_is_kept_in_full(tmp_path: Path):
    """Histogram buckets are five-minute, except those that rules name."""
    table = SeriesTable()
    path = tmp_path / "history.db"
    history = History(
        table, clock=ManualClock(), path=path, span=0.0, keep_full={FIVE.name, "no_such"}
    )
    for second in range(310):
        history.append(frame(table, START + second, {series(table, FIVE, "a"): float(second)}))
    assert history.close()
    with closing(HistoryReader(path, Target())) as reader:
        (found,) = reader.select(named(FIVE), 0, START + 310)
    assert len(found.times) == 310


@pytest.mark.parametrize("closed", [False, True])
def test_a_coarse_resolution_reads_the_windows(tmp_path: Path, *, closed: bool):
    """From 300 s on there is one sample for each window, and its part can be chosen."""
    table = SeriesTable()
    path = tmp_path / "history.db"
    history = History(table, clock=ManualClock(), path=path, span=0.0)
    for second in range(600):
        history.append(frame(table, START + second, {series(table, FULL, "a"): float(second % 7)}))
    source: History | HistoryReader = history
    if closed:
        assert history.close()
        source = HistoryReader(path, Target())
    parts = {}
    for part in Part:
        (found,) = source.select(named(FULL), 0, START + 600, resolution=300.0, part=part)
        assert len(found.times) == 2
        parts[part] = found.values[0]
    assert parts[Part.MIN] == 0.0
    assert parts[Part.MAX] == 6.0
    assert parts[Part.MEAN] == pytest.approx(sum(second % 7 for second in range(300)) / 300)
    assert parts[Part.LAST] == 299 % 7
    source.close()


def test_memory_is_bounded_while_series_come_and_go():
    """After hours of a new process each minute only those of the last minutes are remembered."""
    table = SeriesTable()
    history = History(table, clock=ManualClock(), span=60.0)
    for second in range(0, 20_000, 10):
        ids = [series(table, FULL, f"pid {second // 60}"), series(table, FULL, "stays")]
        history.append(Frame(START + second, table, ids, [1.0, 1.0]))
        history.latest(EVERYTHING, START, START + second)
    assert len(table) > 300
    assert len(history._directory) < 100
    assert sum(len(s.times) for ring in history._rings.values() for s in ring.segments) < 100


def test_what_was_selected_does_not_grow():
    """A result stays as it was while the history goes on."""
    table = SeriesTable()
    history = History(table, clock=ManualClock())
    for second in range(5):
        history.append(frame(table, START + second, {series(table, FULL, "a"): 1.0}))
    (found,) = history.select(named(FULL), START - 1, START + 100)
    history.append(frame(table, START + 5, {series(table, FULL, "a"): 1.0}))
    assert (len(found.times), len(found.values)) == (5, 5)


def test_a_frame_of_another_table_is_refused():
    """Identifiers mean nothing without their table."""
    history = History(SeriesTable(), clock=ManualClock())
    with pytest.raises(ValueError, match="another table"):
        history.append(Frame(1.0, SeriesTable(), [], []))


def test_the_first_minutes_need_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What a rule asks for right after the start is in memory; what ran before is on disk."""
    table = SeriesTable()
    path = tmp_path / "history.db"
    with closing(History(table, clock=ManualClock(), path=path)) as before:
        before.append(frame(table, START, {series(table, FULL, "a"): 1.0}))
    reads: list[float] = []
    stretches = HistoryReader.stretches

    def counted(reader: HistoryReader, *given: Any, **others: Any) -> Any:
        reads.append(given[1])
        return stretches(reader, *given, **others)

    monkeypatch.setattr(HistoryReader, "stretches", counted)
    clock = ManualClock(time=START + 600.0)
    with closing(History(table, clock=clock, path=path)) as history:
        history.append(frame(table, START + 600.0, {series(table, FULL, "a"): 2.0}))
        assert [one.values[-1] for one in history.select(EVERYTHING, START + 300.0, START + 600.0)]
        assert history.latest(EVERYTHING, START + 300.0, START + 600.0)
        assert reads == []
        found = history.select(EVERYTHING, START - 1.0, START + 600.0)
        assert reads == [START - 1.0]
        assert [list(one.values) for one in found if len(one.values) > 1]


def test_what_memory_holds_is_had_without_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A metric of the last minutes by its name; what is on disk alone is left out, not read."""
    table = SeriesTable()
    path = tmp_path / "history.db"
    with closing(History(table, clock=ManualClock(), path=path)) as before:
        before.append(frame(table, START, {series(table, FULL, "a"): 1.0}))

    def refused(*_given: Any, **_others: Any) -> Any:
        raise AssertionError("the disk was asked")

    with closing(History(table, clock=ManualClock(time=START + 60.0), path=path)) as history:
        rows = {series(table, FULL, "a"): 2.0, series(table, FIVE, "b"): 3.0}
        history.append(frame(table, START + 60.0, rows))
        monkeypatch.setattr(HistoryReader, "stretches", refused)
        (found,) = history.remembered(FULL.name, START - 1.0, START + 60.0)
        assert [*found.values] == [2.0]
        assert dict(found.labels)["x"] == "a"
        assert history.remembered(FULL.name, START + 60.0, START + 70.0) == []
