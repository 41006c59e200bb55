"""Reports over HTTP, made by whoever was handed over."""

import io
from collections.abc import Mapping

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from exporters.http_report import Answer, Make, no_reports, respond


async def _client(make: Make) -> TestClient[web.Request, web.Application]:
    """Return a client of a server that answers by a function."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await respond(request, make)

    application = web.Application()
    application.router.add_get("/report", handle)
    return TestClient(TestServer(application))


async def test_a_report_is_sent_as_it_is():
    """Large ones in pieces, with their type, and not kept by anyone in between."""
    text = ("é" * 400_000).encode()
    asked: list[Mapping[str, str]] = []

    async def make(query: Mapping[str, str]) -> Answer:
        asked.append(dict(query))
        return Answer(200, body=io.BytesIO(text), kind="text/html")

    async with await _client(make) as client:
        answer = await client.get("/report", params={"instance": "a&b"})

        assert await answer.read() == text
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
    assert asked == [{"instance": "a&b"}]


@pytest.mark.parametrize(("status", "again"), [(400, False), (404, False), (503, True)])
async def test_why_there_is_none(status: int, again: bool):  # noqa: FBT001 - a parameter
    """In a sentence; whoever should try again is told when."""

    async def make(_query: Mapping[str, str]) -> Answer:
        return Answer(status, why="because")

    async with await _client(make) as client:
        answer = await client.get("/report")

        assert (answer.status, await answer.text()) == (status, "because\n")
        assert ("Retry-After" in answer.headers) is again


async def test_a_parameter_given_twice_is_refused():
    """Nobody could say which of them counts."""
    async with await _client(no_reports) as client:
        answer = await client.get("/report?model=a&model=b")

        assert answer.status == 400


async def test_a_replay_has_no_history():
    """It says so."""
    async with await _client(no_reports) as client:
        answer = await client.get("/report")

        assert answer.status == 404
        assert "no history" in await answer.text()
