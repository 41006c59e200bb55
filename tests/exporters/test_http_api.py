"""The HTTP endpoint: what each page answers, to whom, and that it ends when told."""

import asyncio
import contextlib
import gzip
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer, unused_port

from agent.catalog import agent as catalog
from agent.config import Listen
from agent.model import ConfigError, Frame, SeriesTable
from exporters import http_api
from exporters.http_api import EnginePage, HttpApi, SourceLine, Views, landing_page
from exporters.prometheus import OPENMETRICS, TEXT, PrometheusExporter
from tests.fakes.clock import ManualClock

PAGE = EnginePage(body=b"vllm:x 1\n" * 1000, content_type="text/plain; version=0.0.4")
CHAT = {"instance_name": "chat", "model_name": "m"}
Client = TestClient[web.Request, web.Application]


@dataclass
class _Agent:
    """What the endpoint asks, as tests want it."""

    pages: dict[str, EnginePage | None] = field(default_factory=dict)
    lines: list[SourceLine] = field(default_factory=list)
    problem: str = ""
    reloads: int = 0
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        """Make the endpoint."""
        self.table = SeriesTable()
        self.page = PrometheusExporter(self.clock)
        self.api = HttpApi(self.page, self.views())

    def views(self, *, banner: str = "", interval: float = 1.0) -> Views:
        """Return what the endpoint may ask."""
        return Views(
            engine_pages=self._pages,
            sources=self._lines,
            reload=self._reload,
            banner=banner,
            version="1.2.3",
            interval=lambda: interval,
            capacity=lambda: {"replicas": []},
            signals=lambda time: {"time": time, "replicas": [CHAT], "stale": []},
        )

    def _pages(self) -> Mapping[str, EnginePage | None]:
        return self.pages

    def _lines(self) -> Sequence[SourceLine]:
        return self.lines

    async def _reload(self) -> None:
        """Count, and refuse as told."""
        self.reloads += 1
        if self.problem:
            raise ConfigError(self.problem)

    async def tick(self, series: int = 1) -> None:
        """Publish a frame of so many series."""
        ids = [self.table.intern(catalog.SOURCE_UP, (f"s{number}",)) for number in range(series)]
        frame = Frame(self.clock.time(), self.table, ids, [1.0] * series)
        await self.page.publish(frame)


@pytest.fixture
def agent() -> _Agent:
    """Return an agent without a tick."""
    return _Agent()


@pytest.fixture
async def client(agent: _Agent) -> AsyncIterator[Client]:
    """Return a client of its endpoint."""
    async with TestClient(TestServer(agent.api.application())) as found:
        yield found


async def _answer(response: Awaitable[object]) -> tuple[int, str]:
    """Return status and text of an answer."""
    async with response as found:  # type: ignore[attr-defined]
        return found.status, await found.text()


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [
        ("*/*", TEXT, "frame_age_seconds 0\n"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", OPENMETRICS, "# EOF\n"),
    ],
)
async def test_metrics_by_content_negotiation(
    agent: _Agent, client: Client, accept: str, content_type: str, end: str
):
    """The page comes in the format that the client prefers, and says which."""
    await agent.tick()
    async with client.get("/metrics", headers={"Accept": accept}) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == content_type
        assert response.headers["Vary"] == "Accept, Accept-Encoding"
        assert (await response.text()).endswith(end)


@pytest.mark.parametrize("loopback", [True, False])
@pytest.mark.parametrize(
    ("series", "encoding", "compressed"),
    [(200, "gzip", True), (1, "gzip", False), (200, "gzip;q=0", False), (200, "identity", False)],
)
async def test_gzip_only_for_others_and_only_where_it_pays(
    agent: _Agent,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    *,
    loopback: bool,
    series: int,
    encoding: str,
    compressed: bool,
):
    """A large page is compressed for a remote client that wants it; on this host it never is."""
    monkeypatch.setattr(http_api, "is_loopback", lambda _remote: loopback)
    await agent.tick(series)
    headers = {"Accept-Encoding": encoding}
    async with client.get("/metrics", headers=headers, auto_decompress=False) as response:
        body = await response.read()
        shrunk = response.headers.get("Content-Encoding") == "gzip"
    assert shrunk == (compressed and not loopback)
    text = gzip.decompress(body) if shrunk else body
    assert text == agent.page.render(openmetrics=False)


async def test_before_the_first_tick(client: Client):
    """Until the first tick is complete the agent is healthy but not ready, and shows no page."""
    told = (503, "the first tick is not complete yet\n")
    assert await _answer(client.get("/metrics")) == told
    assert await _answer(client.get("/-/ready")) == told
    assert await _answer(client.get("/-/healthy")) == (200, "healthy\n")
    assert (await _answer(client.get("/")))[0] == 200


async def test_without_ticks_there_is_no_page(agent: _Agent, client: Client):
    """When ticks stop, the page that would tell the past is withdrawn and health says so."""
    await agent.tick()
    agent.clock.advance(30.0)
    assert (await _answer(client.get("/metrics")))[0] == 200
    assert await _answer(client.get("/-/ready")) == (200, "ready\n")
    agent.clock.advance(1.0)
    for path in ("/metrics", "/-/ready", "/-/healthy"):
        assert await _answer(client.get(path)) == (503, "the last tick was 31 s ago\n")


async def test_a_long_interval_is_no_silence(agent: _Agent):
    """With a tick a minute, three may be missed before the page is withdrawn."""
    api = HttpApi(agent.page, agent.views(interval=60.0))
    await agent.tick()
    async with TestClient(TestServer(api.application())) as client:
        agent.clock.advance(180.0)
        assert (await _answer(client.get("/metrics")))[0] == 200
        agent.clock.advance(1.0)
        assert (await _answer(client.get("/metrics")))[0] == 503


async def test_engine_pages(agent: _Agent, client: Client):
    """An engine's page comes unchanged; one that is too old and one unknown say what is so."""
    agent.pages = {"big": PAGE, "idle": None}
    async with client.get("/metrics/engine/big") as response:
        assert await response.read() == PAGE.body
        assert response.headers["Content-Type"] == PAGE.content_type
    assert await _answer(client.get("/metrics/engine/idle")) == (
        503,
        "the engine 'idle' gives no page now\n",
    )
    assert await _answer(client.get("/metrics/engine/<b>")) == (
        404,
        "no engine is named '<b>'; there are: big, idle\n",
    )
    agent.pages = {}
    assert await _answer(client.get("/metrics/engine/x")) == (
        404,
        "no engine is named 'x'; there are: none\n",
    )


async def test_where_there_can_be_no_engine_pages(agent: _Agent):
    """A replay says why it has no page of an engine, not that there is no such engine."""
    views = replace(agent.views(), no_engine_pages="a recording holds none")
    api = HttpApi(agent.page, views)
    async with TestClient(TestServer(api.application())) as client:
        told = await _answer(client.get("/metrics/engine/x"))
        assert told == (404, "a recording holds none\n")


async def test_a_reload_that_fails_is_told(agent: _Agent):
    """Whoever asks for a reload that fails unexpectedly is told why."""

    async def broken() -> None:
        raise OSError("no more processes")

    api = HttpApi(agent.page, replace(agent.views(), reload=broken))
    async with TestClient(TestServer(api.application())) as client:
        assert await _answer(client.post("/-/reload")) == (500, "no more processes\n")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("text/plain; version=0.0.4; charset=utf-8", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text; version=1.0.0", None),
        ("Text/Plain", None),
        ("text/html", "text/plain; charset=utf-8"),
        ("image/svg+xml; text/plain", "text/plain; charset=utf-8"),
        ("text/html;text/plain", "text/plain; charset=utf-8"),
        ("text/plain; x=\xff", "text/plain; charset=utf-8"),
        ("", "text/plain; charset=utf-8"),
    ],
)
async def test_an_engine_cannot_have_its_page_taken_for_html(
    agent: _Agent, client: Client, given: str, told: str | None
):
    """Whatever an engine calls its page, it is served as text."""
    agent.pages = {"big": EnginePage(body=b"<script>alert(1)</script>\n", content_type=given)}
    async with client.get("/metrics/engine/big") as response:
        assert response.headers["Content-Type"] == (given if told is None else told)
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/ready", "/none", "/metrics/engine/none"])
async def test_no_answer_is_guessed_at(agent: _Agent, client: Client, path: str):
    """Pages and refusals alike tell a browser to believe the type that they come with."""
    await agent.tick()
    async with client.get(path) as response:
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/metrics", "/metrics/engine/big", "/-/healthy", "/-/ready"])
async def test_head(agent: _Agent, client: Client, path: str):
    """HEAD answers like GET, with the length and without the body."""
    await agent.tick()
    agent.pages = {"big": PAGE}
    async with client.get(path) as response:
        length = len(await response.read())
    async with client.head(path) as response:
        assert response.status == 200
        assert int(response.headers["Content-Length"]) == length
        assert await response.read() == b""


async def test_unknown_paths_and_methods(client: Client):
    """What is not there is 404; what is there but for another method is 405."""
    assert (await _answer(client.get("/favicon.ico")))[0] == 404
    assert (await _answer(client.post("/metrics")))[0] == 405
    assert (await _answer(client.get("/-/reload")))[0] == 405


async def test_reload(agent: _Agent, client: Client):
    """A reload is done before it is answered; a refusal comes with all its reasons."""
    assert await _answer(client.post("/-/reload")) == (200, "reloaded\n")
    agent.problem = "f:1: a: no\nf:2: b: no"
    assert await _answer(client.post("/-/reload")) == (400, "f:1: a: no\nf:2: b: no\n")
    assert agent.reloads == 2


async def test_reload_is_for_this_host_alone(
    agent: _Agent, client: Client, monkeypatch: pytest.MonkeyPatch
):
    """Neither another host nor a page in a browser of this one can reload."""
    headers = {"Origin": "http://evil.example"}
    assert (await _answer(client.post("/-/reload", headers=headers)))[0] == 403
    monkeypatch.setattr(http_api, "is_loopback", lambda _remote: False)
    assert await _answer(client.post("/-/reload")) == (403, "reload is only for this host itself\n")
    assert agent.reloads == 0


async def test_capacity_is_json_and_never_old(agent: _Agent, client: Client):
    """What engines carry is answered as JSON while ticks complete; else 503 and why."""
    status, text = await _answer(client.get("/api/v1/capacity"))
    assert (status, text) == (503, "the first tick is not complete yet\n")
    await agent.tick()
    assert await _answer(client.get("/api/v1/capacity")) == (200, '{"replicas": []}\n')
    agent.clock.advance(60.0)
    assert (await _answer(client.get("/api/v1/capacity")))[0] == 503


async def test_signals_are_json_and_never_old(agent: _Agent, client: Client):
    """What autoscalers go by is asked at the time of the page; without ticks it is 503."""
    assert (await _answer(client.get("/api/v1/signals")))[0] == 503
    await agent.tick()
    status, text = await _answer(client.get("/api/v1/signals?instance=chat"))
    assert (status, json.loads(text)["time"]) == (200, agent.clock.time())
    assert (await _answer(client.get("/api/v1/signals?instance=other")))[0] == 404
    agent.clock.advance(60.0)
    assert (await _answer(client.get("/api/v1/signals")))[0] == 503


async def test_the_landing_page_escapes(agent: _Agent, client: Client):
    """Whatever sources, engines and banner are called, none of it becomes markup."""
    evil = "<script>alert('x')</script>\"&"
    agent.lines = [SourceLine(name=evil, state=evil, detail=evil)]
    agent.pages = {evil: None, "big": PAGE}
    for views in (agent.views(), agent.views(banner=evil)):
        text = landing_page(views)
        assert "<script" not in text
        assert set(re.findall(r'href="([^"]*)"', text)) == {
            "/api/v1/capacity",
            "/api/v1/engines",
            "/api/v1/report?format=html",
            "/api/v1/signals",
            "/metrics",
            "/metrics/engine/big",
            "/metrics/engine/%3Cscript%3Ealert%28%27x%27%29%3C%2Fscript%3E%22%26",
            "/-/healthy",
            "/-/ready",
        }
        assert text.count("&lt;script&gt;") == 5 + ('class="note"' in text)
    async with client.get("/") as response:
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "inferwatch 1.2.3" in await response.text()


async def _get(address: str) -> int:
    """Return the status of the health page at an address, 0 where nobody listens."""
    async with ClientSession() as session:
        try:
            async with session.get(f"http://{address}/-/healthy") as response:
                return response.status
        except OSError:
            return 0


async def test_listening_on_exactly_these_addresses(agent: _Agent):
    """A second call opens what is new, closes what is gone, and leaves the rest alone."""
    first, second, third = (Listen("127.0.0.1", unused_port()) for _ in range(3))
    await agent.api.listen([first, second])
    await agent.api.listen([second, third])
    assert [await _get(str(each)) for each in (first, second, third)] == [0, 200, 200]
    await agent.api.aclose()
    await agent.api.aclose()
    assert await _get(str(second)) == 0


async def test_the_same_port_of_another_address(agent: _Agent):
    """A reload may move from one address to all addresses of the same port, and back."""
    port = unused_port()
    for host in ("127.0.0.1", "", "127.0.0.1"):
        await agent.api.listen([Listen(host, port)])
        assert await _get(f"127.0.0.1:{port}") == 200
    await agent.api.aclose()


async def test_an_address_in_use_leaves_the_old_ones(agent: _Agent):
    """When one new address cannot be had, all is as it was before, and the message names it."""
    old, fresh = (Listen("127.0.0.1", unused_port()) for _ in range(2))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bad = Listen("127.0.0.1", taken.getsockname()[1])
        await agent.api.listen([old])
        with pytest.raises(ConfigError, match=f"cannot listen on {bad}.*exporters.http_api.listen"):
            await agent.api.listen([fresh, bad])
        assert [await _get(str(each)) for each in (old, fresh)] == [200, 0]
    await agent.api.aclose()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
async def test_an_address_that_is_not_of_this_host(agent: _Agent, host: str):
    """Another host's address, or a name without one, is refused by its name."""
    with pytest.raises(ConfigError, match=f"cannot listen on {host}:9745"):
        await agent.api.listen([Listen(host, 9745)])
    await agent.api.aclose()


async def _closing(agent: _Agent, talk: Callable[[socket.socket], None]) -> float:
    """Return how long closing takes while a client is connected that did this."""
    port = unused_port()
    await agent.api.listen([Listen("127.0.0.1", port)])
    loop = asyncio.get_running_loop()
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", port))
        talk(reader)
        await asyncio.sleep(0.05)
        begun = loop.time()
        await agent.api.aclose()
        took = loop.time() - begun
        with contextlib.suppress(ConnectionError):
            reader.shutdown(socket.SHUT_RDWR)
    return took


async def test_closing_with_a_slow_reader(agent: _Agent):
    """A client that asked for megabytes and reads none of them does not hold the agent up."""
    agent.pages = {"big": EnginePage(body=b"x" * 16_000_000, content_type="text/plain")}
    request = b"GET /metrics/engine/big HTTP/1.1\r\nHost: x\r\n\r\n"
    assert await _closing(agent, lambda reader: reader.sendall(request)) < 2.0


@pytest.mark.parametrize(
    "said", [b"", b"GET /metr", b"POST /-/reload HTTP/1.1\r\nContent-Length: 9"]
)
async def test_closing_with_an_idle_client(agent: _Agent, said: bytes):
    """A client that is connected and says nothing, or half a request, does not either."""
    assert await _closing(agent, lambda reader: reader.sendall(said)) < 2.0


async def test_closing_without_listening(agent: _Agent):
    """What never listened can be closed."""
    await agent.api.aclose()
