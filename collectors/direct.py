"""A kept connection for documents that are asked for every second.

A request costs aiohttp a quarter of a millisecond of CPU, and this a tenth of one
(docs/performance.md). It does only what such a request needs: GET over plain TCP or a Unix socket,
answered with 200 and `Content-Length`. Whatever else happens is no error here but `None`, and the
connection is closed: the caller asks again in the ordinary way, whose answer counts.
"""

import asyncio
import re
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

_PLAIN_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_HEAD_LIMIT: Final = 1 << 14
# What comes is taken out of it before anything else is received, so one serves every connection,
# and is in the processor's cache from one page to the next.
_RECEIVED: Final = bytearray(1 << 18)
# Engines say the same of themselves in each answer, and replicas what their neighbours say.
_FIELDS_KEPT: Final = 64
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")


class DirectAnswer(NamedTuple):
    """A whole body and its headers, their names in lower case."""

    body: bytes
    headers: dict[str, str]


class _Head(NamedTuple):
    """What the head of an answer says: where the body begins and ends, and the headers."""

    begin: int
    end: int
    headers: dict[str, str]


class _Connection(asyncio.BufferedProtocol):
    """One connection; one request at a time.

    Args:
        max_size: bytes that a body may have.
    """

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._begun = bytearray()
        self._head: _Head | None = None
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[DirectAnswer | None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> DirectAnswer | None:
        """Return the answer to a request; closes the connection when there is none of use."""
        if self._transport is None:
            return None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._answer = None

    def close(self) -> None:
        """Close the connection at once; safe to call twice."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Give up waiting."""
        self._transport = None
        self._finish(None)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's name
        """Return where the next bytes go."""
        return memoryview(_RECEIVED)

    def buffer_updated(self, nbytes: int) -> None:
        """Look whether the answer is complete."""
        came, size = _RECEIVED, nbytes
        if self._begun:
            self._begun += memoryview(_RECEIVED)[:nbytes]
            came, size = self._begun, len(self._begun)
        if self._answer is None or not self._understood(came, size):
            self.close()
            self._finish(None)
        elif self._head is not None and size == self._head.end:
            begin, end, headers = self._head
            body = bytes(memoryview(came)[begin:end])
            self._begun, self._head = bytearray(), None
            self._finish(DirectAnswer(body, headers))
        elif came is _RECEIVED:
            self._begun = came[:size]

    def _understood(self, came: bytearray, size: int) -> bool:
        """Return whether this may still become an answer of the one kind that is known here."""
        if self._head is None:
            end = came.find(b"\r\n\r\n", 0, size)
            if end < 0:
                return size < _HEAD_LIMIT
            self._head = _parse(bytes(came[:end]), self._max_size)
            if self._head is None:
                return False
        return size <= self._head.end

    def _finish(self, answer: DirectAnswer | None) -> None:
        """Let the one who asked go on."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)


def _parse(head: bytes, max_size: int) -> _Head | None:
    """Return what the head of an answer says, or None if the ordinary client must see to it."""
    status, *lines = head.decode("latin-1").split("\r\n")
    if not status.startswith("HTTP/1.1 200"):
        return None
    headers: dict[str, str] = {}
    for line in lines:
        field = _field(line)
        if field is None:
            return None
        name, value = field
        if name == "content-length" and name in headers:
            return None
        headers.setdefault(name, value)
    length = headers.get("content-length", "")
    encoding = headers.get("content-encoding", "identity").lower()
    if not length.isdecimal() or not length.isascii():
        return None
    size = int(length)
    if "transfer-encoding" in headers or encoding != "identity" or size > max_size:
        return None
    begin = len(head) + 4
    return _Head(begin, begin + size, headers)


@lru_cache(_FIELDS_KEPT)
def _field(line: str) -> tuple[str, str] | None:
    """Return name and value of a header field, or None if it is none."""
    name, colon, value = line.partition(":")
    name = name.lower()
    if not colon or _TOKEN.fullmatch(name) is None:
        return None
    return name, value.strip()


class DirectClient:
    """Asks one server over one connection, if the server turns out to be of the plain kind.

    Args:
        url: base address, `http` without user or password.
        unix_socket: connect here instead.
        headers: sent with each request.
        max_size: bytes that a body may have.
    """

    def __init__(
        self, url: str, *, unix_socket: Path | None, headers: dict[str, str], max_size: int
    ) -> None:
        parts = urlsplit(url)
        self._simple: set[str] = set()
        self._host = parts.hostname or ""
        self._port = parts.port or 80
        self._base = parts.path
        self._unix_socket = unix_socket
        self._max_size = max_size
        fields = {"Host": parts.netloc, **headers}
        lines = [f"{name}: {value}\r\n" for name, value in fields.items()]
        self._end = f" HTTP/1.1\r\n{''.join(lines)}\r\n"
        self._connection: _Connection | None = None
        self._is_asking = False

    async def get(self, path: str) -> DirectAnswer | None:
        """Return the document at a path below the base address, or None: ask the ordinary way."""
        if path not in self._simple or self._is_asking:
            return None
        self._is_asking = True
        try:
            connection = await self._open()
            answer = await connection.ask(f"GET {self._base}{path}{self._end}".encode())
        except OSError:
            answer = None
        finally:
            self._is_asking = False
        if answer is None:
            self._simple.discard(path)
        elif answer.headers.get("connection", "").lower() == "close":
            await self.aclose()
        return answer

    def learn(self, path: str, *, is_simple: bool) -> None:
        """Take note of whether the ordinary answer to a path could have been had here."""
        if is_simple and _PLAIN_PATH.fullmatch(self._base + path):
            self._simple.add(path)

    async def aclose(self) -> None:
        """Close the connection; safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def _open(self) -> _Connection:
        """Return the connection, a new one if the server closed the last."""
        connection = self._connection
        if connection is None or not connection.is_open:
            loop = asyncio.get_running_loop()
            made = _Connection(self._max_size)
            if self._unix_socket is not None:
                await loop.create_unix_connection(lambda: made, str(self._unix_socket))
            else:
                await loop.create_connection(lambda: made, self._host, self._port)
            connection = self._connection = made
        return connection
