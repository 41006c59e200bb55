"""A server on loopback that takes alerts."""

import asyncio
import ssl
from typing import Any

from aiohttp import web


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
