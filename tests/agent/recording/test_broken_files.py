"""Files that are no recording, end early or find no room."""

import gzip
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import (
    RecordingError,
    RecordingFailedError,
    SeriesTable,
)
from agent.recording import RecordingReader, RecordingWriter
from agent.recording.writer import FLUSH_SECONDS
from tests.agent.recording.written import (
    METRIC,
    each,
    new_folder,
    ten_ticks,
    times_of,
)


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
    ids=[
        *("empty", "text", "nothing", "no header", "list", "no text", "version 2", "long number"),
        "deep",
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
        list(each(RecordingReader(path, SeriesTable()), found))
    assert found == [1.0]


def test_a_truncated_file_gives_what_was_flushed(tmp_path: Path):
    """Cut off anywhere, a file gives a beginning of its ticks in order, then RecordingError."""
    path, cut = tmp_path / "r", tmp_path / "cut"
    ten_ticks(path)
    content = path.read_bytes()
    lengths = []
    for size in range(40, len(content) - 8, 7):
        cut.write_bytes(content[:size])
        try:
            times = times_of(cut)
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
    with new_folder() as folder:
        path = folder / "r"
        ten_ticks(path)
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
    times = times_of(path)
    assert times == [1000.0 + second for second in range(len(times))]
    assert len(times) > 35 - FLUSH_SECONDS


def test_a_full_disk_is_said(tmp_path: Path):
    """What the system refuses becomes a RecordingError that names the file."""
    with pytest.raises(RecordingError, match="cannot be written: No such file or directory"):
        RecordingWriter(tmp_path / "none" / "r", SeriesTable(), header={})
    with pytest.raises(RecordingFailedError, match="/dev/full: cannot be written: No space left"):
        RecordingWriter(Path("/dev/full"), SeriesTable(), header={})
    assert Path("/dev/full").exists()


@pytest.mark.parametrize(("size", "left"), [(0, False), (1200, True)])
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
sys.dont_write_bytecode = True  # Python would leave the first bytes of a compiled module, for all
import agent.recording.writer
from agent.__main__ import main
agent.recording.writer.FLUSH_SECONDS = 0.5
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""
