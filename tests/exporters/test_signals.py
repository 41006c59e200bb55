"""`/api/v1/signals`: whom it tells of, and that it never tells what is stale."""

import json
from typing import Any

import pytest

from exporters.signals import no_signals, respond

CHAT = {"engine": "vllm", "instance_name": "chat", "model_name": "m", "rank": "0"}
CODE = {"engine": "vllm", "instance_name": "code", "model_name": "n", "rank": "0"}
DOCUMENT: dict[str, Any] = {
    "schema": "inferwatch.signals/1",
    "replicas": [{**CHAT, "utilization_ratio": {"value": 0.5, "age_seconds": 1.0}}],
    "stale": [CODE],
}


def _names(query: dict[str, str]) -> list[str]:
    """Return the instances that an answer tells of."""
    answer = respond(query, DOCUMENT)
    assert answer.status == 200
    assert answer.text is not None
    return [one["instance_name"] for one in json.loads(answer.text)["replicas"]]


@pytest.mark.parametrize("query", [{}, {"instance": "chat"}, {"model": "m"}])
def test_it_tells_of_those_that_are_asked_for(query: dict[str, str]):
    """All, or those of an instance or a model."""
    assert _names(query) == ["chat"]


@pytest.mark.parametrize(
    ("query", "status", "why"),
    [
        ({"instance": "code"}, 503, "no signal is young enough to be true"),
        ({"model": "x"}, 404, "chat, code, m, n"),
        ({"host": "x"}, 400, "instance=NAME"),
    ],
)
def test_what_is_stale_is_never_told(query: dict[str, str], status: int, why: str):
    """Stale is 503, unknown is 404 with what there is, and another parameter is refused."""
    answer = respond(query, DOCUMENT)
    assert answer.status == status
    assert answer.text is not None
    assert why in answer.text


def test_without_an_engine_there_is_nothing():
    """Before an engine is seen the answer is 503: nobody should take it for no load."""
    answer = respond({}, no_signals(0.0))
    assert (answer.status, answer.text) == (503, "no engine was seen yet\n")
    assert answer.headers["Retry-After"] == "5"
