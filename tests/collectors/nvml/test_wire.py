"""The stream between the agent and its child, and the pauses between children."""

import json
import socket
from pathlib import Path

import pytest

from agent.framing import frame
from agent.model import SourceError
from collectors.nvml import wire
from collectors.nvml.backoff import Backoff
from collectors.nvml.supervisor import Supervisor
from tests.fakes.clock import ManualClock
from tests.fakes.nvml.controller import StubDriver


def test_backoff_begins_again_after_good_health() -> None:
    """Pauses double up to the limit, and begin anew after a long time without failure."""
    clock = ManualClock()
    backoff = Backoff(clock.monotonic, first=1, limit=5, healthy_after=30)
    pauses = []
    for _ in range(5):
        backoff.failed()
        pauses.append(backoff.remaining)
        clock.advance(backoff.remaining)
    assert pauses == [1, 2, 4, 5, 5]
    assert backoff.remaining == 0
    clock.advance(30)
    backoff.failed()
    assert backoff.remaining == 1
    backoff.reset()
    assert backoff.remaining == 0


@pytest.mark.parametrize("garbage", [b"\xff" * 64, frame(ord("?"), b"")])
async def test_garbage_from_the_child(tmp_path: Path, garbage: bytes) -> None:
    """Something that is no frame is an error of the source; a fresh child follows."""
    clock = ManualClock()
    driver = StubDriver(tmp_path)
    supervisor = Supervisor(monotonic=clock.monotonic, deadline=10, env=driver.env())
    try:
        await supervisor.ask(wire.ALL_TIERS)
        assert supervisor._child is not None
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        supervisor._child.connection.close()
        supervisor._child.connection = ours
        with theirs:
            theirs.send(garbage)
            with pytest.raises(SourceError, match="broke"):
                await supervisor.ask(wire.FAST)
        clock.advance(2)
        answer = await supervisor.ask(wire.ALL_TIERS)
        assert answer.layout is not None
        assert json.loads(answer.layout)["devices"][0]["gpu"] == "0"
    finally:
        await supervisor.aclose()
