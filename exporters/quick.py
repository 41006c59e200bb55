"""Scrapes answered without the web framework, which takes more time over them than the page does.

    connection ──► a request as scrapers send it ──► head and page, written at once
         └───────► anything else ──► the framework, for the rest of the connection

Only what is plain beyond doubt is answered here, and nothing is refused here: whatever is odd goes
to the framework, whose answer counts.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias, cast

# What a scraper sends is the same each time; the longest that is looked at, in bytes.
_REQUESTS_KEPT: Final = 64
_LONGEST: Final = 4096
_SECRET: Final = b"authorization:"
_FIELD: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e]*?)[ \t]*")
# Those change what the answer has to be, in ways that the framework knows.
_OTHERWISE: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "range",
        "transfer-encoding",
        "upgrade",
    }
)


IDLE: Final = 300.0
"""Seconds without a request after which a connection is ended; scrapers come more often."""

Later: TypeAlias = Callable[[float, Callable[[], None]], asyncio.TimerHandle]
"""Has something done after so many seconds."""


class Asked(NamedTuple):
    """What a request says of itself: three of its headers, or nothing."""

    accept: str
    accept_encoding: str
    authorization: str = ""


def understood(request: bytes, path: str) -> Asked | None:
    """Return what one whole request asks of a path; None where the framework should see to it."""
    if _SECRET in request.lower():  # not to be remembered as text
        return _understood(request, path)
    return _remembered(request, path)


@lru_cache(_REQUESTS_KEPT)
def _remembered(request: bytes, path: str) -> Asked | None:
    """Return what is understood of a request, which is often the same."""
    return _understood(request, path)


def _understood(request: bytes, path: str) -> Asked | None:
    """Return what is understood of a request."""
    if len(request) > _LONGEST or not request.endswith(b"\r\n\r\n"):
        return None
    first, *lines = request.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    if first != f"GET {path} HTTP/1.1":
        return None
    headers: dict[str, str] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        # An empty line would be the end of one request and the beginning of another.
        if found is None or found[1].lower() in headers:
            return None
        headers[found[1].lower()] = found[2]
    if "host" not in headers or headers.keys() & _OTHERWISE:
        return None
    return Asked(
        headers.get("accept", ""),
        headers.get("accept-encoding", ""),
        headers.get("authorization", ""),
    )


class QuickScrapes(asyncio.Protocol):
    """One connection, until something comes on it that is no plain scrape.

    Args:
        path: of the page.
        answer: gives head and body for what was asked by a remote address; None where the
            framework should answer.
        ordinary: makes the framework's protocol for a connection.
        open_ones: holds every connection that is served here, for the end of the agent.
        admit: whether what was asked by a remote address may be answered here; None for always.
        later: see `Later`; that of the running loop by default.
    """

    def __init__(
        self,
        path: str,
        *,
        answer: Callable[[Asked, str | None], tuple[bytes, bytes] | None],
        ordinary: Callable[[], asyncio.Protocol],
        open_ones: "set[QuickScrapes]",
        admit: Callable[[Asked, str | None], Awaitable[bool]] | None = None,
        later: Later | None = None,
    ) -> None:
        self._path = path
        self._answer = answer
        self._ordinary = ordinary
        self._open_ones = open_ones
        self._admit = admit
        self._asking: asyncio.Task[None] | None = None
        self._waiting = b""
        self._transport: asyncio.Transport | None = None
        self._remote: str | None = None
        self._later = later
        self._ending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the transport."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._remote = peer[0] if peer else None
        connection = transport.get_extra_info("socket")
        # A scraper that is gone without a word is noticed by the kernel in the end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._open_ones.add(self)
        self._watch()

    def _watch(self) -> None:
        """Have the connection ended if nothing is asked for a while."""
        self._unwatch()
        later = self._later or asyncio.get_running_loop().call_later
        self._ending = later(IDLE, self._end)

    def _unwatch(self) -> None:
        """Let it be."""
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    def _end(self) -> None:
        """End the connection; what was not read for so long will not be."""
        if self._transport is not None and self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self.close()

    def data_received(self, data: bytes) -> None:
        """Answer, or hand the connection over."""
        transport = self._transport
        if transport is None:
            return
        if self._asking is not None:
            self._waiting += data
            return
        # What is not looked at is not to be remembered either.
        asked = understood(data, self._path) if len(data) <= _LONGEST else None
        if asked is None:
            self._hand_over(transport, data)
        elif self._admit is None:
            self._respond(transport, asked, data)
        else:
            transport.pause_reading()
            self._asking = asyncio.ensure_future(self._judge(asked, data))

    async def _judge(self, asked: Asked, data: bytes) -> None:
        """Answer if that is allowed, else hand over to where it is said why not."""
        admitted = False
        with contextlib.suppress(Exception):  # the framework meets it again, and says so
            admitted = self._admit is not None and await self._admit(asked, self._remote)
        self._asking = None
        transport, waiting, self._waiting = self._transport, self._waiting, b""
        if transport is None or transport.is_closing():
            return
        transport.resume_reading()
        if not admitted:
            self._hand_over(transport, data + waiting)
            return
        self._respond(transport, asked, data)
        if waiting and self._transport is not None:
            self.data_received(waiting)

    def _respond(self, transport: asyncio.Transport, asked: Asked, data: bytes) -> None:
        """Answer, or hand the connection over."""
        try:
            answer = self._answer(asked, self._remote)
        except Exception:  # noqa: BLE001 - the framework meets it again, and says so
            answer = None
        if answer is None:
            self._hand_over(transport, data)
            return
        self._watch()
        for part in answer:  # joined, the whole page would be copied
            transport.write(part)

    def pause_writing(self) -> None:
        """Take no further request while answers are waiting to be read."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self._transport is not None:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Forget the connection."""
        self._unwatch()
        if self._asking is not None:
            self._asking.cancel()
        self._transport = None
        self._open_ones.discard(self)

    def close(self) -> None:
        """Close the connection once what was written is sent; safe to call twice."""
        if self._transport is not None:
            self._transport.close()

    def _hand_over(self, transport: asyncio.Transport, data: bytes) -> None:
        """Have the framework serve the connection, beginning with this."""
        self._unwatch()
        self._transport = None
        self._open_ones.discard(self)
        ordinary = self._ordinary()
        transport.set_protocol(ordinary)
        ordinary.connection_made(transport)
        ordinary.data_received(data)
