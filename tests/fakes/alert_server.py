"""A server on loopback that takes alerts, and an alert to take."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from agent.model import Alert


def an_alert(*, resolved: bool = False) -> Alert:
    """Return an alert."""
    return Alert(
        labels={"alertname": "A", "severity": "info"},
        annotations={"summary": "s"},
        starts_at=1_800_000_000.0,
        ends_at=1_800_000_240.25,
        resolved=resolved,
        generator_url="http://host:9745/?alert=A",
    )


class AlertServer:
    """Keeps what it was told and answers as it is set to."""

    def __init__(self, *, status: int = 200) -> None:
        self.url = ""
        self.status = status
        self.hang = False
        self.why = "because"
        self.paths: list[str] = []
        self.bodies: list[Any] = []
        self.headers: list[Any] = []
        self._runner: web.AppRunner | None = None

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        """Listen on loopback."""
        application = web.Application()
        application.router.add_post("/base{path:.*}", self._take)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{port}/base"

    async def _take(self, request: web.Request) -> web.Response:
        """Answer one request."""
        self.paths.append(request.path)
        self.headers.append(request.headers)
        self.bodies.append(await request.json())
        if self.hang:
            await asyncio.sleep(30)
        return web.Response(status=self.status, text=self.why if self.status >= 300 else "")

    async def aclose(self) -> None:
        """Stop."""
        if self._runner is not None:
            await self._runner.cleanup()


@contextlib.asynccontextmanager
async def alert_server(context: ssl.SSLContext | None = None) -> AsyncIterator[AlertServer]:
    """Keep one listening."""
    server = AlertServer()
    await server.start(context)
    try:
        yield server
    finally:
        await server.aclose()
