"""Folder and receivers: tried for real, on loopback and in a folder of the test."""

import contextlib
import sqlite3
from pathlib import Path

from agent.app.doctor.finding import Finding, State
from agent.app.doctor.surroundings import receivers, state_folder
from agent.config import Settings
from agent.config.receivers import AlertReceiver, AlertReceivers
from agent.config.settings import Exporters, History
from tests.agent.app.doctor.answerer import answering
from tests.e2e.process import free_port
from tests.fakes.closed import closed


def test_a_folder_that_can_be_written(tmp_path: Path):
    """Nothing is left behind in it, and one that is not there yet is not made."""
    found = state_folder(History(path=tmp_path / "history.db"))
    assert (found.state, "can be written" in found.found) == (State.OK, True)
    later = state_folder(History(path=tmp_path / "a" / "b" / "history.db"))
    assert (later.state, "will be made" in later.found) == (State.OK, True)
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_cannot_be_written():
    """Whoever owns it may change that; for others it is not theirs."""
    found = state_folder(History(path=Path("/proc/1/history.db")))
    assert found.state in (State.BROKEN, State.MISSING)
    assert "history, incidents" in found.costs


def test_a_folder_behind_one_that_is_closed(tmp_path: Path):
    """Such as one in somebody's home, seen with the rights of the service."""
    (tmp_path / "home").mkdir()
    with closed(tmp_path / "home"):
        found = state_folder(History(path=tmp_path / "home" / "state" / "history.db"))
    assert (found.state, "Permission denied" in found.found) == (State.MISSING, True)


def test_a_history_that_is_none(tmp_path: Path):
    """A folder, or another program's database, in its place: nothing would be kept."""
    (tmp_path / "history.db").mkdir()
    found = state_folder(History(path=tmp_path / "history.db"))
    assert (found.state, "is a folder" in found.found) == (State.BROKEN, True)
    other = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE users (name TEXT)")
    found = state_folder(History(path=other))
    assert (found.state, "of another program" in found.found) == (State.BROKEN, True)
    assert "history.path" in found.advice


def test_no_history_is_wanted():
    """Then no folder is missed."""
    assert state_folder(History(enabled=False)).state is State.OK


async def told(*found: AlertReceiver) -> list[Finding]:
    """Return what is found of these receivers."""
    settings = Settings(exporters=Exporters(alertmanager=AlertReceivers(receivers=found)))
    return [finding async for finding in receivers(settings)]


async def test_receivers():
    """None is missing, one that takes connections is well, one that refuses is broken."""
    (none,) = await told()
    assert none.state is State.MISSING
    async with answering() as server:
        there = AlertReceiver(name="main", url=f"http://127.0.0.1:{server.port}")
        gone = AlertReceiver(name="old", url=f"http://127.0.0.1:{free_port()}")
        well, broken = await told(there, gone)
    assert (well.topic, well.state) == ("Alertmanager main", State.OK)
    assert (broken.topic, broken.state) == ("Alertmanager old", State.BROKEN)
    assert "test-alert" in well.found
