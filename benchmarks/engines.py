"""Fake vLLM servers in a process of their own: `python -m benchmarks.engines COUNT`.

Real HTTP on loopback, answered as uvicorn does. Prints one port a line, then serves until its
standard input ends. A page is made once a second for all who ask in that second.
"""

import asyncio
import contextlib
import sys
import time
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.load import BusyEngine

_CAPTURES: Final = Path(__file__).parents[1] / "tests" / "captures"
_JSON: Final = {
    b"/version": (_CAPTURES / "vllm-version.json").read_bytes(),
    b"/v1/models": (_CAPTURES / "vllm-v1-models.json").read_bytes(),
}


class _Pages:
    """The page of one engine, second by second."""

    def __init__(self, seed: int) -> None:
        self._engine = BusyEngine(seed)
        self._second = int(time.monotonic())
        self._page = self._engine.page()

    def now(self) -> bytes:
        """Return the page of this second."""
        second = int(time.monotonic())
        if second != self._second:
            self._second = second
            self._engine.step()
            self._page = self._engine.page()
        return self._page


class _Connection(asyncio.Protocol):
    """One kept connection."""

    def __init__(self, pages: _Pages) -> None:
        self._pages = pages
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            request, _, self._received = self._received.partition(b"\r\n\r\n")
            self._answer(request.split(b" ", 2)[1])

    def _answer(self, path: bytes) -> None:
        """Answer a GET."""
        status, kind = b"200 OK", b"application/json"
        if path == b"/metrics":
            body, kind = self._pages.now(), b"text/plain; version=0.0.4; charset=utf-8"
        elif path in _JSON:
            body = _JSON[path]
        else:
            status, body = b"404 Not Found", b'{"detail":"Not Found"}'
        assert self._transport is not None
        head = b"HTTP/1.1 %b\r\nserver: uvicorn\r\ncontent-length: %d\r\ncontent-type: %b\r\n\r\n"
        self._transport.write(head % (status, len(body), kind))
        self._transport.write(body)


async def _serve(count: int) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    for seed in range(count):
        pages = _Pages(seed)
        server = await loop.create_server(partial(_Connection, pages), "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1])))
