"""What is asked of a Prometheus, and what is made of its answers, the odd ones included."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.analysis.signals import models
from agent.app.prometheus import SELECTOR, TIMES, Prometheus
from agent.app.scaler import Scaler, terms_by_model
from agent.config import Settings, read_settings
from agent.config.settings import Scaler as ScalerSettings
from agent.model import SourceError
from tests.fakes.clock import ManualClock

Answer = Callable[[str], web.Response]
PIECES = 40
NOW = 1_800_000_000.0
LABELS = {"instance": "a:9745", "engine": "vllm", "instance_name": "chat", "model_name": "m"}


def _vector(*series: tuple[dict[str, str], str]) -> web.Response:
    """Return an answer as Prometheus gives it."""
    result = [{"metric": metric, "value": [NOW, value]} for metric, value in series]
    return web.json_response(
        {"status": "success", "data": {"resultType": "vector", "result": result}}
    )


def _named(name: str, **labels: str) -> dict[str, str]:
    """Return the labels of a series of the replica."""
    return {"__name__": f"inferwatch_engine_{name}", **LABELS, **labels}


def asked(demand: str, *, time: float = NOW) -> Answer:
    """Answer as if one replica were asked so many tokens a minute and carried 1,000."""

    def answer(query: str) -> web.Response:
        if query == TIMES:
            return _vector((LABELS, str(time - 5.0)))
        assert query == SELECTOR
        return _vector(
            (_named("requests_running"), "4"),
            (_named("demand_tokens_per_minute", phase="total"), demand),
            (_named("capacity_tokens_per_minute", phase="total", bound="low"), "1000"),
            (_named("queue_tokens"), "NaN"),
        )

    return answer


well = asked("1700")


class _Server:
    """A Prometheus as a test wants it."""

    def __init__(self) -> None:
        self.answer: Answer = well
        self.url = ""
        self.tenants: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a query, in as many pieces as the network may make of it."""
        self.tenants.append(request.headers.get("X-Scope-OrgID", ""))
        whole = self.answer(str((await request.post())["query"]))
        body = bytes(whole.body) if isinstance(whole.body, bytes) else b""
        response = web.StreamResponse(status=whole.status)
        await response.prepare(request)
        size = max(1, -(-len(body) // PIECES))
        for at in range(0, len(body), size):
            await response.write(body[at : at + size])
            await asyncio.sleep(0)
        await response.write_eof()
        return response


@pytest.fixture
async def server() -> AsyncIterator[_Server]:
    """Return a server."""
    found, application = _Server(), web.Application()
    application.router.add_post("/prom/api/v1/query", found.handle)
    async with TestServer(application) as running:
        found.url = str(running.make_url("/prom/"))
        yield found


async def test_samples_have_the_time_of_the_scrape(server: _Server):
    """A value is as old as the last page of its replica; what is no number is left out."""
    prometheus = Prometheus(server.url, ScalerSettings())
    found = await prometheus.samples()
    await prometheus.aclose()
    assert [one.value for one in found.samples] == [4.0, 1700.0, 1000.0]
    assert {one.time for one in found.samples} == {NOW - 5.0}
    assert found.missing == []


async def test_the_tenant_goes_with_every_question(server: _Server):
    """Cortex and Mimir answer nobody who does not say whose series they want."""
    text = "scaler: {headers: {X-Scope-OrgID: team-a}}"
    settings = read_settings(text, "f", engines=("vllm",)).scaler
    prometheus = Prometheus(server.url, settings)
    await prometheus.samples()
    await prometheus.aclose()
    assert server.tenants == ["team-a", "team-a"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda _q: web.Response(status=503, text="starting"), "it answered 503; starting"),
        (lambda _q: web.Response(text="hello"), "is no JSON"),
        (lambda _q: web.json_response({"status": "error"}), "none of the Prometheus API"),
        (lambda _q: web.json_response([]), "none of the Prometheus API"),
        (lambda _q: web.json_response({"status": "success"}), "its answer makes no sense"),
        (
            lambda _q: web.json_response(
                {"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}
            ),
            "it did not answer with a vector",
        ),
    ],
)
async def test_odd_answers_are_said(server: _Server, answer: Answer, why: str):
    """Whatever a server answers, it is an error with a reason."""
    server.answer = answer
    prometheus = Prometheus(server.url, ScalerSettings())
    with pytest.raises(SourceError, match=why):
        await prometheus.samples()
    await prometheus.aclose()


async def test_the_scaler_tells_what_follows(server: _Server):
    """Of 1,700 on replicas that carry 1,000 three are needed; 90 s later nothing is true."""
    clock = ManualClock(time=NOW)
    scaler = Scaler(server.url, Settings(), clock=clock)
    await scaler.look()
    told: Any = scaler.views().model("m")
    assert told["replicas"] == 3
    assert scaler.needed("m") == 3.0
    assert scaler.views().problem() == ""
    server.answer = lambda _q: web.Response(status=500)
    await scaler.look()
    assert "500" in scaler.views().problem()
    clock.advance(91.0)
    assert scaler.needed("m") is None
    assert scaler.views().model("m") is None
    await scaler._prometheus.aclose()


async def test_a_look_that_fails_ends_nothing(
    server: _Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """What cannot be worked out is told once, with where; the next look is another one."""
    scaler = Scaler(server.url, Settings(), clock=ManualClock(time=NOW))

    def fail(_samples: object, **_others: object) -> None:
        raise OverflowError("too large")

    with monkeypatch.context() as broken:
        broken.setattr(models, "loads_of", fail)
        for _look in range(2):
            await scaler.look()
            assert "OverflowError: too large (test_prometheus.py:" in scaler.views().problem()
        assert scaler.needed("m") is None
    await scaler.look()
    assert (scaler.needed("m"), scaler.views().problem()) == (3.0, "")
    said = capsys.readouterr()
    assert (said.out + said.err).count("too large") == 1
    await scaler._prometheus.aclose()


DOWN = "receive series from Addr: 10.0.0.7:10901: rpc error: code = Unavailable"


def partly(answer: Answer, *, query: str, **said: object) -> Answer:
    """Answer one query as Thanos or VictoriaMetrics do while a part of them is away."""

    def told(sent: str) -> web.Response:
        whole = json.loads(str(answer(sent).text))
        return web.json_response({**whole, **said} if sent == query else whole)

    return told


@pytest.mark.parametrize("query", [SELECTOR, TIMES])
@pytest.mark.parametrize("said", [{"warnings": [DOWN]}, {"isPartial": True}])
async def test_a_partial_answer_is_said(server: _Server, query: str, said: dict[str, Any]):
    """Whichever of the two answers it is; the next one that is whole is whole."""
    server.answer = partly(well, query=query, **said)
    prometheus = Prometheus(server.url, ScalerSettings())
    (missing,) = (await prometheus.samples()).missing
    assert missing.startswith("the server did not answer in full: ")
    server.answer = well
    assert (await prometheus.samples()).missing == []
    await prometheus.aclose()


async def test_a_partial_answer_ends_no_replica(
    server: _Server, capsys: pytest.CaptureFixture[str]
):
    """What needs three replicas does so while most of it is not in the answer.

    That is said in the JSON, and in the log once when it begins and once when it is over.
    """
    clock = ManualClock(time=NOW)
    scaler = Scaler(server.url, Settings(), clock=clock)
    await scaler.look()
    for _look in range(80):
        clock.advance(15.0)
        left = asked("170", time=clock.time())
        server.answer = partly(left, query=SELECTOR, warnings=[DOWN])
        await scaler.look()
    told: Any = scaler.views().model("m")
    assert (told["replicas"], told["replicas_now"]) == (3, None)
    assert told["missing"] == [f"the server did not answer in full: {DOWN}"]
    assert scaler.views().problem() == ""
    assert DOWN in scaler.views().missing()
    server.answer = asked("1700", time=clock.time())
    await scaler.look()
    told = scaler.views().model("m")
    assert (told["missing"], scaler.views().missing()) == ([], "")
    said = capsys.readouterr()
    assert (said.out + said.err).count("does not answer in full") == 1
    assert (said.out + said.err).count("answers in full again") == 1
    await scaler._prometheus.aclose()


async def test_a_scaler_that_begins_with_a_part_knows_nothing(server: _Server):
    """How many there are is not known, so nothing is told, and it is said why."""
    server.answer = partly(well, query=SELECTOR, warnings=[DOWN])
    scaler = Scaler(server.url, Settings(), clock=ManualClock(time=NOW))
    await scaler.look()
    assert scaler.needed("m") is None
    assert scaler.views().model("m") is None
    assert DOWN in scaler.views().missing()
    await scaler._prometheus.aclose()


def test_bounds_are_those_of_the_model():
    """What is said of a model counts before what is said of all."""
    text = "scaler: {least: 2, most: 9, models: [{model_name: m, most: 4}]}"
    terms = terms_by_model(read_settings(text, "f", engines=("vllm",)))
    assert (terms("m").least, terms("m").most) == (2, 4)
    assert (terms("n").least, terms("n").most) == (2, 9)


def test_the_target_of_surges_is_the_configured_one():
    """It is none unless one is given, and then that of every model."""
    for text, target in (("{}", None), ("scaler: {surge_target: 120%}", 1.2)):
        terms = terms_by_model(read_settings(text, "f", engines=("vllm",)))
        assert terms("m").surge_target == target
