"""The agent's HTTP endpoint: the Prometheus page, the engines' own pages, health, reload.

It knows the rest of the agent only by the callables it is handed, and never waits for a source.
"""

import asyncio
import contextlib
import gzip
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final, cast

from aiohttp import web

from agent.config import Listen
from agent.config.values import is_loopback
from agent.model import ConfigError, Metric
from exporters.access import Front, Guard, Login, ReticentHandler, changes_allowed, middleware
from exporters.http_report import Make, no_reports, respond
from exporters.prometheus import (
    OPENMETRICS,
    TEXT,
    PrometheusExporter,
    accepts_gzip,
    accepts_openmetrics,
)
from exporters.prometheus_api import PrometheusApi
from exporters.quick import Asked, QuickScrapes
from exporters.signals import no_signals
from exporters.signals import respond as respond_signals
from exporters.web.page import Given, WebPage
from exporters.web.seen import Course, SourceLine

# Without a tick for this long, or three intervals if that is more, the page would tell the past.
SILENCE_LIMIT = 30.0
# Seconds that an answer under way gets when the agent ends; aiohttp spends them twice.
SHUTDOWN_TIMEOUT = 0.5
# What an engine may call its page; another type could make a browser run what is on it.
_ENGINE_TYPES = frozenset({"text/plain", "application/openmetrics-text"})
# From a peer on this host compression costs more than it saves.
COMPRESS_FROM = 4096
_BACKLOG: Final = 128
_PATH: Final = "/metrics"
_NO_GUESSING: Final = {"X-Content-Type-Options": "nosniff"}


async def _no_alerts() -> Sequence[Mapping[str, Any]]:
    """Return that there are none."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePage:
    """The last page that an engine answered, unchanged."""

    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """What the endpoint asks of the agent.

    Attributes:
        engine_pages: name of each engine instance and its last page, None before the first.
        sources: how each source fares.
        reload: reads the configuration again and returns what whoever asked should know besides;
            raises ConfigError when it is refused.
        banner: a sentence that every visitor should read, such as that this is a replay.
        version: of the agent.
        interval: seconds between ticks, as they are now.
        no_engine_pages: why there can be no page of any engine, such as in a replay.
        engines: what is concluded about the engines, as JSON takes it.
        report: makes reports, one at a time.
        capacity: what they carry, what is asked and left of them and what they cost, likewise.
        signals: what autoscalers go by, at a moment in Unix seconds, likewise.
        prometheus: the addresses that Prometheus has too; None for none.
        host: what the agent is called.
        alerts: those that are pending or firing, as Prometheus tells them, with times on the clock
            of the frame.
        looked_for: what is looked for on a host, a sentence each.
        courses: the last minutes of some metrics up to a moment in Unix seconds.
    """

    engine_pages: Callable[[], Mapping[str, EnginePage | None]]
    sources: Callable[[], Sequence[SourceLine]]
    reload: Callable[[], Awaitable[str]]
    banner: str
    version: str
    interval: Callable[[], float]
    no_engine_pages: str = ""
    engines: Callable[[], Mapping[str, Any]] = dict
    report: Make = no_reports
    capacity: Callable[[], Mapping[str, Any]] = dict
    signals: Callable[[float], Mapping[str, Any]] = no_signals
    prometheus: PrometheusApi | None = None
    host: str = "this host"
    alerts: Callable[[], Awaitable[Sequence[Mapping[str, Any]]]] = _no_alerts
    looked_for: Sequence[str] = ()
    courses: Callable[[float], Mapping[Metric, Sequence[Course]]] = lambda _time: {}


class HttpApi:
    """Serves the pages, each rendered when it is asked for, to those who may ask.

    Args:
        page: for Prometheus.
        views: what there is to ask of the agent.
        guard: who may ask; everybody by default.
    """

    def __init__(
        self, page: PrometheusExporter, views: Views, *, guard: Guard | None = None
    ) -> None:
        self._page = page
        self._views = views
        self._guard = guard or Guard(clock=page.clock)
        self._guard.changed = self._disconnect
        self._fronts: set[Front] = set()
        self._runner: web.AppRunner | None = None
        self._servers: dict[Listen, asyncio.Server] = {}
        self._quick: set[QuickScrapes] = set()
        self._web = WebPage(
            Given(
                frame=lambda: page.frame,
                age=page.age,
                silence=self._silence,
                interval=views.interval,
                engines=views.engines,
                capacity=views.capacity,
                alerts=views.alerts,
                sources=views.sources,
                pages=lambda: sorted(views.engine_pages()),
                host=views.host,
                banner=views.banner,
                looked_for=views.looked_for,
                version=views.version,
                reports=views.report is not no_reports,
                courses=views.courses,
            )
        )

    def application(self) -> web.Application:
        """Return the routes, for a server or a test client."""
        application = web.Application(middlewares=[middleware(self._guard)])
        application.on_response_prepare.append(self._prepare)
        application.add_routes(
            [
                *self._web.routes(),
                web.get(_PATH, self._metrics),
                web.get("/metrics/engine/{name}", self._engine_page),
                web.get("/api/v1/engines", self._engines),
                web.get("/api/v1/capacity", self._capacity),
                web.get("/api/v1/signals", self._signals),
                web.get("/api/v1/report", self._report),
                web.get("/-/healthy", self._healthy),
                web.get("/-/ready", self._ready),
                web.post("/-/reload", self._reload),
            ]
        )
        if self._views.prometheus is not None:
            application.add_routes(self._views.prometheus.routes())
        return application

    async def listen(self, addresses: Sequence[Listen], *, web_config: Path | None = None) -> None:
        """Listen on exactly these addresses, as the web configuration file says.

        Raises:
            ConfigError: an address is in use or not of this host, or the file has problems; all is
                as it was before.
        """
        access, used = await self._guard.read(web_config), self._guard.used
        # First of all, so that no address is ever open to those whom the file keeps out.
        self._guard.adopt(access)
        if self._runner is None:
            self._runner = web.AppRunner(
                self.application(), access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT
            )
            await self._runner.setup()
        before = list(self._servers)
        # First the old ones, as a new one may be the same port of another address.
        self._stop([address for address in before if address not in addresses])
        for address in addresses:
            try:
                await self._start(self._runner, address)
            except (OSError, UnicodeError) as error:  # the latter of names that cannot be looked up
                self._guard.adopt(used)
                self._stop([new for new in self._servers if new not in before])
                for old in before:
                    with contextlib.suppress(OSError):
                        await self._start(self._runner, old)
                why = getattr(error, "strerror", None) or error
                raise ConfigError(
                    f"cannot listen on {address}: {why}; "
                    "choose another with --listen, or at exporters.http_api.listen"
                ) from error

    async def _start(self, runner: web.AppRunner, address: Listen) -> None:
        """Listen on an address, if that is not so already."""
        if address not in self._servers:
            loop = asyncio.get_running_loop()
            server = cast(web.Server, runner.server)  # none before it is set up

            def http() -> QuickScrapes:
                return QuickScrapes(
                    _PATH,
                    answer=self._scraped,
                    ordinary=lambda: ReticentHandler(server, loop=loop),
                    open_ones=self._quick,
                    admit=self._admit if self._guard.is_set else None,
                )

            def connection() -> asyncio.Protocol:
                if self._guard.is_set:
                    return Front(self._guard, make=http, open_ones=self._fronts)
                return http()

            self._servers[address] = await loop.create_server(
                connection, address.host or None, address.port, backlog=_BACKLOG
            )

    def _stop(self, addresses: Sequence[Listen]) -> None:
        """Listen no longer on these addresses."""
        for address in addresses:
            self._servers.pop(address).close()

    async def aclose(self) -> None:
        """Stop listening; safe to call twice."""
        self._stop(list(self._servers))
        for front in list(self._fronts):
            front.close()
        for connection in list(self._quick):
            connection.close()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def _disconnect(self) -> None:
        """End connections that were made when less was asked of them, once they are answered."""
        for connection in list(self._quick):
            connection.close()
        server = None if self._runner is None else self._runner.server
        for handler in [] if server is None else server.connections:
            if isinstance(handler, ReticentHandler):
                handler.retire()

    async def _admit(self, asked: Asked, remote: str | None) -> bool:
        """Return whether a plain scrape may be answered without the framework."""
        await self._guard.refresh()
        # The framework counts requests, and says no to those that show the wrong password.
        if self._guard.is_limited:
            return False
        login = await self._guard.check(asked.authorization, who=remote or "")
        return login is Login.RIGHT

    def _silence(self) -> str:
        """Return why the last frame is too old to show, or nothing."""
        age = self._page.age()
        if age is None:
            return "the first tick is not complete yet"
        if age > max(SILENCE_LIMIT, 3 * self._views.interval()):
            return f"the last tick was {age:.0f} s ago"
        return ""

    async def _metrics(self, request: web.Request) -> web.Response:
        """The Prometheus page."""
        silence = self._silence()
        if silence:
            return _unavailable(silence)
        headers = request.headers
        asked = Asked(headers.get("Accept", ""), headers.get("Accept-Encoding", ""))
        body, fields = self._rendered(asked, request.remote)
        return web.Response(body=body, headers=fields)

    def _scraped(self, asked: Asked, remote: str | None) -> tuple[bytes, bytes] | None:
        """Return head and body of the answer to a plain scrape; None while there is no page."""
        if self._silence():
            return None
        body, fields = self._rendered(asked, remote)
        fields |= {
            **_NO_GUESSING,
            **self._guard.headers,
            "Content-Length": str(len(body)),
            "Date": formatdate(self._page.time(), usegmt=True),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode("ascii"), body

    def _rendered(self, asked: Asked, remote: str | None) -> tuple[bytes, dict[str, str]]:
        """Return the page as it was asked for, and the headers that say how that is."""
        openmetrics = accepts_openmetrics(asked.accept)
        body = self._page.render(openmetrics=openmetrics)
        kind = OPENMETRICS if openmetrics else TEXT
        return _encoded(body, kind, asked.accept_encoding, remote)

    async def _engine_page(self, request: web.Request) -> web.Response:
        """An engine's own page, byte for byte as it was scraped last, and always as text."""
        if self._views.no_engine_pages:
            raise web.HTTPNotFound(text=f"{self._views.no_engine_pages}\n")
        pages = self._views.engine_pages()
        name = request.match_info["name"]
        if name not in pages:
            known = ", ".join(sorted(pages)) or "none"
            raise web.HTTPNotFound(text=f"no engine is named '{name}'; there are: {known}\n")
        page = pages[name]
        if page is None:
            return _unavailable(f"the engine '{name}' gives no page now")
        return _answer(request, page.body, _as_text(page.content_type))

    async def _engines(self, _request: web.Request) -> web.Response:
        """What is concluded about the engines."""
        body = json.dumps(self._views.engines(), allow_nan=False)
        return web.json_response(text=body + "\n")

    async def _capacity(self, _request: web.Request) -> web.Response:
        """What the engines carry, what is asked of them and what is left."""
        silence = self._silence()
        if silence:
            return _unavailable(silence)
        body = json.dumps(self._views.capacity(), allow_nan=False)
        return web.json_response(text=body + "\n")

    async def _signals(self, request: web.Request) -> web.Response:
        """What autoscalers and routers go by."""
        silence = self._silence()
        if silence:
            return _unavailable(silence)
        return respond_signals(request.query, self._views.signals(self._page.time()))

    async def _report(self, request: web.Request) -> web.StreamResponse:
        """A report on a window of time, made by a process of its own."""
        return await respond(request, self._views.report)

    async def _healthy(self, _request: web.Request) -> web.Response:
        """Whether ticks complete. Before the first tick the agent is starting, not ill."""
        silence = self._silence() if self._page.frame is not None else ""
        return _unavailable(silence) if silence else web.Response(text="healthy\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        """Whether there is something to scrape."""
        silence = self._silence()
        return _unavailable(silence) if silence else web.Response(text="ready\n")

    async def _reload(self, request: web.Request) -> web.Response:
        """Read the configuration again; only for those who may change something."""
        if not changes_allowed(request, self._guard):
            raise web.HTTPForbidden(
                text="reload is only for this host itself or with a password, not from a browser\n"
            )
        try:
            note = await self._views.reload()
        except ConfigError as error:
            return web.Response(status=400, text=f"{error}\n")
        except Exception as error:  # noqa: BLE001 - said in the log; whoever asked is told as well
            return web.Response(status=500, text=f"{str(error) or type(error).__name__}\n")
        return web.Response(text=f"reloaded; {note}\n" if note else "reloaded\n")

    async def _prepare(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Have a browser take every answer for what it is called; name no versions."""
        response.headers.update(_NO_GUESSING)
        response.headers.update(self._guard.headers)
        response.headers.popall("Server", None)


def _as_text(content_type: str) -> str:
    """Return the type of an engine's page if it is one of metrics, else that of plain text."""
    if content_type.partition(";")[0].strip().lower() in _ENGINE_TYPES and content_type.isascii():
        return content_type
    return "text/plain; charset=utf-8"


def _unavailable(why: str) -> web.Response:
    """Answer that there is nothing true to show now."""
    return web.Response(status=503, text=f"{why}\n")


def _answer(request: web.Request, body: bytes, content_type: str) -> web.Response:
    """Answer with a page, compressed where that saves more than it costs."""
    encodings = request.headers.get("Accept-Encoding", "")
    body, headers = _encoded(body, content_type, encodings, request.remote)
    return web.Response(body=body, headers=headers)


def _encoded(
    body: bytes, content_type: str, encodings: str, remote: str | None
) -> tuple[bytes, dict[str, str]]:
    """Return a page, compressed where that saves more than it costs, and its headers."""
    headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
    if accepts_gzip(encodings) and len(body) >= COMPRESS_FROM and not is_loopback(remote):
        body = gzip.compress(body, compresslevel=1)
        headers["Content-Encoding"] = "gzip"
    return body, headers
