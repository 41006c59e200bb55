"""Quick scrapes: answered as the framework answers them, and nothing else is taken for one."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp.test_utils import unused_port
from hypothesis import given
from hypothesis import strategies as st

from agent.catalog import agent as catalog
from agent.config import Listen
from agent.model import Frame, SeriesTable
from exporters import quick
from exporters.http_api import HttpApi, Views
from exporters.prometheus import PrometheusExporter
from exporters.quick import IDLE, Asked, QuickScrapes, understood
from tests.fakes.clock import ManualClock

HOST = b"Host: here\r\n"
PLAIN = b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n"


async def _reload() -> None:
    """Reload nothing."""


VIEWS = Views(
    engine_pages=dict,
    sources=list,
    reload=_reload,
    banner="",
    version="1",
    interval=lambda: 1.0,
)


class Served:
    """An endpoint that listens, and what is asked of it byte by byte."""

    def __init__(self, page: PrometheusExporter, port: int) -> None:
        self.page = page
        self._port = port

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection."""
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def ask(
        self, request: bytes, answers: int = 1
    ) -> list[tuple[str, dict[str, str], bytes]]:
        """Return status line, headers and body of each answer to what is sent at once."""
        reader, writer = await self.open()
        writer.write(request)
        found = [await answer(reader) for _ in range(answers)]
        writer.close()
        return found


async def answer(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    """Return status line, headers and body of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:-2])
    return head[0], headers, await reader.readexactly(int(headers["Content-Length"]))


@asynccontextmanager
async def served(series: int = 3, *, ticks: int = 1) -> AsyncIterator[Served]:
    """Serve a page of so many series."""
    page, port, table = PrometheusExporter(ManualClock()), unused_port(), SeriesTable()
    api = HttpApi(page, VIEWS)
    ids = [table.intern(catalog.SOURCE_UP, (f"s{number}",)) for number in range(series)]
    for _ in range(ticks):
        await page.publish(Frame(100.0, table, ids, [1.0] * series))
    await api.listen([Listen(host="127.0.0.1", port=port)])
    try:
        yield Served(page, port)
    finally:
        await api.aclose()


async def test_the_quick_answer_is_that_of_the_framework():
    """Whether a request is plain makes no difference."""
    plain = b"GET /metrics HTTP/1.1\r\n" + HOST
    async with served() as endpoint:
        ((status, quick, body),) = await endpoint.ask(plain + b"\r\n")
        ((other_status, ordinary, same),) = await endpoint.ask(
            plain + b"Connection: keep-alive\r\n\r\n"
        )
    assert (status, body) == (other_status, same)
    assert body.endswith(b"frame_age_seconds 0\n")
    assert quick.keys() == ordinary.keys()
    del quick["Date"], ordinary["Date"]
    assert quick == ordinary


def test_passwords_are_not_remembered():
    """A request is kept to be understood sooner the next time, but not one with a password."""
    before = quick._remembered.cache_info().currsize
    request = PLAIN.removesuffix(b"\r\n") + b"aUthorization: Basic eDp5\r\n\r\n"
    found = understood(request, "/metrics")
    assert found == Asked("", "", "Basic eDp5")
    assert quick._remembered.cache_info().currsize == before


async def test_one_connection_serves_many_scrapes_and_then_anything():
    """A kept connection answers each request in turn, whichever way it takes."""
    async with served() as endpoint:
        reader, writer = await endpoint.open()
        bodies = []
        for path in (b"/metrics", b"/metrics", b"/-/ready", b"/metrics"):
            writer.write(PLAIN.replace(b"/metrics", path))
            bodies.append((await answer(reader))[2])
        writer.close()
    assert bodies[0] == bodies[1] == bodies[3]
    assert bodies[2] == b"ready\n"


async def test_a_request_that_comes_in_two_pieces_is_answered():
    """The framework waits for the rest of it."""
    async with served() as endpoint:
        reader, writer = await endpoint.open()
        writer.write(PLAIN[:20])
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(PLAIN[20:])
        assert (await answer(reader))[0] == "HTTP/1.1 200 OK"
        writer.close()


async def test_requests_behind_one_another_are_all_answered():
    """Three requests sent at once have three answers."""
    async with served() as endpoint:
        found = await endpoint.ask(PLAIN * 3, answers=3)
    assert len({body for _status, _headers, body in found}) == 1


async def test_no_page_is_said_by_the_framework():
    """Before the first tick a scrape is told so, with 503."""
    async with served(ticks=0) as endpoint:
        ((status, _headers, body),) = await endpoint.ask(PLAIN)
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert body == b"the first tick is not complete yet\n"


async def test_an_error_is_said_by_the_framework(monkeypatch: pytest.MonkeyPatch):
    """A page that cannot be made is answered with 500, and the connection is not just dropped."""
    async with served() as endpoint:

        def fail(*, openmetrics: bool) -> bytes:
            raise RuntimeError(openmetrics)

        monkeypatch.setattr(endpoint.page, "render", fail)
        ((status, _headers, _body),) = await endpoint.ask(PLAIN)
    assert status == "HTTP/1.1 500 Internal Server Error"


async def test_who_does_not_read_is_not_written_to_for_ever():
    """A client that asks on and on without reading is not asked for more once a buffer is full."""
    made: list[QuickScrapes] = []
    answers = 0

    def count(_asked: Asked, _remote: str | None) -> tuple[bytes, bytes]:
        nonlocal answers
        answers += 1
        return b"", bytes(1 << 20)

    def connection() -> QuickScrapes:
        made.append(
            QuickScrapes("/metrics", answer=count, ordinary=asyncio.Protocol, open_ones=set())
        )
        return made[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", port := unused_port())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = 0
    while asked < 200 and (asked < 2 or answers == asked):
        writer.write(PLAIN)
        asked += 1
        for _ in range(20):  # turns of the loop, in which an answer would be made
            await asyncio.sleep(0)
    assert answers < 100
    for _ in range(answers):
        await reader.readexactly(1 << 20)
    await reader.readexactly(1 << 20)  # what was asked meanwhile is answered then
    writer.close()
    server.close()


class Transport(asyncio.Transport):
    """A connection whose other end reads what is written, or does not."""

    def __init__(self, *, read: bool = True) -> None:
        super().__init__({"socket": socket.socket()})
        self._read = read
        self._unread = 0
        self.ended = ""

    def write(self, data: object) -> None:
        """Take bytes."""
        assert isinstance(data, bytes)
        self._unread += 0 if self._read else len(data)

    def get_write_buffer_size(self) -> int:
        """Return what was not read."""
        return self._unread

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Belong to another."""

    def close(self) -> None:
        """End when all is read."""
        self.ended = "closed"

    def abort(self) -> None:
        """End now."""
        self.ended = "aborted"


class Later:
    """What is to be done at a later time, by hand."""

    def __init__(self) -> None:
        self.due: dict[asyncio.TimerHandle, float] = {}

    def __call__(self, seconds: float, do: Callable[[], None]) -> asyncio.TimerHandle:
        """Take note of it."""
        handle = asyncio.TimerHandle(seconds, do, (), asyncio.get_running_loop())
        self.due[handle] = seconds
        return handle

    def pass_by(self) -> None:
        """Let all of it be due."""
        for handle in [*self.due]:
            del self.due[handle]
            if not handle.cancelled():
                handle._run()


def _quick(later: Later) -> QuickScrapes:
    """Return a connection that is answered with a few bytes."""
    return QuickScrapes(
        "/metrics",
        answer=lambda _asked, _remote: (b"head", b"page"),
        ordinary=asyncio.Protocol,
        open_ones=set(),
        later=later,
    )


@pytest.mark.parametrize(("read", "ended"), [(True, "closed"), (False, "aborted")])
async def test_a_connection_that_stays_idle_is_ended(read: bool, ended: str):  # noqa: FBT001
    """Whether it never asked or asks no more, and at once where its answer is not read either."""
    for asked in (0, 3):
        later = Later()
        connection, transport = _quick(later), Transport(read=read or not asked)
        connection.connection_made(transport)
        for _ in range(asked):
            connection.data_received(PLAIN)
        assert transport.ended == ""
        assert [seconds for handle, seconds in later.due.items() if not handle.cancelled()] == [
            IDLE
        ]
        later.pass_by()
        assert transport.ended == (ended if asked else "closed")
        transport.get_extra_info("socket").close()


async def test_a_connection_that_is_handed_over_or_lost_is_let_be():
    """The framework has its own limits, and what is gone needs none."""
    for end in ("handed over", "lost"):
        later = Later()
        connection, transport = _quick(later), Transport()
        connection.connection_made(transport)
        if end == "lost":
            connection.connection_lost(None)
        else:
            connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
        later.pass_by()
        assert transport.ended == ""
        transport.get_extra_info("socket").close()


async def test_connections_end_with_the_agent():
    """A scraper's idle connection is closed when the endpoint is."""
    async with served() as endpoint:
        reader, writer = await endpoint.open()
        writer.write(PLAIN)
        await answer(reader)
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /metrics HTTP/1.0\r\n" + HOST + b"\r\n",
        b"GET /metrics?x=1 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"HEAD /metrics HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /metrics HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET /metrics HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + HOST + b"Accept : text/plain\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + HOST + b" folded: x\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + HOST + b"X: \x00\r\n\r\n",
        b"GET /metrics HTTP/1.1\n" + HOST + b"\r\n",
        PLAIN[:-2],
        PLAIN + PLAIN,
        PLAIN[:-2] + b"X: " + b"y" * 5000 + b"\r\n\r\n",
        b"",
    ],
)
def test_what_is_odd_is_left_to_the_framework(request_: bytes):
    """Another version, path or method, a body, a second request: none is a plain scrape."""
    assert understood(request_, "/metrics") is None


@given(st.binary(max_size=200))
def test_no_bytes_are_an_error(data: bytes):
    """Whatever is sent, it is understood or left to the framework."""
    assert understood(data, "/metrics") is None
    assert understood(PLAIN[:-2] + data, "/metrics") in (None, *(_asked(data),))


def _asked(data: bytes) -> Asked | None:
    """Return what bytes behind the first header would ask, taken apart in another way."""
    fields = [line.partition(":") for line in data.decode("latin-1").split("\r\n")]
    found = {name.lower(): value.strip(" \t") for name, _, value in fields}
    return Asked(found.get("accept", ""), found.get("accept-encoding", ""))


def test_what_a_scraper_wants_is_understood():
    """Both headers come through as they stand, whatever the case of their names."""
    request = PLAIN[:-2] + b"ACCEPT: text/plain;q=0.5\r\naccept-encoding:gzip \r\nUser-Agent: p\r\n"
    assert understood(request + b"\r\n", "/metrics") == Asked("text/plain;q=0.5", "gzip")
