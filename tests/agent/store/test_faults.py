"""Whatever happens to the disk or the file, the agent goes on and says what it lost."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.model import SeriesTable
from agent.store.claim import Claim
from agent.store.database import HistoryError
from agent.store.history import History
from agent.store.reader import HistoryReader
from agent.store.ring import BACKLOG
from agent.store.target import Target
from agent.store.writer import RETRY
from tests.agent.store.agents import START, Agent, kept_of, other_files
from tests.fakes.clock import ManualClock
from tests.fakes.closed import as_nobody, closed
from tests.fakes.history import FULL, frame, named, series


def test_a_damaged_mark_does_not_make_a_history_foreign(tmp_path: Path, written: Path):
    """A history whose header lost the mark of its program is damaged, and is moved aside."""
    path = tmp_path / "history.db"
    data = bytearray(written.read_bytes())
    data[68:72] = b"\0\1\2\3"
    path.write_bytes(data)
    agent = Agent(path)
    agent.run(START, 320)
    agent.close()
    assert len(other_files(path)) == 2


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a history with some segments."""
    path = tmp_path_factory.mktemp("written") / "history.db"
    agent = Agent(path)
    agent.run(START, 1500, count=40)
    agent.close()
    return path


def test_a_history_in_a_closed_folder_cannot_be_read(tmp_path: Path):
    """Such as that of the service, by whoever is not root: said as any other trouble with it."""
    folder = tmp_path / "state"
    folder.mkdir()
    reader = HistoryReader(folder / "history.db", Target(job="j", instance="i"))
    with (
        contextlib.closing(reader),
        closed(folder),
        pytest.raises(HistoryError, match=r"history\.db: cannot be read: Permission denied"),
    ):
        reader.measure()


def test_a_history_of_somebody_else_cannot_be_read():
    """Why is said, where SQLite says no more than that it cannot open the file."""
    with tempfile.TemporaryDirectory() as name:  # that of the test is closed to others
        path = Path(name) / "history.db"
        path.parent.chmod(0o755)
        path.write_bytes(b"SQLite format 3\0")
        path.chmod(0)
        reader = HistoryReader(path, Target(job="j", instance="i"))
        _refused(reader)


def _refused(reader: HistoryReader) -> None:
    """Ask a history as somebody else."""
    with (
        contextlib.closing(reader),
        as_nobody(),
        pytest.raises(HistoryError, match=r"history\.db: cannot be read: Permission denied"),
    ):
        reader.measure()


def test_a_folder_in_the_place_of_the_history_is_named(tmp_path: Path):
    """Whoever gives the state folder for its file is told so, by commands and by the agent."""
    with pytest.raises(HistoryError, match=r"is a folder, expected a file such as .*/history\.db"):
        HistoryReader(tmp_path, Target()).stored()
    (tmp_path / "history.db").mkdir()
    agent = Agent(tmp_path / "history.db")
    agent.run(START, 320)
    agent.close()
    assert len(agent.told) == 1
    assert agent.told[0].endswith("history.path in the configuration names another place")


def test_a_folder_of_somebody_else_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever tries the agent without root is told how to keep a history all the same."""

    def take(_claim: Claim) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Claim, "take", take)
    agent = Agent(tmp_path / "history.db")
    agent.run(START, 320)
    assert len(agent.told) == 1
    assert agent.told[0].endswith("history.path in the configuration names another place")
    agent.close()


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
    assert len(kept_of(folder / "history.db")) == 64
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
    assert len(kept_of(path)) >= 60


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
    kept = kept_of(path)
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
    assert len(kept_of(path)) == 120


def test_reading_what_is_not_there_says_so(tmp_path: Path):
    """A command gets a sentence, not a traceback; a history that has just begun gets nothing."""
    with pytest.raises(HistoryError, match="no history yet"):
        HistoryReader(tmp_path / "history.db", Target()).stored()
    (tmp_path / "other.db").write_text("something else, of more than a page" * 200)
    with pytest.raises(HistoryError, match=r"other\.db"):
        HistoryReader(tmp_path / "other.db", Target()).stored()
