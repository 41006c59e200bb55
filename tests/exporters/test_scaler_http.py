"""The scaler over HTTP: numbers for KEDA's metrics-api, and 503 where none would be true."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from exporters.scaler_http import ScalerHttp, ScalerViews

Client = TestClient[web.Request, web.Application]
TOLD: dict[str, dict[str, object]] = {
    "org/m": {"model_name": "org/m", "replicas": 3, "reason": "so"}
}


class _Scaler:
    """What the endpoint asks, as tests want it."""

    def __init__(self) -> None:
        self.told: dict[str, dict[str, object]] = dict(TOLD)
        self.names = [*TOLD]
        self.problem = ""
        self.missing = ""

    def views(self) -> ScalerViews:
        """Return what the endpoint may ask."""
        return ScalerViews(
            model=self.model,
            models=lambda: self.names,
            problem=lambda: self.problem,
            missing=lambda: self.missing,
        )

    def model(self, name: str) -> dict[str, object] | None:
        """Return what is told of a model."""
        return self.told.get(name)


@pytest.fixture
def scaler() -> _Scaler:
    """Return one that knows a model."""
    return _Scaler()


@pytest.fixture
async def client(scaler: _Scaler) -> AsyncIterator[Client]:
    """Return a client of its endpoint."""
    async with TestClient(TestServer(ScalerHttp(scaler.views()).application())) as found:
        yield found


async def _ask(client: Client, path: str) -> tuple[int, str]:
    """Return status and text."""
    async with client.get(path) as response:
        return response.status, await response.text()


async def test_a_model_is_told_of(client: Client):
    """The name of a model may hold slashes, as they do; `replicas` is the number."""
    status, text = await _ask(client, "/api/v1/models/org/m/replicas")
    assert (status, json.loads(text)["replicas"]) == (200, 3)
    status, text = await _ask(client, "/api/v1/models")
    assert (status, json.loads(text)) == (200, {"models": [TOLD["org/m"]]})


async def test_what_is_stale_is_503(scaler: _Scaler, client: Client):
    """A model of which nothing is young enough is unavailable, with the reason; never zero."""
    scaler.told.clear()
    scaler.problem = "http://p did not answer within 10 s"
    for path in ("/api/v1/models/org/m/replicas", "/api/v1/models", "/-/ready"):
        status, text = await _ask(client, path)
        assert status == 503
        assert "did not answer within 10 s" in text
    assert (await _ask(client, "/-/healthy"))[0] == 200


async def test_an_unknown_model_is_404(scaler: _Scaler, client: Client):
    """It is said which there are; before any is seen, nothing can be called unknown."""
    status, text = await _ask(client, "/api/v1/models/other/replicas")
    assert (status, "org/m" in text) == (404, True)
    scaler.told, scaler.names = {}, []
    assert (await _ask(client, "/api/v1/models/other/replicas"))[0] == 503


async def test_of_a_partial_answer_nothing_is_called_unknown(scaler: _Scaler, client: Client):
    """A model that is not in it may be served where nobody answered: 503 with that, never 404.

    Whoever asks Prometheus is ready all the same: it answers.
    """
    scaler.missing = "the server did not answer in full: store b is down"
    status, text = await _ask(client, "/api/v1/models/other/replicas")
    assert (status, "store b is down" in text) == (503, True)
    assert (await _ask(client, "/-/ready"))[0] == 200
    assert (await _ask(client, "/api/v1/models/org/m/replicas"))[0] == 200
