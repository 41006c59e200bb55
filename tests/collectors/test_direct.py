"""The kept connection: what it reads itself, and what it leaves to the ordinary client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from collectors.direct import DirectClient


class Server:
    """Answers each request with the next of these byte strings, in pieces; empty means close.

    Attributes:
        requests: what was asked, whole.
        connections: how many there were.
        silent: a request that is not answered sets this.
    """

    def __init__(self, *answers: bytes, piece: int = 1 << 20) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.silent = asyncio.Event()
        self._answers = list(answers)
        self._piece = piece

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                if not self._answers:
                    self.silent.set()
                    continue
                answer = self._answers.pop(0)
                if not answer:
                    break
                for start in range(0, len(answer), self._piece):
                    writer.write(answer[start : start + self._piece])
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def asking(server: Server, *, max_size: int = 1 << 20) -> AsyncIterator[DirectClient]:
    """Return a client that has learnt that the server's page is simple."""
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    client = DirectClient(
        f"http://127.0.0.1:{port}/base",
        unix_socket=None,
        headers={"Accept": "text/plain"},
        max_size=max_size,
    )
    client.learn("/metrics", is_simple=True)
    try:
        yield client
    finally:
        await client.aclose()
        await client.aclose()
        listener.close()


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return an answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize("piece", [1, 1 << 20], ids=["byte by byte", "at once"])
async def test_a_simple_answer_is_read_whole(piece: int):
    """Body and headers are those that were sent, however the network cuts them."""
    server = Server(answer(b"a 1\n", "Process-Start-Time-Unix: 7"), piece=piece)
    async with asking(server) as client:
        found = await client.get("/metrics")
    assert found is not None
    assert found.body == b"a 1\n"
    assert found.headers["process-start-time-unix"] == "7"


async def test_a_page_larger_than_the_buffer_is_read_whole():
    """What came before is kept until the rest is there."""
    page = b"a 1\n" * 200_000
    server = Server(answer(page), answer(b"a 2\n"), answer(page))
    async with asking(server) as client:
        bodies = [found.body for _ in range(3) if (found := await client.get("/metrics"))]
    assert bodies == [page, b"a 2\n", page]


async def test_pages_that_come_in_pieces_at_the_same_time_are_kept_apart():
    """However the pieces of several servers' answers mingle, each has its own."""
    pages = [b"%d 1\n" % number * 20_000 for number in range(4)]
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(asking(Server(answer(page), piece=1000)))
            for page in pages
        ]
        found = await asyncio.gather(*(client.get("/metrics") for client in clients))
    assert [one and one.body for one in found] == pages


async def test_one_connection_serves_all_requests():
    """The connection is kept, and each request is the one that was configured."""
    server = Server(answer(b"a 1\n"), answer(b""))
    async with asking(server) as client:
        assert await client.get("/metrics")
        assert await client.get("/metrics")
    assert server.connections == 1
    start, *fields = server.requests[0].decode().split("\r\n")
    assert start == "GET /base/metrics HTTP/1.1"
    assert "Accept: text/plain" in fields
    assert server.requests[1] == server.requests[0]


async def test_nothing_is_asked_of_a_server_that_nothing_is_known_of():
    """Before the first ordinary answer to a path, and for paths that need quoting, it is silent."""
    server = Server()
    async with asking(server) as client:
        client.learn("/a b", is_simple=True)
        client.learn("/other", is_simple=False)
        for path in ("/unknown", "/a b", "/other"):
            assert await client.get(path) is None
    assert server.requests == []


@pytest.mark.parametrize(
    "unusual",
    [
        answer(b"gone", status="404 Not Found"),
        answer(b"a 1\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
        answer(b"x", "Content-Encoding: gzip"),
        answer(b"x", "Transfer-Encoding: chunked"),
        answer(b"x", "Content-Length: 2"),
        answer(b"x", " folded: header"),
        answer(b"x").replace(b": 1", b": +1"),
        answer(b"x").replace(b": 1", b": \xc2\xb9"),
        answer(b"a 1\n") + b"more than was announced",
        answer(b"x" * 2000),
        b"HTTP/1.1 200 OK\r\n\r\nno length",
        b"x" * (1 << 15),
        b"",
    ],
    ids=lambda given: given[:60].decode("latin-1"),
)
async def test_whatever_is_unusual_is_left_to_the_ordinary_client(unusual: bytes):
    """It is no answer and no error, and no more is asked until the server is learnt anew."""
    server = Server(unusual, answer(b"a 2\n"))
    async with asking(server, max_size=1000) as client:
        assert await client.get("/metrics") is None
        asked = len(server.requests)
        assert await client.get("/metrics") is None
        assert len(server.requests) == asked
        client.learn("/metrics", is_simple=True)
        found = await client.get("/metrics")
    assert found is not None
    assert found.body == b"a 2\n"


async def test_an_answer_that_is_cut_off_is_none():
    """A body shorter than announced is never handed on."""
    listener = await asyncio.start_server(_cut, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    client = DirectClient(f"http://127.0.0.1:{port}", unix_socket=None, headers={}, max_size=1000)
    client.learn("/metrics", is_simple=True)
    assert await client.get("/metrics") is None
    await client.aclose()
    listener.close()


async def _cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Announce more than is sent."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    writer.close()


async def test_a_server_that_is_gone_is_none():
    """A refused connection is the ordinary client's to explain."""
    client = DirectClient("http://127.0.0.1:9", unix_socket=None, headers={}, max_size=1000)
    client.learn("/metrics", is_simple=True)
    assert await client.get("/metrics") is None
    await client.aclose()


async def test_a_connection_that_the_server_closed_is_opened_again():
    """A server that closes after each answer, having said so or not, is asked over a new one."""
    server = Server(answer(b"a 1\n", "Connection: close"), answer(b"a 2\n"))
    async with asking(server) as client:
        first, second = await client.get("/metrics"), await client.get("/metrics")
    assert (first, second) != (None, None)
    assert server.connections == 2


async def test_a_request_that_is_given_up_takes_its_connection_with_it():
    """After a cancelled request the late answer cannot be taken for that of the next."""
    server = Server()
    async with asking(server) as client:
        pending = asyncio.create_task(client.get("/metrics"))
        await server.silent.wait()
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
        server._answers.append(answer(b"a 2\n"))
        found = await client.get("/metrics")
    assert found is not None
    assert found.body == b"a 2\n"
    assert server.connections == 2


async def test_a_second_request_at_the_same_time_is_left_to_the_ordinary_client():
    """One connection carries one request; the other is not made to wait."""
    server = Server()
    async with asking(server) as client:
        pending = asyncio.create_task(client.get("/metrics"))
        await server.silent.wait()
        assert await client.get("/metrics") is None
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
