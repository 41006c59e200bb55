"""Whatever happens to the disk or the file, the agent goes on and says what it lost."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.model import SeriesTable
from agent.store.database import HistoryError
from agent.store.history import History
from agent.store.reader import HistoryReader
from agent.store.ring import BACKLOG
from agent.store.target import Target
from agent.store.writer import RETRY, Limits
from tests.fakes.clock import ManualClock
from tests.fakes.history import FULL, frame, named, series

START = 1_800_000_000.0


class Agent:
    """A history, and what it told."""

    def __init__(self, path: Path, **options: object) -> None:
        self.told: list[str] = []
        self.table = SeriesTable()
        self.history = History(
            self.table,
            clock=ManualClock(),
            path=path,
            told=self.told.append,
            **options,  # type: ignore[arg-type]
        )

    def run(self, start: float, seconds: int, *, count: int = 3, step: int = 10) -> None:
        """Append ticks; the disk has its time at each window's end."""
        ids = [series(self.table, FULL, str(name)) for name in range(count)]
        for second in range(0, seconds, step):
            values = dict.fromkeys(ids, start + second)
            self.history.append(frame(self.table, start + second, values))
            if (start + second) % 300 < step:
                assert self.history.drain(20.0)
        assert self.history.drain(20.0)

    def close(self) -> None:
        """Close the history."""
        assert self.history.close()


def _kept(path: Path) -> list[float]:
    """Return the times that a file has of one series."""
    with closing(HistoryReader(path, Target())) as reader:
        found = reader.select(named(FULL), 0, 2e9)
    return list(found[0].times) if found else []


def _other_files(path: Path) -> list[str]:
    """Return what stands beside a history, its journal left out."""
    beside = ("-wal", "-shm", ".lock")
    return sorted(file.name for file in path.parent.iterdir() if not file.name.endswith(beside))


def _foreign(path: Path) -> None:
    """Write the database of another program."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE users (name TEXT)")
        other.commit()


def _later(path: Path) -> None:
    """Write a database of a version to come."""
    agent = Agent(path)
    agent.close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("word", "make"),
    [
        ("version", _later),
        ("corrupt", lambda path: path.write_bytes(b"not a database" * 1000)),
    ],
)
def test_a_file_that_is_not_ours_is_moved_aside(tmp_path: Path, word: str, make: object):
    """Its new name says why and when, its bytes are kept, and a new history is begun."""
    path = tmp_path / "history.db"
    make(path)  # type: ignore[operator]
    before = path.read_bytes()
    agent = Agent(path)
    agent.run(START, 400)
    agent.close()
    aside = f"history.db.{word}-20270115T080000Z"
    assert _other_files(path) == ["history.db", aside]
    assert (tmp_path / aside).read_bytes()[100:] == before[100:]
    assert any(aside in sentence for sentence in agent.told)
    assert len(_kept(path)) == 40


def test_a_database_of_another_program_is_left_alone(tmp_path: Path):
    """Not a byte of it changes; it is said once what to do, and memory has the last minutes."""
    path = tmp_path / "history.db"
    _foreign(path)
    before = path.read_bytes()
    agent = Agent(path)
    agent.run(START, 1500)
    assert [found.times[-1] for found in agent.history.select(named(FULL), START, START + 1500)]
    assert not agent.history.status.writable
    agent.close()
    assert path.read_bytes() == before
    assert _other_files(path) == ["history.db"]
    assert [*tmp_path.glob("*-wal"), *tmp_path.glob("*-shm")] == []
    (told,) = agent.told
    assert "another program" in told
    assert "history.path" in told


def test_a_database_of_another_program_that_is_taken_away_makes_room(tmp_path: Path):
    """Once its owner has moved it, the history is written as if it had never been there."""
    path = tmp_path / "history.db"
    _foreign(path)
    agent = Agent(path)
    agent.run(START, 320)
    path.rename(tmp_path / "theirs.db")
    agent.run(START + 320, 320)
    assert agent.history.status.writable
    agent.close()
    assert len(_kept(path)) == 64


def test_a_damaged_mark_does_not_make_a_history_foreign(tmp_path: Path, written: Path):
    """A history whose header lost the mark of its program is damaged, and is moved aside."""
    path = tmp_path / "history.db"
    data = bytearray(written.read_bytes())
    data[68:72] = b"\0\1\2\3"
    path.write_bytes(data)
    agent = Agent(path)
    agent.run(START, 320)
    agent.close()
    assert len(_other_files(path)) == 2


def test_two_agents_on_one_file(tmp_path: Path):
    """The second says who has it and what to do, keeps memory only, and leaves the file alone."""
    path = tmp_path / "history.db"
    first, second = Agent(path), Agent(path)
    assert (first.history.taken, second.history.taken) == (False, True)
    first.run(START, 1500)
    second.run(START, 1500)
    for agent, writable in ((first, True), (second, False)):
        assert agent.history.status.writable is writable
    found = second.history.select(named(FULL), START, START + 1500)
    assert found[0].times[0] >= START + 300
    second.close()
    first.close()
    assert first.told == []
    (told,) = second.told
    assert f"process {os.getpid()}" in told
    assert "history.path" in told
    assert len(_kept(path)) == 150


def test_the_second_agent_takes_over_when_the_first_ends(tmp_path: Path):
    """A file that is free again is written to, from what is still in memory on."""
    path = tmp_path / "history.db"
    first, second = Agent(path), Agent(path)
    second.run(START, 320)
    first.close()
    second.run(START + 320, 320)
    assert second.history.status.writable
    second.close()
    assert len(_kept(path)) == 64


def test_an_agent_that_was_killed_leaves_no_claim(tmp_path: Path):
    """The lock ends with the process, whatever file it leaves behind."""
    path = tmp_path / "history.db"
    (tmp_path / "history.db.lock").write_text("4711\n")
    agent = Agent(path)
    assert not agent.history.taken
    agent.run(START, 320)
    agent.close()
    assert agent.told == []


def test_an_empty_file_is_taken_over(tmp_path: Path):
    """A file without a byte, as a crash at the very start leaves it, is no damage."""
    path = tmp_path / "history.db"
    path.touch()
    agent = Agent(path)
    agent.run(START, 400)
    agent.close()
    assert _other_files(path) == ["history.db"]
    assert agent.told == []


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a history with some segments."""
    path = tmp_path_factory.mktemp("written") / "history.db"
    agent = Agent(path)
    agent.run(START, 1500, count=40)
    agent.close()
    return path


@settings(max_examples=40, deadline=None)
@example(changes=[(0.056640625, b"\x80")], cut=None)  # a message that quotes bytes of no UTF-8
@given(
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=600))),
    st.one_of(st.none(), st.floats(0, 1)),
)
def test_no_damage_to_the_file_stops_the_history(
    written: Path, changes: list[tuple[float, bytes]], cut: float | None
):
    """With any bytes changed, or its end cut off, reading raises nothing and writing goes on."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        data = bytearray(written.read_bytes())
        for place, change in changes:
            start = int(place * len(data))
            data[start : start + len(change)] = change[: len(data) - start]
        path.write_bytes(data if cut is None else data[: int(cut * len(data))])
        agent = Agent(path)
        agent.history.select(named(FULL), 0, START + 3000)
        agent.run(START + 1500, 700, count=40)
        found = agent.history.select(named(FULL), START + 1500, START + 2200)
        assert found
        assert len(found[0].times) >= 33  # what is in memory, at the least
        assert agent.history.status.writable
        agent.history.select(named(FULL), 0, START + 3000, resolution=300)
        agent.close()


def test_a_folder_that_cannot_be_had_is_tried_again(tmp_path: Path):
    """Until the folder is there, nothing is written and the gauge says so; then all goes on."""
    folder = tmp_path / "folder"
    folder.write_text("a file in its place")
    agent = Agent(folder / "history.db")
    agent.run(START, 320)
    assert not agent.history.status.writable
    assert len(agent.told) == 1
    folder.unlink()
    agent.run(START + 320, 320)
    assert agent.history.status.writable
    agent.close()
    assert len(_kept(folder / "history.db")) == 64
    assert agent.history.status.lost == {"clock": 0, "disk": 0}


def test_what_waits_too_long_for_the_disk_is_given_up_and_counted(tmp_path: Path):
    """Memory stays bounded while the disk takes nothing; each sample is written or counted."""
    folder = tmp_path / "folder"
    folder.write_text("a file in its place")
    agent = Agent(folder / "history.db")
    agent.run(START, 6000, count=2)
    ring = agent.history._rings[""]
    assert len(ring.segments) <= BACKLOG + 2
    folder.unlink()
    agent.run(START + 6000, 300, count=2)
    agent.close()
    lost = agent.history.status.lost["disk"]
    assert lost > 0
    assert lost + agent.history.status.saved == 630 * 3  # two series and `up`


def test_a_disk_that_hangs_costs_no_memory(tmp_path: Path):
    """While the thread that writes stands still, what waits is bounded and nobody waits for it."""
    path = tmp_path / "history.db"
    path.write_bytes(b"not a database" * 1000)
    hangs, goes_on = threading.Event(), threading.Event()

    def told(_sentence: str) -> None:
        hangs.set()
        assert goes_on.wait(20.0)

    table = SeriesTable()
    history = History(table, clock=ManualClock(), path=path, told=told)
    assert hangs.wait(20.0)
    for second in range(0, 6000, 10):
        history.append(frame(table, START + second, {series(table, FULL, "a"): 1.0}))
    writer = history._writer
    assert writer is not None
    assert len(history._rings[""].segments) <= BACKLOG + 2
    assert len(writer._submitted) <= BACKLOG + 1
    assert writer._queue.qsize() < 10
    assert not history.close(timeout=0.01)
    goes_on.set()
    writer._thread.join(20.0)
    assert not writer._thread.is_alive()
    assert history.status.lost["disk"] + history.status.saved == 600 * 2


def test_a_file_that_is_removed_is_made_anew(tmp_path: Path):
    """Writing does not go on into a file that has no name any more."""
    path = tmp_path / "history.db"
    agent = Agent(path)
    agent.run(START, 600)
    for file in tmp_path.iterdir():
        file.unlink()
    agent.run(START + 600, 600)
    agent.close()
    assert any("removed or replaced" in sentence for sentence in agent.told)
    assert len(_kept(path)) >= 60


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("needs root, to mount a small disk")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=False
    )
    if done.returncode != 0:
        pytest.skip("this host lets nobody mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_loses_only_what_does_not_fit(small_disk: Path):
    """What was written stays readable, what was not is counted, and room is used once there is."""
    path = small_disk / "history.db"
    filler = small_disk / "filler"
    agent = Agent(path)
    agent.run(START, 600, count=200)
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1024))
    agent.run(START + 600, 3000, count=200, step=5)
    assert not agent.history.status.writable
    assert agent.history.status.lost["disk"] > 0
    assert any("full" in sentence for sentence in agent.told)
    assert len(agent.told) < 10
    filler.unlink()
    for second in range(RETRY + 1):
        agent.run(START + 3600 + second, 1, count=200)
    agent.run(START + 3620, 300, count=200)
    assert agent.history.status.writable
    agent.close()
    kept = _kept(path)
    assert kept[:30] == [START + 10 * tick for tick in range(30)]
    assert kept[-1] == START + 3910


def test_a_read_only_disk_leaves_what_is_in_memory_and_what_was_written(small_disk: Path):
    """Nothing is written, queries go on; once the disk is writable, so is the history."""
    path = small_disk / "history.db"
    agent = Agent(path)
    agent.run(START, 400)
    agent.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    agent = Agent(path)
    agent.run(START + 400, 400)
    assert not agent.history.status.writable
    (found,) = agent.history.select(named(FULL), START, START + 790)[:1]
    assert len(found.times) == 79
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    agent.run(START + 800, 400)
    assert agent.history.status.writable
    agent.close()
    assert len(_kept(path)) == 120


def test_reading_what_is_not_there_says_so(tmp_path: Path):
    """A command gets a sentence, not a traceback; a history that has just begun gets nothing."""
    with pytest.raises(HistoryError, match="no history yet"):
        HistoryReader(tmp_path / "history.db", Target()).stored()
    (tmp_path / "other.db").write_text("something else, of more than a page" * 200)
    with pytest.raises(HistoryError, match=r"other\.db"):
        HistoryReader(tmp_path / "other.db", Target()).stored()


def test_a_jump_of_the_clock_to_another_year_deletes_nothing(tmp_path: Path):
    """What seems a year old is kept for an hour; put right in time, the clock costs nothing."""
    path = tmp_path / "history.db"
    agent = Agent(path)
    agent.run(START, 900)
    agent.run(START + 365 * 86400, 900)
    agent.run(START + 900, 900)
    agent.close()
    assert [time for time in _kept(path) if time < START + 1800] == [
        START + 10 * tick for tick in range(180)
    ]


def test_what_is_too_old_goes_full_resolution_first(tmp_path: Path):
    """By age: full resolution after its time, the windows after theirs, series with them."""
    path = tmp_path / "history.db"
    limits = Limits(full_age=3600.0, five_age=7200.0)
    agent = Agent(path, limits=limits)
    agent.run(START, 4 * 3600, step=60)
    now = START + 4 * 3600
    agent.close()
    stored = agent.history.status.stored
    assert stored.full is not None
    assert stored.five is not None
    assert now - 3600 - 600 <= stored.full[0] / 1000 <= now - 3600 + 300
    assert now - 7200 - 600 <= stored.five[0] / 1000 <= now - 7200 + 300
    with closing(HistoryReader(path, Target())) as reader:
        (found,) = reader.select(named(FULL), now - 7200, now)[:1]
    assert len([time for time in found.times if time > now - 3000]) == 49
    assert len([time for time in found.times if time < now - 4500]) < 12


def test_what_is_too_much_goes_oldest_first(tmp_path: Path):
    """By size: the file stays near its limit, and what is left is the newest."""
    path = tmp_path / "history.db"
    limit = 400_000
    agent = Agent(path, limits=Limits(max_size=limit))
    agent.run(START, 12 * 3600, count=100, step=60)
    agent.close()
    stored = agent.history.status.stored
    assert stored.size < 1.3 * limit
    assert stored.full is not None
    assert stored.full[0] / 1000 > START + 3600
    assert stored.full[1] / 1000 > START + 12 * 3600 - 400


def test_series_of_which_nothing_is_left_are_forgotten(tmp_path: Path):
    """Processes come and go for weeks; the table of series holds those of the days kept."""
    path = tmp_path / "history.db"
    agent = Agent(path, limits=Limits(full_age=3600.0, five_age=86400.0))
    for day in range(8):
        ids = {series(agent.table, FULL, f"{day}-{name}"): 1.0 for name in range(10)}
        for second in range(0, 86400, 1800):
            agent.history.append(frame(agent.table, START + day * 86400 + second, ids))
            assert agent.history.drain(10.0)
    agent.close()
    assert agent.history.status.stored.series <= 41
