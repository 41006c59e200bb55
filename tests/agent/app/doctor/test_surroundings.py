"""Folder, address and receivers: tried for real, on loopback and in a folder of the test."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.app.doctor.finding import Finding, State
from agent.app.doctor.surroundings import address, receivers, state_folder
from agent.config import Listen, Settings
from agent.config.receivers import AlertReceiver, AlertReceivers
from agent.config.settings import Exporters, History
from tests.e2e.process import free_port


@dataclass
class Answerer:
    """Answers as it is told.

    Attributes:
        port: where.
        status: of its answers.
        said: in them.
    """

    port: int = 0
    status: int = 200
    said: str = ""

    async def answer(self, _request: web.Request) -> web.Response:
        """Answer a request."""
        return web.Response(status=self.status, text=self.said)


@pytest.fixture
async def server() -> AsyncIterator[Answerer]:
    """Return a server on loopback."""
    answerer = Answerer()
    application = web.Application()
    application.router.add_get("/-/healthy", answerer.answer)
    async with TestServer(application) as found:
        answerer.port = found.port or 0
        yield answerer


@pytest.mark.parametrize(
    ("status", "said", "state", "words"),
    [
        (200, "healthy\n", State.OK, "an agent runs and is healthy"),
        (503, "the last tick was 31 s ago\n", State.BROKEN, "not well: the last tick was 31 s ago"),
        (401, "", State.OK, "wants credentials"),
        (404, "", State.BROKEN, "another program answers"),
        (200, "Prometheus Server is Healthy.\n", State.BROKEN, "another program answers"),
    ],
)
async def test_who_answers(server: Answerer, status: int, said: str, state: State, words: str):
    """A healthy agent, one that is stuck, one that wants a password, and somebody else."""
    server.status, server.said = status, said
    found = await address(Listen("127.0.0.1", server.port))
    assert (found.state, words in found.found) == (state, True)


async def test_an_address_that_is_free():
    """Nothing runs there, and the agent could: what is missing is the agent."""
    found = await address(Listen("127.0.0.1", free_port()))
    assert (found.state, "could listen" in found.found) == (State.MISSING, True)


async def test_an_address_that_another_program_holds():
    """One that speaks no HTTP keeps the agent from starting."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    other = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with other:
        port = other.sockets[0].getsockname()[1]
        found = await address(Listen("127.0.0.1", port))
    assert (found.state, "cannot be had" in found.found) == (State.BROKEN, True)


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


def test_no_history_is_wanted():
    """Then no folder is missed."""
    assert state_folder(History(enabled=False)).state is State.OK


async def told(*found: AlertReceiver) -> list[Finding]:
    """Return what is found of these receivers."""
    settings = Settings(exporters=Exporters(alertmanager=AlertReceivers(receivers=found)))
    return [finding async for finding in receivers(settings)]


async def test_receivers(server: Answerer):
    """None is missing, one that takes connections is well, one that refuses is broken."""
    (none,) = await told()
    assert none.state is State.MISSING
    there = AlertReceiver(name="main", url=f"http://127.0.0.1:{server.port}")
    gone = AlertReceiver(name="old", url=f"http://127.0.0.1:{free_port()}")
    well, broken = await told(there, gone)
    assert (well.topic, well.state) == ("Alertmanager main", State.OK)
    assert (broken.topic, broken.state) == ("Alertmanager old", State.BROKEN)
    assert "test-alert" in well.found
