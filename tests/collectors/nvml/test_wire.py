"""The stream between the agent and its child, and the pauses between children."""

import json
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import SourceError
from collectors.nvml import wire
from collectors.nvml.backoff import Backoff
from collectors.nvml.supervisor import Supervisor
from tests.fakes.clock import ManualClock
from tests.fakes.nvml.controller import StubDriver

FRAMES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=200)), max_size=8)


@given(frames=FRAMES, cuts=st.lists(st.integers(1, 50)))
def test_frames_survive_any_cutting(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    """However the stream arrives in pieces, the frames that were sent come out."""
    stream = b"".join(wire.frame(kind, body) for kind, body in frames)
    unframer = wire.Unframer()
    found: list[tuple[int, bytes]] = []
    for size in cuts:
        found += unframer.feed(stream[:size])
        stream = stream[size:]
    found += unframer.feed(stream)
    assert found == frames


def test_absurd_length_is_refused() -> None:
    """A length that no honest frame has ends the conversation instead of filling memory."""
    with pytest.raises(ValueError, match="frame of"):
        list(wire.Unframer().feed(struct.pack("<BI", wire.SAMPLE, 2**31)))


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


@pytest.mark.parametrize("garbage", [b"\xff" * 64, wire.frame(ord("?"), b"")])
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
