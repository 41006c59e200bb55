"""The recording: what was seen comes back exactly, up to where a file is damaged."""

import contextlib
import gzip
import json
import tracemalloc
from array import array
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import (
    EMPTY_READING,
    Event,
    Look,
    Reading,
    SeriesTable,
    SourceSpec,
)
from agent.recording import RecordedTick, RecordingReader, RecordingWriter
from agent.recording.writer import FLUSH_SECONDS
from tests.agent.recording.written import (
    METRIC,
    new_folder,
    tick_of,
    times_of,
    write,
)
from tests.fakes.looks import Tick, lives


def _plain(table: SeriesTable, look: Look) -> dict[str, Any]:
    """Return a look in a form that compares across tables; NaN equals NaN there."""
    reading = look.reading
    return {
        "source": look.source,
        "duration": look.duration,
        "age": look.age,
        "error": look.error,
        "unavailable": look.unavailable,
        "series": None if reading is None else [table[number] for number in reading.ids],
        "values": None if reading is None else [str(float(value)) for value in reading.values],
        "events": None if reading is None else list(reading.events),
        "told": [table[number] for number in look.facts.ids],
        "facts": [str(float(value)) for value in look.facts.values],
    }


def _plain_spec(table: SeriesTable, spec: SourceSpec) -> tuple[Any, ...]:
    """Return a source's terms in a form that compares across tables."""
    up = None if spec.up_id is None else table[spec.up_id]
    return spec.name, spec.stale_after, spec.precedence, up


@settings(max_examples=60)
@given(st.data())
def test_what_was_written_is_read(data: st.DataObject):
    """Times, looks, values, failures, events and sources come back exactly as they were."""
    table = SeriesTable()
    ticks = data.draw(lives(table))
    with new_folder() as folder:
        write(folder / "r", table, ticks)
        other = SeriesTable()
        other.intern(METRIC, ["offset"] * len(METRIC.labels))
        reader = RecordingReader(folder / "r", other)
        found = list(reader.ticks())
    assert reader.header["note"] == "test"
    assert [(tick.time, tick.now) for tick in found] == [(tick.time, tick.now) for tick in ticks]
    known: dict[str, SourceSpec] = {}
    for was, read in zip(ticks, found, strict=True):
        assert list(read.gone) == list(was.gone)
        for name in read.gone:
            known.pop(name)
        known |= {spec.name: spec for spec in read.appeared}
        assert {_plain_spec(other, spec) for spec in known.values()} == {
            _plain_spec(table, spec) for spec in was.specs.values()
        }
        expected = [_plain(table, look) for look in was.looks]
        assert [_plain(other, look) for look in read.looks] == [
            {
                **look,
                "values": _without_negative_zero(look["values"]),
                "facts": _without_negative_zero(look["facts"]),
            }
            for look in expected
        ]


def _without_negative_zero(values: list[str] | None) -> list[str] | None:
    """Return values as they are kept: a zero has no sign."""
    return None if values is None else ["0.0" if value == "-0.0" else value for value in values]


def test_a_look_keeps_its_list_of_series(tmp_path: Path):
    """Looks of one layout share their list, as live ones do, so that the page is kept as well."""
    table = SeriesTable()
    write(tmp_path / "r", table, [tick_of(table, float(now), x=now, y=1.0) for now in range(3)])
    readings = [
        look.reading
        for tick in RecordingReader(tmp_path / "r", SeriesTable()).ticks()
        for look in tick.looks
    ]
    assert all(reading is not None and readings[0] is not None for reading in readings)
    assert len({id(reading.ids) for reading in readings if reading}) == 1


def test_only_changes_are_written(tmp_path: Path):
    """A value that stays is not written again; after another layout all are."""
    table = SeriesTable()
    steps = [{"x": 1, "y": 2}, {"x": 1, "y": 3}, {"x": 9}, {"x": 1, "y": 3}]
    write(
        tmp_path / "r", table, [tick_of(table, float(at), **step) for at, step in enumerate(steps)]
    )
    with gzip.open(tmp_path / "r", "rt") as file:
        lines = [json.loads(line) for line in file]
    written = [line["looks"][0][3] for line in lines if "t" in line]
    assert written == [{"0": 1, "1": 2}, {"1": 3}, {"0": 9}, {"0": 1, "1": 3}]


def test_looks_at_forgotten_sources_are_left_out(tmp_path: Path):
    """A look that ended after its source was removed has no place in a recording."""
    table = SeriesTable()
    tick = tick_of(table, 1.0, x=1)
    write(tmp_path / "r", table, [Tick(1.0, tick.looks, {}, ["never", "a"])])
    (read,) = RecordingReader(tmp_path / "r", table).ticks()
    assert list(read.looks) == []


def test_metrics_that_this_agent_lacks(tmp_path: Path):
    """Samples of an unknown metric are left out and its name is told; labels match by name."""
    labels = [*reversed(METRIC.labels), "new_label"]
    lines: list[dict[str, Any]] = [
        {"inferwatch_recording": 1},
        {"metric": 0, "name": "inferwatch_from_the_future", "labels": []},
        {"metric": 1, "name": METRIC.name, "labels": labels},
        {"series": 0, "metric": 0, "values": [], "suffix": "", "le": ""},
        {"series": 1, "metric": 1, "values": labels, "suffix": "", "le": ""},
        {"source": 0, "name": "a", "stale_after": 1, "precedence": 0, "up": 0},
        {"layout": 0, "series": [0, 1]},
        {"t": 5, "looks": [[0, 0.1, 0, {"0": 1, "1": 2}, []]], "gone": []},
    ]
    path = tmp_path / "r"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    table = SeriesTable()
    reader = RecordingReader(path, table)
    (tick,) = reader.ticks()
    assert reader.unknown == {"inferwatch_from_the_future"}
    assert tick.appeared[0].up_id is None
    reading = tick.looks[0].reading
    assert reading is not None
    assert list(reading.values) == [2.0]
    assert table[reading.ids[0]].labels == METRIC.labels


def test_closing_twice(tmp_path: Path):
    """A closed file stays closed, and is whole."""
    writer = RecordingWriter(tmp_path / "r", SeriesTable(), header={})
    writer.close()
    writer.close()
    assert list(RecordingReader(tmp_path / "r", SeriesTable()).ticks()) == []


def test_shifted():
    """A tick that is played again carries its events along."""
    event = Event(5.0, "xid", "a")
    looks = [
        Look(source="a", duration=1.0, reading=Reading([], [], [event])),
        Look(source="b", duration=1.0, error="down"),
        Look(source="c", duration=1.0, reading=EMPTY_READING),
    ]
    tick = RecordedTick(6.0, looks, now=1.0)
    later = tick.shifted(10.0)
    assert (later.time, later.now) == (16.0, 11.0)
    assert RecordedTick(6.0, []).shifted(10.0).now is None
    assert later.looks[0].reading is not None
    assert [each.time for each in later.looks[0].reading.events] == [15.0]
    assert later.looks[1:] == looks[1:]
    assert tick.shifted(0.0) is tick


def test_a_file_is_readable_while_it_is_written(tmp_path: Path):
    """What was flushed can be read before the recorder ends."""
    table = SeriesTable()
    writer = RecordingWriter(tmp_path / "r", table, header={})
    for second in range(25):
        writer.write(float(second), [], {}, [])
    assert len(times_of(tmp_path / "r")) > 25 - FLUSH_SECONDS
    writer.close()
    assert (tmp_path / "r").stat().st_size < 1000


def test_many_lists_of_series_take_little_memory(tmp_path: Path):
    """Series come and go every few seconds: what was written of each list is not kept whole."""
    table = SeriesTable()
    every = [table.intern(METRIC, (str(n),) * len(METRIC.labels)) for n in range(2000)]
    with contextlib.closing(RecordingWriter(tmp_path / "r", table, header={})) as writer:
        writer.declare(every)
        tracemalloc.start()
        try:
            for away in range(100):
                ids = array("i", every[:away] + every[away + 1 :])
                look = Look(source="s", duration=0.0, reading=Reading(ids, [0.0] * len(ids)))
                writer.write(float(away), [look], {"s": SourceSpec(name="s", stale_after=1.0)}, ())
            taken, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert taken < 100 * len(every)
