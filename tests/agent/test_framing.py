"""Frames come out of a stream as they went in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.framing import HEADER, Unframer, frame

FRAMES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=200)), max_size=8)


@given(frames=FRAMES, cuts=st.lists(st.integers(1, 50)))
def test_frames_survive_any_cutting(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    """However the stream arrives in pieces, the frames that were sent come out."""
    stream = b"".join(frame(kind, body) for kind, body in frames)
    unframer = Unframer()
    found: list[tuple[int, bytes]] = []
    for size in cuts:
        found += unframer.feed(stream[:size])
        stream = stream[size:]
    found += unframer.feed(stream)
    assert found == frames


def test_absurd_length_is_refused() -> None:
    """A length that no honest frame has ends the conversation instead of filling memory."""
    with pytest.raises(ValueError, match="frame of"):
        list(Unframer().feed(HEADER.pack(ord("S"), 2**31)))
