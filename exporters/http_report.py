"""Reports over HTTP: whoever makes them answers with a body in memory, or why there is none."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

from aiohttp import web

from exporters.prometheus_body import send

_AGAIN: Final = "10"


@dataclass(frozen=True, slots=True)
class Answer:
    """A report, or why there is none.

    Attributes:
        status: of HTTP.
        why: a sentence where there is none.
        body: the report; closed by whoever sends it.
        kind: its type, without the encoding, which is UTF-8.
    """

    status: int
    why: str = ""
    body: BinaryIO | None = None
    kind: str = "text/plain"


@dataclass(frozen=True, slots=True)
class _Lying:
    """A report in memory; a `Body`."""

    file: BinaryIO

    def close(self) -> None:
        """Let go of it."""
        self.file.close()


Make = Callable[[Mapping[str, str]], Awaitable[Answer]]


async def no_reports(_query: Mapping[str, str]) -> Answer:
    """Answer that there are none, as in a replay."""
    return Answer(404, why="a replay has no history to report on")


async def respond(request: web.Request, make: Make) -> web.StreamResponse:
    """Answer a request for a report."""
    if len(request.query) != len(set(request.query)):
        return web.Response(status=400, text="a parameter is given twice\n")
    answer = await make(request.query)
    if answer.body is None:
        headers = {"Retry-After": _AGAIN} if answer.status == 503 else {}  # noqa: PLR2004
        return web.Response(status=answer.status, text=f"{answer.why}\n", headers=headers)
    kind = f"{answer.kind}; charset=utf-8"
    headers = {"Content-Type": kind, "Cache-Control": "no-store"}
    return await send(request, _Lying(answer.body), headers)
