"""A real HTTP server on loopback that answers as an engine does, or as it should not."""

import asyncio
import gzip
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from aiohttp import web

CAPTURES = Path(__file__).parents[1] / "captures"

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


def capture(name: str) -> bytes:
    """Return a captured file, unpacked."""
    path = CAPTURES / name
    if path.exists():
        return path.read_bytes()
    return gzip.decompress((CAPTURES / f"{name}.gz").read_bytes())


class EngineServer:
    """Serves documents by path; a path may be given a behaviour of its own.

    Attributes:
        documents: body by path; other paths are answered with 404.
        behaviours: what to do for a path instead.
        requests: paths that were asked for, in order.
        headers: header lines of the requests, in order.
        extra_headers: sent with every document.
        url: base address, without the base path.
    """

    def __init__(self, documents: dict[str, bytes] | None = None) -> None:
        self.documents = documents or {}
        self.behaviours: dict[str, Behaviour] = {}
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.extra_headers: dict[str, str] = {}
        self.url = ""
        self._runner: web.AppRunner | None = None

    @classmethod
    def vllm(cls, page: str = "vllm-04-saturated.prom") -> Self:
        """Return a vLLM with a captured page."""
        return cls(
            {
                "/metrics": capture(page),
                "/version": capture("vllm-version.json"),
                "/v1/models": capture("vllm-v1-models.json"),
            }
        )

    @classmethod
    def llamacpp(cls, state: str = "llama-02-loaded") -> Self:
        """Return a llama-server with a captured page and slots."""
        server = cls(
            {
                "/metrics": capture(f"{state}.prom"),
                "/slots": capture(f"{state}-slots.json"),
                "/props": capture("llama-props.json"),
                "/v1/models": capture("llama-v1-models.json"),
            }
        )
        server.extra_headers["Process-Start-Time-Unix"] = "3498305329"
        return server

    async def start(
        self,
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        unix_socket: Path | None = None,
    ) -> Self:
        """Begin to answer, on a port of the system's choice."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        if unix_socket is not None:
            await web.UnixSite(self._runner, str(unix_socket)).start()
            self.url = "http://localhost"
        else:
            await web.TCPSite(self._runner, host, 0, ssl_context=tls).start()
            port = self._runner.addresses[0][1]
            shown = f"[{host}]" if ":" in host else host
            self.url = f"{'https' if tls else 'http'}://{shown}:{port}"
        return self

    async def aclose(self) -> None:
        """Stop, closing all connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        """Begin to answer unless begun already."""
        return self if self._runner is not None else await self.start()

    async def __aexit__(self, *_error: object) -> None:
        """Stop."""
        await self.aclose()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self.requests.append(request.path)
        self.headers.append(dict(request.headers))
        behaviour = self.behaviours.get(request.path)
        if behaviour is not None:
            return await behaviour(request)
        body = self.documents.get(request.path)
        if body is None:
            return web.json_response({"detail": "Not Found"}, status=404)
        return web.Response(body=body, headers=self.extra_headers, content_type="text/plain")


def status(code: int, **headers: str) -> Behaviour:
    """Answer with a status and nothing of use."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=code, headers=headers, text="no")

    return answer


def body(content: bytes, **headers: str) -> Behaviour:
    """Answer with a body, whole."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=content, headers=headers)

    return answer


def cut(content: bytes, *, at: int, announced: bool) -> Behaviour:
    """Send the beginning of a body and close the connection, with its length announced or not."""

    async def answer(request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        length = f"Content-Length: {len(content)}\r\n" if announced else ""
        head = f"HTTP/1.1 200 OK\r\n{length}Connection: close\r\n\r\n".encode()
        transport.write(head + content[:at])
        transport.close()
        return web.Response()

    return answer


def zipped(content: bytes) -> Behaviour:
    """Answer compressed, whatever was asked for."""
    return body(gzip.compress(content, 1), **{"Content-Encoding": "gzip"})


def hang() -> Behaviour:
    """Never answer."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    return answer


def drop(times: int, then: bytes) -> Behaviour:
    """Close the connection without an answer some times, then answer."""
    left = times

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal left
        if left:
            left -= 1
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(body=then)

    return answer


def changed(page: bytes, **samples: float) -> bytes:
    """Return a page with other values for some sample names, given without `vllm:`."""
    lines = page.decode().split("\n")
    for index, line in enumerate(lines):
        for name, value in samples.items():
            if line.startswith((f"vllm:{name}{{", f"{name} ", f"llamacpp:{name} ")):
                lines[index] = f"{line.rpartition(' ')[0]} {value}"
    return "\n".join(lines).encode()


def documents(page: bytes, **more: Any) -> dict[str, bytes]:
    """Return documents with a page; others are given as JSON values by path."""
    return {"/metrics": page, **{path: json.dumps(value).encode() for path, value in more.items()}}
