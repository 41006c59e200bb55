"""A server that is asked about its health."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Answerer:
    """Answers as it is told.

    Attributes:
        port: where.
        status: of its answers.
        said: in them.
    """

    port: int = 0
    status: int = 200
    said: str = ""

    async def answer(self, _request: web.Request) -> web.Response:
        """Answer a request."""
        return web.Response(status=self.status, text=self.said)


@asynccontextmanager
async def answering(status: int = 200, said: str = "") -> AsyncIterator[Answerer]:
    """Run one on loopback."""
    answerer = Answerer(status=status, said=said)
    application = web.Application()
    application.router.add_get("/-/healthy", answerer.answer)
    async with TestServer(application) as found:
        answerer.port = found.port or 0
        yield answerer
