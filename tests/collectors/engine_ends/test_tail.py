"""Files that others write to are followed through rotation and truncation, a bounded part each."""

import os
from pathlib import Path

import pytest

from collectors.engine_ends.tail import MOST, FileTail


def test_new_lines_once(tmp_path: Path):
    """What was there is old; whole lines that come are given once, halves when they are whole."""
    log = tmp_path / "log"
    log.write_text("old\n")
    tail = FileTail(log)
    assert tail.read() == []
    with log.open("a") as file:
        file.write("one\ntw")
        file.flush()
        assert tail.read() == [b"one"]
        file.write("o\n")
    assert tail.read() == [b"two"]
    assert tail.read() == []
    tail.close()
    tail.close()


def test_a_file_that_appears_is_new(tmp_path: Path):
    """A file that was not there is read from its beginning, also one that was removed.

    That it never was there is said; a moment without it, as in a rotation, is nothing.
    """
    log = tmp_path / "log"
    tail = FileTail(log)
    for _look in range(2):
        with pytest.raises(FileNotFoundError):
            tail.read()
    log.write_text("first\n")
    assert tail.read() == [b"first"]
    log.unlink()
    assert tail.read() == []
    log.write_text("again\n")
    assert tail.read() == [b"again"]


def test_rotation_loses_nothing(tmp_path: Path):
    """The end of the file that was moved away comes first, then the new one."""
    log = tmp_path / "log"
    log.write_text("")
    tail = FileTail(log)
    tail.read()
    with log.open("a") as file:
        file.write("end of the old\n")
    log.rename(tmp_path / "log.1")
    log.write_text("begin of the new\n")
    assert tail.read() == [b"end of the old", b"begin of the new"]


def test_truncation_begins_anew(tmp_path: Path):
    """A file that was emptied in place is read from its beginning."""
    log = tmp_path / "log"
    log.write_text("")
    tail = FileTail(log)
    tail.read()
    log.write_text("a long first line\n")
    tail.read()
    os.truncate(log, 0)
    assert tail.read() == []
    log.write_text("new\n")
    assert tail.read() == [b"new"]


def test_a_flood_is_bounded(tmp_path: Path):
    """Of more than a look reads, the newest; a line without end is cut."""
    log = tmp_path / "log"
    log.write_text("")
    tail = FileTail(log)
    tail.read()
    with log.open("wb") as file:
        file.write(b"x" * 100 + b"\n" + b"y" * (2 * MOST) + b"\nlast\n")
    lines = tail.read()
    assert lines[-1] == b"last"
    assert sum(map(len, lines)) <= MOST


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused(tmp_path: Path, make: object):
    """A pipe would hang and a folder has no lines: both are refused at once."""
    assert callable(make)
    make(tmp_path / "log")
    with pytest.raises(OSError, match=r"regular file|directory"):
        FileTail(tmp_path / "log").read()
