"""Captured pages: every good line comes back, every bad one is told with its number."""

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import RecordingError
from agent.recording.scrapes import CaptureReader, Scrapes, looks_captured

START = 1_800_000_000.0


def _line(second: float, path: str = "/metrics", **further: Any) -> str:
    """Return a line of a capture."""
    return json.dumps({"t": START + second, "path": path, "code": 200, "body": "x 1\n", **further})


def _read(path: Path) -> tuple[list[Scrapes], list[str]]:
    """Return the ticks of a file and what was told of it."""
    told: list[str] = []
    return [*CaptureReader(path, told.append).ticks()], told


def _written(folder: Path, *lines: str, packed: bool = True) -> Path:
    """Write a capture and return its path."""
    path = folder / "a.metrics.jsonl.gz"
    content = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


@pytest.mark.parametrize("packed", [True, False])
def test_what_was_asked_together_is_one_tick(tmp_path: Path, *, packed: bool):
    """A tick ends where the path that the file began with comes again, compressed or not."""
    lines = [_line(s, path) for s in (0, 1) for path in ("/metrics", "/slots")]
    path = _written(tmp_path, *lines, _line(2), packed=packed)
    ticks, told = _read(path)
    assert [list(tick) for tick in ticks] == [["/metrics", "/slots"]] * 2 + [["/metrics"]]
    assert [tick["/metrics"].time - START for tick in ticks] == [0, 1, 2]
    assert ticks[0]["/metrics"].body == b"x 1\n"
    assert not told


def test_bad_lines_are_told_by_number_and_left_out(tmp_path: Path):
    """One line that is no scrape costs itself alone; of many, the first are told one by one."""
    path = _written(tmp_path, _line(0), "nonsense", "[]", '{"t": 1}', _line(1))
    ticks, told = _read(path)
    assert len(ticks) == 2
    assert [sentence.removeprefix(str(path)) for sentence in told] == [
        ":2: left out: is not JSON",
        ":3: left out: is not an object",
        ":4: left out: lacks path, code",
    ]
    _ticks, told = _read(_written(tmp_path, _line(0), *["nonsense"] * 40))
    assert len(told) == 6
    assert told[-1].endswith("40 lines were left out in all")


def test_time_does_not_go_back(tmp_path: Path):
    """A line from before the one above it has no place in the order, and is told."""
    ticks, told = _read(_written(tmp_path, _line(5), _line(4), _line(6)))
    assert [tick["/metrics"].time - START for tick in ticks] == [5, 6]
    assert told == [f"{tmp_path}/a.metrics.jsonl.gz:2: left out: {BACK}"]


BACK = "its time is before that of the line above"


def test_a_server_that_is_gone_is_told_as_such(tmp_path: Path):
    """Where nobody answered there is no status, and the capture's reason is kept."""
    line = _line(0, code=None, err="refused", body=None)
    ticks, _told = _read(_written(tmp_path, line))
    assert (ticks[0]["/metrics"].code, ticks[0]["/metrics"].error) == (None, "refused")


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_file_without_its_end_is_read_up_to_there(tmp_path: Path, kept: float):
    """Of a compressed file that was cut off, what can be unpacked is read, and the cut is told."""
    path = tmp_path / "a.metrics.jsonl.gz"
    lines = [_line(s, body=str(hash((s, 7))) * 20) for s in range(400)]
    whole = gzip.compress("\n".join(lines).encode())
    path.write_bytes(whole[: int(len(whole) * kept)])
    ticks, told = _read(path)
    assert 0 < len(ticks) < 400
    assert "is damaged after line" in told[-1]


@pytest.mark.parametrize("content", [b"", b"PK\3\4 not this", b"\x1f\x8bnot gzip", b"{}\n" * 9])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes):
    """A file without a single scrape is an error that names the file."""
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="other"):
        _read(path)
    assert not looks_captured(path)


def test_a_missing_file_is_an_error_that_says_so(tmp_path: Path):
    """What cannot be opened is no damaged recording."""
    with pytest.raises(RecordingError, match="No such file"):
        looks_captured(tmp_path / "none")


@settings(max_examples=60)
@given(st.lists(st.one_of(st.binary(max_size=60), st.just(_line(1).encode())), max_size=12))
def test_no_content_breaks_the_reader(lines: list[bytes]):
    """Whatever stands in a file, there are ticks or a RecordingError, and as many as lines."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(b"\n".join(lines))
        looks_captured(path)
        try:
            ticks, _told = _read(path)
        except RecordingError:
            return
        assert 0 < len(ticks) <= b"\n".join(lines).count(b"\n") + 1
