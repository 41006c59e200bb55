"""Answers that are sent piece by piece."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from io import BytesIO

import pytest
from aiohttp import web

from exporters.http_report import Answer as Report
from exporters.http_report import respond
from exporters.prometheus_body import send

Send = Callable[[web.Request, BytesIO], Awaitable[web.StreamResponse]]


async def of_a_query(request: web.Request, answer: BytesIO) -> web.StreamResponse:
    """Send the answer to a query."""

    class Answer:
        file = answer
        close = answer.close

    return await send(request, Answer(), {})


async def of_a_report(request: web.Request, answer: BytesIO) -> web.StreamResponse:
    """Send a report."""

    async def make(_query: Mapping[str, str]) -> Report:
        return Report(200, body=answer)

    return await respond(request, make)


@pytest.mark.parametrize("sent", [of_a_query, of_a_report])
@pytest.mark.parametrize("size", [0, 1, 1 << 22])
async def test_who_is_gone_is_no_error(caplog: pytest.LogCaptureFixture, size: int, sent: Send):
    """Whoever gives up while the answer comes about leaves no traceback, and the answer is let go.

    Unlike the server of aiohttp's tests, the real one goes on with what nobody waits for.
    """
    asked, done = asyncio.Event(), asyncio.Event()
    answer = BytesIO(b"x" * size)

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.set()
        while request.transport is not None:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)
        try:
            return await sent(request, answer)
        finally:
            done.set()

    application = web.Application()
    application.router.add_get("/", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _reader, writer = await asyncio.open_connection(*runner.addresses[0])
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asked.wait()
    writer.close()
    await writer.wait_closed()
    await done.wait()
    await runner.cleanup()

    assert caplog.messages == []
    assert answer.closed
