"""The recording: what was seen comes back exactly, up to where a file is damaged."""

import gzip
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.catalog import METRICS, process
from agent.model import (
    EMPTY_READING,
    Event,
    Look,
    Reading,
    RecordingError,
    RecordingFailedError,
    SeriesTable,
    SourceSpec,
)
from agent.recording import RecordedTick, RecordingReader, RecordingWriter, Scrubber
from agent.recording.writer import FLUSH_SECONDS
from tests.fakes.looks import GAUGES, Tick, lives

METRIC = GAUGES[0]
A = SourceSpec(name="a", stale_after=10.0)


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder for one example."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _write(
    path: Path, table: SeriesTable, ticks: Sequence[Tick], scrubber: Scrubber | None = None
) -> None:
    """Write a recording."""
    writer = RecordingWriter(path, table, header={"note": "test"}, scrubber=scrubber)
    for tick in ticks:
        writer.write(tick.time, tick.looks, tick.specs, tick.gone, now=tick.now)
    writer.close()


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


def _series(table: SeriesTable, name: str) -> int:
    """Return a series of one label value."""
    return table.intern(METRIC, (name, *[""] * (len(METRIC.labels) - 1)))


def _tick(table: SeriesTable, time: float, **values: float) -> Tick:
    """Return a tick of the one source."""
    ids = [_series(table, name) for name in values]
    look = Look(source="a", duration=0.1, reading=Reading(ids, list(values.values())))
    return Tick(time, [look], {"a": A}, [])


def _ten(path: Path) -> SeriesTable:
    """Write ten ticks to a file."""
    table = SeriesTable()
    _write(path, table, [_tick(table, 100.0 + number, x=number) for number in range(10)])
    return table


def _times(path: Path) -> list[float]:
    """Return the times of the ticks that can be read."""
    times: list[float] = []
    with pytest.raises(RecordingError):
        times.extend(tick.time for tick in _each(RecordingReader(path, SeriesTable()), times))
    return times


def _each(reader: RecordingReader, times: list[float]) -> Iterator[RecordedTick]:
    """Note the time of each tick as it comes, so that an error loses none."""
    for tick in reader.ticks():
        times.append(tick.time)
        yield from ()


@settings(max_examples=60)
@given(st.data())
def test_what_was_written_is_read(data: st.DataObject):
    """Times, looks, values, failures, events and sources come back exactly as they were."""
    table = SeriesTable()
    ticks = data.draw(lives(table))
    with _folder() as folder:
        _write(folder / "r", table, ticks)
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
    _write(tmp_path / "r", table, [_tick(table, float(now), x=now, y=1.0) for now in range(3)])
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
    _write(
        tmp_path / "r", table, [_tick(table, float(at), **step) for at, step in enumerate(steps)]
    )
    with gzip.open(tmp_path / "r", "rt") as file:
        lines = [json.loads(line) for line in file]
    written = [line["looks"][0][3] for line in lines if "t" in line]
    assert written == [{"0": 1, "1": 2}, {"1": 3}, {"0": 9}, {"0": 1, "1": 3}]


def test_looks_at_forgotten_sources_are_left_out(tmp_path: Path):
    """A look that ended after its source was removed has no place in a recording."""
    table = SeriesTable()
    tick = _tick(table, 1.0, x=1)
    _write(tmp_path / "r", table, [Tick(1.0, tick.looks, {}, ["never", "a"])])
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


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not a recording of inferwatch"),
        (b"# HELP text\n", "is not a recording: Not a gzipped file"),
        (gzip.compress(b""), "is not a recording of inferwatch"),
        (gzip.compress(b"{}\n"), "is not a recording of inferwatch"),
        (gzip.compress(b"[]\n"), "1: is not an object"),
        (gzip.compress(b"\xff\n"), "is damaged after line 0"),
        (gzip.compress(b'{"inferwatch_recording": 2}\n'), "version 2, expected 1"),
        (gzip.compress(b'{"inferwatch_recording": ' + b"9" * 5000 + b"}\n"), "is damaged"),
        (gzip.compress(b"[" * 100_000), "is damaged"),
    ],
)
def test_what_is_no_recording(tmp_path: Path, content: bytes, told: str):
    """Another file, or a recording of another version, is refused before anything is played."""
    path = tmp_path / "r"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=told):
        RecordingReader(path, SeriesTable())


def test_what_cannot_be_opened(tmp_path: Path):
    """A missing file and a folder are refused with the system's words."""
    with pytest.raises(RecordingError, match="r: cannot be read: No such file"):
        RecordingReader(tmp_path / "r", SeriesTable())
    with pytest.raises(RecordingError, match="cannot be read: Is a directory"):
        RecordingReader(tmp_path, SeriesTable())


GOOD: list[Any] = [
    {"inferwatch_recording": 1},
    {"metric": 0, "name": METRIC.name, "labels": list(METRIC.labels)},
    {"series": 0, "metric": 0, "values": [""] * len(METRIC.labels), "suffix": "", "le": ""},
    {"source": 0, "name": "a", "stale_after": 1, "precedence": 0, "up": None},
    {"layout": 0, "series": [0]},
    {"t": 1, "looks": [[0, 0.1, 0, {"0": 1}, []]], "gone": []},
]


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"t": "now", "looks": [], "gone": []},
        {"t": 10**400, "looks": [], "gone": []},
        {"t": 1, "looks": [[9, 0.1, 0, {}, []]], "gone": []},
        {"t": 1, "looks": [[0, 0.1, 9, {}, []]], "gone": []},
        {"t": 1, "looks": [[0, "x", 0, {}, []]], "gone": []},
        {"t": 1, "looks": [[0, 0.1, 0, {"7": 1}, []]], "gone": []},
        {"t": 1, "looks": [[0, 0.1, 0, {"999999999999": 1}, []]], "gone": []},
        {"t": 1, "looks": [[0, 0.1, 0, {"0": "x"}, []]], "gone": []},
        {"t": 1, "looks": [[0, 0.1, 0, {"0": None}, []]], "gone": []},
        {"t": 1, "looks": [[0, 0.1, 0, {}, [[1, "xid", "a"]]]], "gone": []},
        {"t": 1, "looks": [[0, 0.1, 0, {}, [[1, "xid", "a", [], ""]]]], "gone": []},
        {"t": 1, "looks": [[0, 0.1]], "gone": []},
        {"t": 1, "looks": [[[], 0.1, 0, {}, []]], "gone": []},
        {"t": 1, "looks": [], "gone": 5},
        {"t": 1, "m": "x", "looks": [], "gone": []},
        {"t": 1, "looks": [[0, 0.1, 0, {}, [], "old"]], "gone": []},
        {"t": 1},
        {"layout": 1, "series": [9]},
        {"series": 1, "metric": 9, "values": [], "suffix": "", "le": ""},
        {"series": 1, "metric": 0, "values": [], "suffix": "", "le": ""},
        {"series": 1, "metric": 0, "values": [""] * len(METRIC.labels), "suffix": "_x", "le": ""},
        {"series": 1, "metric": 0, "values": [""] * len(METRIC.labels), "suffix": "", "le": "x"},
        {"source": 1, "name": "b", "stale_after": "x", "precedence": 0, "up": None},
        {"source": 1},
        {"metric": 1},
        [],
        7,
    ],
)
def test_a_line_that_makes_no_sense(tmp_path: Path, line: object):
    """A damaged line ends the recording with its number; what stands before it has been given."""
    path = tmp_path / "r"
    text = "\n".join(json.dumps(each) for each in [*GOOD, line, GOOD[-1]])
    path.write_bytes(gzip.compress(text.encode()))
    found: list[float] = []
    with pytest.raises(RecordingError, match=f":{len(GOOD) + 1}: "):
        list(_each(RecordingReader(path, SeriesTable()), found))
    assert found == [1.0]


def test_a_truncated_file_gives_what_was_flushed(tmp_path: Path):
    """Cut off anywhere, a file gives a beginning of its ticks in order, then RecordingError."""
    path, cut = tmp_path / "r", tmp_path / "cut"
    _ten(path)
    content = path.read_bytes()
    lengths = []
    for size in range(40, len(content) - 8, 7):
        cut.write_bytes(content[:size])
        try:
            times = _times(cut)
        except RecordingError:
            times = []  # not even the first line
        assert times == [100.0 + number for number in range(len(times))]
        lengths.append(len(times))
    assert lengths == sorted(lengths)
    assert lengths[-1] > 0


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_corrupted_file_is_noticed(place: int, flip: int):
    """A flipped bit gives RecordingError or, in a part without meaning, the same ticks."""
    with _folder() as folder:
        path = folder / "r"
        _ten(path)
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= flip
        path.write_bytes(content)
        try:
            ticks = list(RecordingReader(path, SeriesTable()).ticks())
        except RecordingError:
            return
    # The header of gzip has a time and a system that nobody reads.
    assert place % len(content) < 40
    assert [tick.time for tick in ticks] == [100.0 + number for number in range(10)]


KILLED = """
import os, signal, sys
from pathlib import Path
from agent.model import SeriesTable, SourceSpec
from agent.recording import RecordingWriter
writer = RecordingWriter(Path(sys.argv[1]), SeriesTable(), header={})
for second in range(35):
    writer.write(1000.0 + second, [], {}, [])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_recorder_that_is_killed_leaves_what_it_saw(tmp_path: Path):
    """After SIGKILL all but the last seconds can be read."""
    path = tmp_path / "r"
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=30)
    assert ended.returncode == -signal.SIGKILL
    times = _times(path)
    assert times == [1000.0 + second for second in range(len(times))]
    assert len(times) > 35 - FLUSH_SECONDS


def test_a_full_disk_is_said(tmp_path: Path):
    """What the system refuses becomes a RecordingError that names the file."""
    with pytest.raises(RecordingError, match="cannot be written: No such file or directory"):
        RecordingWriter(tmp_path / "none" / "r", SeriesTable(), header={})
    with pytest.raises(RecordingFailedError, match="/dev/full: cannot be written: No space left"):
        RecordingWriter(Path("/dev/full"), SeriesTable(), header={})
    assert Path("/dev/full").exists()


@pytest.mark.parametrize(("size", "left"), [(0, False), (2000, True)])
def test_a_recorder_without_room(tmp_path: Path, size: int, *, left: bool):
    """Where a file cannot be begun none is left; later, what was written stays; status 1."""
    config = tmp_path / "config.yaml"
    sources = ("processes", "kernel_log", "nvml", "dcgm", "discovery", "engines")
    off = ", ".join(f"{name}: {{enabled: false}}" for name in sources)
    config.write_text(f"tick: {{interval: 100ms}}\ncollectors: {{{off}}}\n")
    done = subprocess.run(
        [sys.executable, "-I", "-c", LIMITED, str(size), "record", "r", "--config", str(config)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "r: cannot be written: File too large"
    assert "Traceback" not in done.stderr
    assert (tmp_path / "r").exists() is left


LIMITED = """
import resource, sys
from agent.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


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


PROCESS = next(
    metric
    for metric in vars(process).values()
    if getattr(metric, "labels", ()) and "process" in metric.labels
)
PRIVATE = [
    "alice-trainer", "/home/alice/models/secret-7b", "./secret-7b.gguf", "../secret-7b",
    "models/secret-7b.gguf", "~/secret-7b", "file:///secret-7b", "s3://secret-7b/x",
    "models/secret-7b.ckpt", "secret-7b/weights.v2", "alice/secret-7b", "secret-7b",
]  # fmt: skip


@pytest.mark.parametrize("private", PRIVATE)
def test_scrubbing_leaves_nothing(tmp_path: Path, private: str):
    """No name of a process and no path is anywhere in a scrubbed file, whoever said it."""
    table = SeriesTable()
    labels = [private if name == "process" else "x" for name in PROCESS.labels]
    model = next(metric for metric in METRICS.values() if "model_name" in metric.labels)
    path_labels = [private if name == "model_name" else "x" for name in model.labels]
    ids = [table.intern(PROCESS, labels)]
    event_labels = {"process": private}
    name = f"engine/{private}"
    ids.append(table.intern(model, path_labels))
    event_labels |= {"model": private, "command": private}
    event = Event(1.0, "oom_kill", name, event_labels, f"killed {private}")
    looks = [
        Look(source=name, duration=0.1, reading=Reading(ids, [1.0] * len(ids), [event])),
        Look(source=name, duration=0.1, error=f"cannot open {private}", facts=Reading(ids, [1, 1])),
        Look(source=name, duration=0.1, error=f"no {private}", unavailable=True),
    ]
    spec = SourceSpec(name=name, stale_after=1.0)
    ticks = [Tick(1.0, looks, {name: spec}, []), Tick(2.0, [], {}, [name])]
    _write(tmp_path / "r", table, ticks, Scrubber())
    first, second = RecordingReader(tmp_path / "r", SeriesTable()).ticks()
    assert list(second.gone) == [spec.name for spec in first.appeared]
    assert {look.source for look in first.looks} == {*second.gone}
    text = gzip.decompress((tmp_path / "r").read_bytes()).decode()
    assert "secret-7b" not in text
    assert "alice" not in text


def test_scrubbing_is_consistent_and_leaves_the_rest():
    """The same text gets the same word, another another; what is no name or path stays."""
    scrubber = Scrubber()
    words = [scrubber.label("process", name) for name in ("one", "two", "one")]
    assert words == ["process-1", "process-2", "process-1"]
    assert scrubber.label("path", "/") == "path-3"
    assert scrubber.label("model_name", "meta-llama/Llama-3.1-8B") == "model_name-4"
    kept = {"version": "0.32.0", "gpu": "0", "process": "", "uuid": "GPU-1/2", "mode": "a/b"}
    for name, value in kept.items():
        assert scrubber.label(name, value) == value
    assert scrubber.label("version", "s3://bucket") == "version-5"
    assert scrubber.source("host") == "host"
    assert scrubber.source("engine/one") == "engine/process-1"
    event = scrubber.event(Event(1.0, "oom_kill", "a", {"process": "one"}, "killed one"))
    assert event == Event(1.0, "oom_kill", "a", {"process": "process-1"})


def test_a_file_is_readable_while_it_is_written(tmp_path: Path):
    """What was flushed can be read before the recorder ends."""
    table = SeriesTable()
    writer = RecordingWriter(tmp_path / "r", table, header={})
    for second in range(25):
        writer.write(float(second), [], {}, [])
    assert len(_times(tmp_path / "r")) > 25 - FLUSH_SECONDS
    writer.close()
    assert (tmp_path / "r").stat().st_size < 1000
