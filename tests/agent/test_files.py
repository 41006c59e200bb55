"""A file that is replaced is the old one or the new one, and nothing is left beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.app.state_file import read_state, write_state
from agent.files import replace_file


def test_the_new_one_takes_the_place_of_the_old(tmp_path: Path):
    """The folder is made, and the file holds the parts in their order."""
    path = tmp_path / "folder" / "file"
    for parts in ([b"one"], [b"an", b"other"], []):
        replace_file(path, parts)
        assert path.read_bytes() == b"".join(parts)
    assert [*path.parent.iterdir()] == [path]


def test_what_fails_leaves_the_old_one(tmp_path: Path):
    """Whether the disk fails or what was to be written: nothing half written stays either."""
    path = tmp_path / "file"
    replace_file(path, [b"old"])

    def failing() -> Iterator[bytes]:
        yield b"new"
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        replace_file(path, failing())
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


def test_a_state_that_is_no_json_leaves_nothing_behind(tmp_path: Path):
    """What cannot be written is told, and what was saved before is still there."""
    path = tmp_path / "state.json"
    write_state(path, {"a": [1, 2.5, None, "é"]})
    with pytest.raises(TypeError):
        write_state(path, {"a": 1, "b": object()})
    assert read_state(path) == {"a": [1, 2.5, None, "é"]}
    assert [*tmp_path.iterdir()] == [path]
