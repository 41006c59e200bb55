"""Answers that lie in memory, sent piece by piece to whoever asked."""

import asyncio
from collections.abc import Mapping
from typing import BinaryIO, Final, Protocol

from aiohttp import web

STALLED: Final = 30.0
"""Seconds without reading, after which an answer is given up."""

_PIECE: Final = 1 << 17


class Body(Protocol):
    """An answer in memory."""

    @property
    def file(self) -> BinaryIO:
        """Holds it, from its beginning."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


async def send(request: web.Request, body: Body, headers: Mapping[str, str]) -> web.StreamResponse:
    """Send an answer and let go of it.

    Who does not read it is cut off: it would lie in memory for as long as they like.
    """
    response = web.StreamResponse(headers=headers)
    try:
        await response.prepare(request)
        while piece := body.file.read(_PIECE):
            async with asyncio.timeout(STALLED):
                await response.write(piece)
        await response.write_eof()
    except ConnectionError:
        pass  # whoever asked is gone, and no error of ours
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    finally:
        body.close()
    return response
