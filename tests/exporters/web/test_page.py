"""The page over HTTP: its policy, its changing part, and what it costs."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from exporters.http_api import HttpApi
from exporters.http_report import Answer
from exporters.web.seen import SourceLine
from tests.exporters.asked_agent import AskedAgent
from tests.exporters.web.made import carried, replica

Client = TestClient[web.Request, web.Application]


async def _report(_query: Mapping[str, str]) -> Answer:
    return Answer(404)


@dataclass
class Agent:
    """An agent with a page, and how often it was asked."""

    asked: AskedAgent = field(default_factory=AskedAgent)
    questions: int = 0
    alerts: list[Mapping[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the endpoint."""
        views = replace(
            self.asked.views(),
            engines=self._engines,
            capacity=lambda: {"replicas": [carried()], "gpus": []},
            host="gpu-host:9745",
            alerts=self._alerts,
            looked_for=["Looked for: engines."],
            report=_report,
        )
        self.api = HttpApi(self.asked.page, views)

    def _engines(self) -> Mapping[str, Any]:
        self.questions += 1
        return {"replicas": [replica()]}

    async def _alerts(self) -> list[Mapping[str, Any]]:
        return self.alerts


@pytest.fixture
def agent() -> Agent:
    """Return an agent without a tick."""
    return Agent()


@pytest.fixture
async def client(agent: Agent) -> AsyncIterator[Client]:
    """Return a client of its endpoint."""
    async with TestClient(TestServer(agent.api.application())) as found:
        yield found


async def text_of(client: Client, path: str) -> str:
    """Return what is answered with 200."""
    async with client.get(path) as response:
        assert response.status == 200
        return await response.text()


def hashed(text: str) -> str:
    """Return how a policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


async def test_only_its_own_script_and_style_may_run(agent: Agent, client: Client):
    """The policy names both by their hash, allows nothing else, and nothing comes from outside."""
    await agent.asked.tick()
    async with client.get("/") as response:
        page, policy = await response.text(), response.headers["Content-Security-Policy"]
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Referrer-Policy"] == "no-referrer"
    rules = dict(one.split(" ", 1) for one in policy.split("; "))
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert [hashed(one) for one in scripts] == [rules["script-src"]]
    assert [hashed(one) for one in styles] == [rules["style-src"]]
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert " style=" not in page
    assert not re.search(r' on[a-z]+="', page)
    assert not re.search(r'(src|href)="(https?:)?//', page)


async def test_a_page_that_is_whole(agent: Agent, client: Client):
    """A title, one first heading, a language, a refresh without scripts, and what is known."""
    await agent.asked.tick()
    page = await text_of(client, "/")
    assert page.startswith('<!doctype html>\n<html lang="en">')
    assert page.count("<h1>") == 1
    assert "<h1>inferwatch on gpu-host:9745</h1>" in page
    assert "<title>All well: no alert fires, the engine is healthy or idle. - gpu-host" in page
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page
    assert "inferwatch 1.2.3" in page
    assert set(re.findall(r'href="(#[^"]*)"', page)) <= {
        f"#{anchor}" for anchor in re.findall(r'id="([^"]*)"', page)
    }


async def test_old_addresses_are_still_linked(agent: Agent, client: Client):
    """Everything else that is served can be reached from the page."""
    await agent.asked.tick()
    agent.asked.pages = {"a/b": None}
    links = set(re.findall(r'href="(/[^"]*)"', await text_of(client, "/")))
    assert links == {
        "/api/v1/alerts",
        "/api/v1/capacity",
        "/api/v1/engines",
        "/api/v1/query?query=up",
        "/api/v1/report?format=html",
        "/api/v1/signals",
        "/metrics",
        "/runbooks",
        "/-/healthy",
        "/-/ready",
    }
    agent.asked.pages = {"chat": None}
    await agent.asked.tick()
    assert "/metrics/engine/chat" in await text_of(client, "/")


async def test_the_changing_part_says_what_the_script_needs(agent: Agent, client: Client):
    """How old it is, when to ask again, and one element that replaces the one before."""
    await agent.asked.tick()
    agent.asked.clock.advance(3.0)
    part = await text_of(client, "/page")
    assert part.startswith('<div id="now" data-age="3.0" data-every="2" data-time="2027-01-15 08:')
    assert part.endswith("</div>")
    assert part in await text_of(client, "/")


async def test_it_is_made_once_a_tick(agent: Agent, client: Client):
    """Many who look cost as much as one; the next tick is looked at anew."""
    await agent.asked.tick()
    for path in ("/", "/page", "/page"):
        await text_of(client, path)
    assert agent.questions == 1
    await agent.asked.tick()
    await text_of(client, "/page")
    assert agent.questions == 2


async def test_nobody_who_looks_costs_nothing(agent: Agent):
    """Ticks alone make no page."""
    await agent.asked.tick()
    await agent.asked.tick()
    assert agent.questions == 0


async def test_before_the_first_tick(agent: Agent, client: Client):
    """The page is there, says that it starts, and asks for nothing that is not known yet."""
    page = await text_of(client, "/")
    assert "Starting: the first numbers come in a moment." in page
    assert "No numbers yet." in page
    assert agent.questions == 0


async def test_an_agent_that_no_longer_ticks_says_so(agent: Agent, client: Client):
    """What stands still is called old, with its age, in the first sentence."""
    await agent.asked.tick()
    await text_of(client, "/page")
    agent.asked.clock.advance(40.0)
    part = await text_of(client, "/page")
    assert "The agent no longer looks: the last tick was 40 s ago." in part
    assert 'data-age="40.0"' in part


async def test_alerts_are_those_of_the_api(agent: Agent, client: Client):
    """An alert that fires stands first, the most severe before others."""
    base = {"annotations": {"summary": "s"}, "state": "firing", "value": "1e+00"}
    agent.alerts = [
        base
        | {"labels": {"alertname": name, "severity": severity}, "activeAt": "2027-01-15T08:00:00Z"}
        for name, severity in (("Mild", "warning"), ("Grave", "critical"))
    ]
    await agent.asked.tick()
    part = await text_of(client, "/page")
    assert "2 alerts fire, 1 of them critical." in part
    assert part.index("<b>Grave</b>") < part.index("<b>Mild</b>")


async def test_a_replay_says_so(agent: Agent):
    """The banner comes before everything else, and there is no report to lead to."""
    agent.asked.lines = [SourceLine(name="nvml", state="up", detail="2 series")]
    api = HttpApi(agent.asked.page, agent.asked.views(banner="This is a replay of a recording."))
    await agent.asked.tick()
    async with TestClient(TestServer(api.application())) as client:
        page = await text_of(client, "/")
    assert '<p class="note">This is a replay of a recording.</p>' in page
    assert page.index('class="note"') < page.index('id="first"')
    assert "/api/v1/report" not in page
