"""Work in steps: what comes of it, and when others have a turn."""

import asyncio
from itertools import count
from socket import socketpair

import pytest

from agent.steps import Steps, at_once
from agent.turns import SLICE, Turns
from tests.fakes.clock import ManualClock


def _work(done: list[int], steps: int, clock: ManualClock, seconds: float = 0.0) -> Steps[str]:
    """Take so many steps of so many seconds."""
    for step in range(steps):
        clock.advance(seconds)
        done.append(step)
        yield
    return "all"


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_steps_at_once(steps: int):
    """Every step is taken, and what the last one returns is the result."""
    done: list[int] = []
    assert at_once(_work(done, steps, ManualClock())) == "all"
    assert done == list(range(steps))


@pytest.mark.parametrize(("seconds", "turns"), [(0.0, 0), (SLICE / 4, 2), (SLICE, 8), (1.0, 8)])
async def test_others_have_a_turn_once_a_slice_is_over(seconds: float, turns: int):
    """Others run after each step that ends a slice, and not between shorter ones."""
    clock = ManualClock(monotonic=0.0)
    done: list[int] = []
    seen: list[int] = []

    async def watch() -> None:
        for _ in count():
            seen.append(len(done))
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    assert await Turns(clock.monotonic).in_turns(_work(done, 8, clock, seconds)) == "all"
    watching.cancel()
    assert done == list(range(8))
    assert len(set(seen)) == turns


async def test_a_turn_is_long_enough_to_answer():
    """What arrived on a socket during a slice is read and answered before the next one."""
    clock = ManualClock(monotonic=0.0)
    turns = Turns(clock.monotonic)
    client, server = socketpair()
    with client, server:
        client.setblocking(False)
        server.setblocking(False)
        loop = asyncio.get_running_loop()

        async def serve() -> None:
            await loop.sock_sendall(server, await loop.sock_recv(server, 8))

        serving = asyncio.create_task(serve())
        await asyncio.sleep(0)
        client.send(b"scrape")
        clock.advance(SLICE)
        await turns.give()
        assert client.recv(8) == b"scrape"
        await serving
