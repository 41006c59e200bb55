"""What users of an engine got: within the targets, and when they were let down."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.analysis.bottleneck import Targets
from evaluation.faults_client import Asked, Load, within

TARGETS = Targets(time_to_first_token=1.0, inter_token_latency=0.1)


def asked(
    *, first: float | None = 100.5, ended: float = 102.0, status: int = 200, whole: bool = True
) -> Asked:
    """Return a request that was sent at 100 and got 16 tokens."""
    return Asked(
        begun=100.0,
        prompt=10,
        wanted=16,
        status=status,
        first=first,
        ended=ended,
        tokens=16,
        whole=whole,
    )


def test_an_answer_in_time_is_within_both_targets():
    """First token after half a second, a token each tenth: nobody is let down."""
    assert asked().kept(TARGETS)
    assert asked().harmed(TARGETS) is None


@pytest.mark.parametrize(
    ("one", "moment"),
    [
        (asked(first=103.0, ended=104.0), 101.0),  # late: when the target ran out
        (asked(first=100.5, ended=103.0), 103.0),  # slow: known at its end
        (asked(whole=False), 102.0),  # cut off
        (asked(first=None, ended=100.2, status=400, whole=False), 100.2),  # refused at once
        (asked(first=None, ended=130.0, status=0, whole=False), 101.0),  # never answered
    ],
)
def test_the_moment_at_which_a_user_is_let_down(one: Asked, moment: float):
    """A failure counts when it comes, a late answer when its target has run out."""
    assert not one.kept(TARGETS)
    assert one.harmed(TARGETS) == moment


def test_the_share_within_the_targets():
    """One of two kept them; of no requests there is no share."""
    assert within([asked(), asked(whole=False)], TARGETS) == 0.5
    assert within([], TARGETS) is None


async def test_who_still_waits_at_the_end_leaves_unharmed():
    """A request under way when its users go has no end, so it counts neither way."""
    arrived = asyncio.Event()

    async def never(_request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.Event().wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/completions", never)
    async with TestServer(app) as server:
        load = Load(url=str(server.make_url("")).rstrip("/"), rate=1000.0)
        task = asyncio.create_task(load.run())
        await asyncio.wait_for(arrived.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert load.asked
    assert not load.under_way
    assert {one.ended for one in load.asked} == {0.0}


async def test_an_answer_that_streams_is_measured():
    """First token, number of tokens, wholeness: as they came over the wire."""

    async def stream(request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == "Bearer k"
        response = web.StreamResponse()
        await response.prepare(request)
        for _token in range(3):
            await response.write(b'data: {"choices": [{"text": "a"}]}\n\n')
        await response.write(b"data: [DONE]\n\n")
        return response

    app = web.Application()
    app.router.add_post("/v1/completions", stream)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        load = Load(url=str(server.make_url("")).rstrip("/"), key="k")
        await load.ask(session, random.Random(1))
    [one] = load.asked
    assert (one.status, one.tokens, one.whole) == (200, 3, True)
    assert one.first is not None
    assert one.begun <= one.first <= one.ended


async def test_a_connection_that_closes_while_nobody_reads_is_an_answer_cut_off():
    """Of that aiohttp says RuntimeError; whoever asked was let down all the same."""

    async def lines() -> AsyncIterator[bytes]:
        yield b'data: {"choices": [{"text": "a"}]}\n'
        raise RuntimeError("Connection closed.")

    @contextlib.asynccontextmanager
    async def post(*_url: str, **_what: object) -> AsyncIterator[Any]:
        yield SimpleNamespace(status=200, content=lines())

    load = Load(url="http://127.0.0.1:1")
    session = cast("aiohttp.ClientSession", SimpleNamespace(post=post))
    await load.ask(session, random.Random(1))
    [one] = load.asked
    assert (one.tokens, one.whole) == (1, False)
    assert one.harmed(TARGETS) == one.ended > 0.0
