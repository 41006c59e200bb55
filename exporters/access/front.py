"""The first moments of a connection: the files are looked at, and TLS is begun.

    connection ──► certificate renewed? ──► TLS, as it is now ──► names of the client ──► protocol

asyncio's own servers have one context for good; here each connection has that of its moment.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, cast

from exporters.access.guard import Guard
from exporters.access.tls import allowed

HANDSHAKE: Final = 10.0
"""Seconds that a handshake may take."""
_SHUTDOWN: Final = 1.0


class Front(asyncio.Protocol):
    """Holds a connection until what it is to speak is known.

    Args:
        guard: what is asked of connections.
        make: makes the protocol that speaks HTTP.
        open_ones: holds every connection that is here, for the end of the agent.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        make: Callable[[], asyncio.Protocol],
        open_ones: "set[Front]",
    ) -> None:
        self._guard = guard
        self._make = make
        self._open_ones = open_ones
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._came = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        # Up to Python 3.11.4 a transport that is paused right here reads all the same, and TLS
        # would wait in vain for what was read. This runs before anything can be.
        asyncio.get_running_loop().call_soon(self._transport.pause_reading)
        self._open_ones.add(self)
        self._task = asyncio.ensure_future(self._begin(self._transport))

    def data_received(self, data: bytes) -> None:
        """Keep what comes before the protocol is there: it is little, as reading is paused."""
        self._came += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Forget the connection."""
        self._transport = None
        self._open_ones.discard(self)

    def close(self) -> None:
        """End the connection; safe to call twice."""
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def _begin(self, transport: asyncio.Transport) -> None:
        """Find out what the connection is to speak, and hand it over."""
        ready: asyncio.Transport | None = None
        try:
            await self._guard.refresh()
            # Whoever is refused has been told by TLS, and everybody may try: nothing to say here.
            with contextlib.suppress(OSError):
                ready = await self._encrypted(transport)
        finally:
            self._open_ones.discard(self)
            if ready is None:
                transport.abort()
        if ready is None or self._transport is None:
            return
        protocol = self._make()
        ready.set_protocol(protocol)
        protocol.connection_made(ready)
        if self._came:
            protocol.data_received(bytes(self._came))
        ready.resume_reading()

    async def _encrypted(self, transport: asyncio.Transport) -> asyncio.Transport | None:
        """Return the transport to speak HTTP on; None for a client that may not.

        Raises:
            OSError: the handshake failed, or took too long.
        """
        used = self._guard.used
        if used is None or used.context is None:
            return transport
        encrypted = await asyncio.get_running_loop().start_tls(
            transport,
            self,
            used.context,
            server_side=True,
            ssl_handshake_timeout=HANDSHAKE,
            ssl_shutdown_timeout=_SHUTDOWN,
        )
        names = used.config.tls_server_config.client_allowed_sans
        if encrypted is None or not allowed(encrypted.get_extra_info("peercert"), names):
            return None
        return encrypted
