"""The spool: what is written is there again, whatever happens to the file."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.spool import Spool

ITEMS = [{"n": number, "text": "é\n" * number} for number in range(5)]


def spool(tmp_path: Path, size: int = 10_000) -> Spool:
    """Return a spool in a folder that is not there yet."""
    return Spool(tmp_path / "spool" / "main.spool", max_size=size)


def test_what_was_saved_is_loaded(tmp_path: Path):
    """Items come back in their order from another process's point of view."""
    assert spool(tmp_path).save(ITEMS) == 0
    loaded = spool(tmp_path).load()
    assert (loaded.items, loaded.damaged) == (ITEMS, 0)


def test_nothing_waits_where_there_is_no_file(tmp_path: Path):
    """Without a file nothing waits; with nothing to wait there is no file."""
    one = spool(tmp_path)
    assert one.load().items == []
    one.save(ITEMS)
    one.save([])
    assert not one.path.exists()
    one.save([])


def test_the_oldest_go_when_it_is_full(tmp_path: Path):
    """The file stays within its size; what is left out are the first items."""
    one = spool(tmp_path, 200)
    items = [{"n": number, "pad": "x" * 20} for number in range(20)]
    left_out = one.save(items)
    assert one.path.stat().st_size <= 200
    assert 0 < left_out < 20
    assert one.load().items == items[left_out:]


def test_an_item_that_is_larger_than_the_file_is_left_out(tmp_path: Path):
    """One huge item empties the spool and does not break it."""
    one = spool(tmp_path, 100)
    assert one.save([{"pad": "x" * 1000}]) == 1
    assert one.load().items == []


@given(data=st.data())
def test_damage_costs_only_the_damaged_lines(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
):
    """Whatever bytes change, every line that is left whole is read, and no other."""
    one = spool(tmp_path_factory.mktemp("spool"))
    one.save(ITEMS)
    content = bytearray(one.path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    one.path.write_bytes(bytes(content))
    loaded = one.load()
    assert all(item in ITEMS for item in loaded.items)
    assert len(loaded.items) >= len(ITEMS) - 2


@given(content=st.binary(max_size=300))
def test_any_file_can_be_loaded(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    """A file that is not ours gives nothing and raises nothing."""
    one = spool(tmp_path_factory.mktemp("spool"))
    one.path.parent.mkdir()
    one.path.write_bytes(content)
    assert one.load().items == []


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """When the new file cannot be written the old one is whole, and nothing else is left."""
    one = spool(tmp_path)
    one.save(ITEMS)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        one.save([{"n": 9}])
    assert one.load().items == ITEMS
    assert [path.name for path in one.path.parent.iterdir()] == ["main.spool"]


def test_a_file_that_outgrew_its_bound_is_read_up_to_it(tmp_path: Path):
    """A spool that someone filled up does not fill the memory."""
    one = spool(tmp_path, 1000)
    Spool(one.path, max_size=10**6).save([{"n": number} for number in range(1000)])
    loaded: Any = one.load()
    assert 0 < len(loaded.items) < 100
