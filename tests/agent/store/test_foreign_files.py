"""Files that are another program's, another agent's or of another version."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.agent.store.agents import START, Agent, kept_of, other_files
from tests.fakes.history import FULL, named


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
    assert other_files(path) == ["history.db", aside]
    assert (tmp_path / aside).read_bytes()[100:] == before[100:]
    assert any(aside in sentence for sentence in agent.told)
    assert len(kept_of(path)) == 40


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
    assert other_files(path) == ["history.db"]
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
    assert len(kept_of(path)) == 64


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
    assert len(kept_of(path)) == 150


def test_the_second_agent_takes_over_when_the_first_ends(tmp_path: Path):
    """A file that is free again is written to, from what is still in memory on."""
    path = tmp_path / "history.db"
    first, second = Agent(path), Agent(path)
    second.run(START, 320)
    first.close()
    second.run(START + 320, 320)
    assert second.history.status.writable
    second.close()
    assert len(kept_of(path)) == 64


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
    assert other_files(path) == ["history.db"]
    assert agent.told == []
