"""Which limits hold of a replica, and where each is known from."""

import pytest

from agent.analysis.capacity.estimate import Limit, Limits
from agent.analysis.limits import ReplicaLimits, by_metric
from agent.analysis.replicas import Replica
from agent.analysis.window import View
from agent.catalog import engine
from tests.agent.analysis.views import START, view_of

CHAT = Replica("vllm", "chat", "m", "0")
NONE = Limits()
EIGHT = Limits(sequences=Limit(8.0, "file"))


def seen(*sequences: float) -> View:
    """Return a view of an engine that showed these limits on sequences, one a second."""
    rows = len(sequences)
    return view_of(
        {(engine.KV_CACHE_CAPACITY, ""): [4096.0] * rows},
        host={
            (engine.MAX_NUM_SEQS, CHAT[:2]): sequences,
            (engine.MAX_NUM_BATCHED_TOKENS, CHAT[:2]): [2048.0] * rows,
        },
    )


def test_what_was_read_has_its_source():
    """A flag of vLLM is of its command line; how many slots it has llama.cpp says itself."""
    view = seen(256.0)
    assert ReplicaLimits(CHAT).of(view, NONE) == Limits(
        sequences=Limit(256.0, "command_line"),
        step_tokens=Limit(2048.0, "command_line"),
        kv_tokens=Limit(4096.0, "page"),
    )
    slots = ReplicaLimits(Replica("llamacpp", "chat", "m", "0")).of(view, NONE)
    assert slots.sequences == Limit(256.0, "page")


def test_what_is_told_counts_first():
    """A told limit is one of the file, what nobody told is as it was read."""
    limits = ReplicaLimits(CHAT).of(seen(256.0), EIGHT)
    assert limits.sequences == Limit(8.0, "file")
    assert limits.step_tokens == Limit(2048.0, "command_line")


def test_what_is_told_no_more_is_forgotten():
    """The window still holds the told number for minutes; it is nobody's limit any more."""
    limits = ReplicaLimits(CHAT)
    assert limits.of(seen(8.0, 8.0), EIGHT).sequences.value == 8.0
    nan = float("nan")
    assert limits.of(seen(8.0, 8.0, nan), NONE).sequences == Limit()
    assert limits.of(seen(8.0, 8.0, nan, 256.0), NONE).sequences == Limit(256.0, "command_line")


@pytest.mark.parametrize("missed", [1, 3])
def test_a_look_without_a_limit_is_bridged(missed: int):
    """What an engine was started with holds while a look does not show it."""
    limits = ReplicaLimits(CHAT)
    assert limits.of(seen(256.0), NONE).sequences.value == 256.0
    assert limits.of(seen(256.0, *[float("nan")] * missed), NONE).sequences.value == 256.0


def test_a_limit_of_nothing_is_none():
    """An engine that runs anything has no such limit, whatever it says."""
    limits = ReplicaLimits(CHAT)
    assert limits.of(seen(0.0), NONE).sequences == Limit()
    assert limits.of(seen(0.0, 256.0, 5e-324), NONE).sequences.value == 256.0


def test_a_clock_that_is_set_back_costs_nothing():
    """Rows from before the moment at which a limit was first told are those of now."""
    limits = ReplicaLimits(CHAT)
    assert limits.of(seen(*[64.0] * 30), NONE).sequences.value == 64.0
    earlier = seen(32.0, 32.0)
    assert earlier.times[-1] < START + 29.0
    assert limits.of(earlier, NONE).sequences.value == 32.0


def test_only_what_is_known_is_told_by_its_metric():
    """Nothing is said of a limit that nobody told, and the KV cache is measured, never told."""
    assert by_metric(Limits(kv_tokens=Limit(9.0, "page"))) == {}
    both = Limits(sequences=Limit(8.0, "file"), step_tokens=Limit(512.0, "file"))
    assert by_metric(both) == {engine.MAX_NUM_SEQS: 8.0, engine.MAX_NUM_BATCHED_TOKENS: 512.0}
