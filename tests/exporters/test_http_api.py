"""The HTTP endpoint: what each page answers, and to whom."""

import gzip
import json
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from exporters import http_api
from exporters.access import requests
from exporters.http_api import EnginePage, HttpApi
from exporters.prometheus import OPENMETRICS, TEXT
from tests.exporters.asked_agent import AskedAgent

PAGE = EnginePage(body=b"vllm:x 1\n" * 1000, content_type="text/plain; version=0.0.4")
Client = TestClient[web.Request, web.Application]


@pytest.fixture
def agent() -> AskedAgent:
    """Return an agent without a tick."""
    return AskedAgent()


@pytest.fixture
async def client(agent: AskedAgent) -> AsyncIterator[Client]:
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
    agent: AskedAgent, client: Client, accept: str, content_type: str, end: str
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
    agent: AskedAgent,
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


async def test_without_ticks_there_is_no_page(agent: AskedAgent, client: Client):
    """When ticks stop, the page that would tell the past is withdrawn and health says so."""
    await agent.tick()
    agent.clock.advance(30.0)
    assert (await _answer(client.get("/metrics")))[0] == 200
    assert await _answer(client.get("/-/ready")) == (200, "ready\n")
    agent.clock.advance(1.0)
    for path in ("/metrics", "/-/ready", "/-/healthy"):
        assert await _answer(client.get(path)) == (503, "the last tick was 31 s ago\n")


async def test_a_long_interval_is_no_silence(agent: AskedAgent):
    """With a tick a minute, three may be missed before the page is withdrawn."""
    api = HttpApi(agent.page, agent.views(interval=60.0))
    await agent.tick()
    async with TestClient(TestServer(api.application())) as client:
        agent.clock.advance(180.0)
        assert (await _answer(client.get("/metrics")))[0] == 200
        agent.clock.advance(1.0)
        assert (await _answer(client.get("/metrics")))[0] == 503


async def test_engine_pages(agent: AskedAgent, client: Client):
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


async def test_where_there_can_be_no_engine_pages(agent: AskedAgent):
    """A replay says why it has no page of an engine, not that there is no such engine."""
    views = replace(agent.views(), no_engine_pages="a recording holds none")
    api = HttpApi(agent.page, views)
    async with TestClient(TestServer(api.application())) as client:
        told = await _answer(client.get("/metrics/engine/x"))
        assert told == (404, "a recording holds none\n")


async def test_a_reload_that_fails_is_told(agent: AskedAgent):
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
    agent: AskedAgent, client: Client, given: str, told: str | None
):
    """Whatever an engine calls its page, it is served as text."""
    agent.pages = {"big": EnginePage(body=b"<script>alert(1)</script>\n", content_type=given)}
    async with client.get("/metrics/engine/big") as response:
        assert response.headers["Content-Type"] == (given if told is None else told)
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/ready", "/none", "/metrics/engine/none"])
async def test_no_answer_is_guessed_at(agent: AskedAgent, client: Client, path: str):
    """Pages and refusals alike tell a browser to believe the type that they come with."""
    await agent.tick()
    async with client.get(path) as response:
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/metrics", "/metrics/engine/big", "/-/healthy", "/-/ready"])
async def test_head(agent: AskedAgent, client: Client, path: str):
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


async def test_reload(agent: AskedAgent, client: Client):
    """A reload is done before it is answered; a refusal comes with all its reasons."""
    assert await _answer(client.post("/-/reload")) == (200, "reloaded\n")
    agent.problem = "f:1: a: no\nf:2: b: no"
    assert await _answer(client.post("/-/reload")) == (400, "f:1: a: no\nf:2: b: no\n")
    assert agent.reloads == 2


async def test_a_reload_says_what_waits_for_a_restart(agent: AskedAgent, client: Client):
    """What the reload has to say besides is in the answer."""
    agent.reload_note = "what has changed at labels.job waits for a restart"
    answered = await _answer(client.post("/-/reload"))
    assert answered == (200, f"reloaded; {agent.reload_note}\n")


async def test_reload_is_for_this_host_alone(
    agent: AskedAgent, client: Client, monkeypatch: pytest.MonkeyPatch
):
    """Neither another host nor a page in a browser of this one can reload."""
    headers = {"Origin": "http://evil.example"}
    assert (await _answer(client.post("/-/reload", headers=headers)))[0] == 403
    monkeypatch.setattr(requests, "is_loopback", lambda _remote: False)
    status, text = await _answer(client.post("/-/reload"))
    assert (status, "only for this host itself" in text) == (403, True)
    assert agent.reloads == 0


async def test_capacity_is_json_and_never_old(agent: AskedAgent, client: Client):
    """What engines carry is answered as JSON while ticks complete; else 503 and why."""
    status, text = await _answer(client.get("/api/v1/capacity"))
    assert (status, text) == (503, "the first tick is not complete yet\n")
    await agent.tick()
    assert await _answer(client.get("/api/v1/capacity")) == (200, '{"replicas": []}\n')
    agent.clock.advance(60.0)
    assert (await _answer(client.get("/api/v1/capacity")))[0] == 503


async def test_signals_are_json_and_never_old(agent: AskedAgent, client: Client):
    """What autoscalers go by is asked at the time of the page; without ticks it is 503."""
    assert (await _answer(client.get("/api/v1/signals")))[0] == 503
    await agent.tick()
    status, text = await _answer(client.get("/api/v1/signals?instance=chat"))
    assert (status, json.loads(text)["time"]) == (200, agent.clock.time())
    assert (await _answer(client.get("/api/v1/signals?instance=other")))[0] == 404
    agent.clock.advance(60.0)
    assert (await _answer(client.get("/api/v1/signals")))[0] == 503
