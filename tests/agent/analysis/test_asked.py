"""Demand is what arrives, whether it is served or waits; the rest of it follows from the mix."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.analysis.asked import Demand, demand_of, throughput
from agent.analysis.capacity.estimate import Mix
from agent.analysis.window import View
from agent.catalog import engine
from tests.agent.analysis.views import Key, view_of

PROMPT, OUTPUT = 100.0, 50.0
SECONDS = 121
MIX = Mix(
    prompt=200.0,
    output=20.0,
    prompt_share=200.0 / 220.0,
    cached_share=0.0,
    held=None,
    requests=100.0,
    since=0.0,
)


def _view(
    begun: Sequence[float], waiting: Sequence[float], *, ended: Sequence[float] | None = None
) -> View:
    """Return a view of requests that got a first token, that wait and that ended by each second."""
    done = begun if ended is None else ended
    columns: dict[Key, Sequence[float]] = {
        (engine.REQUESTS_WAITING, ""): waiting,
        (engine.TIME_TO_FIRST_TOKEN, "_count"): begun,
        (engine.PROMPT_TOKENS, ""): [PROMPT * count for count in begun],
        (engine.GENERATION_TOKENS, ""): [OUTPUT * count for count in done],
        (engine.REQUEST_GENERATION_TOKENS, "_count"): done,
        (engine.REQUEST_GENERATION_TOKENS, "_sum"): [OUTPUT * count for count in done],
    }
    return view_of(columns)


def test_a_steady_load_is_what_arrives():
    """A request a second without a queue is 60 a minute, with its prompt and its output."""
    found = demand_of(_view(range(SECONDS), [0.0] * SECONDS), None)
    assert found.requests_per_minute == pytest.approx(60.0)
    assert found.prompt_tokens_per_minute == pytest.approx(6000.0)
    assert found.generation_tokens_per_minute == pytest.approx(3000.0)
    assert found.tokens_per_minute == pytest.approx(9000.0)
    assert (found.queue_requests, found.queue_tokens) == (0.0, 0.0)


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 4), min_size=SECONDS, max_size=SECONDS),
    st.floats(0.0, 1.0),
)
def test_what_is_not_served_counts_all_the_same(arrivals: list[int], served: float):
    """Demand is the arrivals of the last minute, however many of them the engine manages."""
    arrived = [sum(arrivals[: second + 1]) for second in range(SECONDS)]
    begun = [math.floor(served * count) for count in arrived]
    waiting = [a - b for a, b in zip(arrived, begun, strict=True)]
    found = demand_of(_view(begun, waiting), MIX)
    came = arrived[-1] - arrived[-61]
    assert found.requests_per_minute == pytest.approx(came)
    assert found.generation_tokens_per_minute == pytest.approx(came * 20.0)
    assert found.queue_tokens == pytest.approx(waiting[-1] * 220.0)


def test_a_queue_that_drains_is_no_demand():
    """Requests that came before the last minute and are served in it are not asked again."""
    waiting = [float(max(0, 120 - second)) for second in range(SECONDS)]
    found = demand_of(_view(range(SECONDS), waiting), None)
    assert found.requests_per_minute == pytest.approx(0.0)
    assert found.tokens_per_minute == pytest.approx(0.0)


def test_the_learned_mix_tells_lengths_before_the_rows_do():
    """With a mix the output of what arrives is that of the mix, not the mean of the rows."""
    found = demand_of(_view(range(SECONDS), [0.0] * SECONDS), MIX)
    assert found.generation_tokens_per_minute == pytest.approx(60 * 20.0)


def test_without_an_end_of_a_request_the_output_is_not_known():
    """Prompts alone are no demand: what will be generated for them is not known yet."""
    found = demand_of(_view(range(SECONDS), [0.0] * SECONDS, ended=[0.0] * SECONDS), None)
    assert found.prompt_tokens_per_minute == pytest.approx(6000.0)
    assert found.tokens_per_minute is None


def test_nothing_arrives():
    """An idle engine is asked for nothing, which is known though no request shows its length."""
    found = demand_of(_view([5.0] * SECONDS, [0.0] * SECONDS), None)
    assert found.tokens_per_minute == 0.0
    assert found.requests_per_minute == 0.0


@pytest.mark.parametrize("grows", [0.0, 0.5])
def test_without_counted_requests(grows: float):
    """llama.cpp counts tokens alone: their ratio, and what requests hold, tell the rest."""
    columns: dict[Key, Sequence[float]] = {
        (engine.REQUESTS_WAITING, ""): [grows * s for s in range(SECONDS)],
        (engine.REQUESTS_RUNNING, ""): [2.0] * SECONDS,
        (engine.PROMPT_TOKENS, ""): [10.0 * s for s in range(SECONDS)],
        (engine.GENERATION_TOKENS, ""): [5.0 * s for s in range(SECONDS)],
    }
    held = {**columns, (engine.KV_CACHE_USED, ""): [2.0 * 125.0] * SECONDS}
    found = demand_of(view_of(held), None)
    assert found.requests_per_minute is None
    # Requests of 100 prompt and 50 output tokens hold 125 each.
    assert found.prompt_tokens_per_minute == pytest.approx(600.0 + grows * 60 * 100.0)
    assert found.tokens_per_minute == pytest.approx(900.0 + grows * 60 * 150.0)
    unheld = demand_of(view_of(columns), None).tokens_per_minute
    assert unheld == (None if grows else pytest.approx(900.0))


@pytest.mark.parametrize("lost", [20, 100])
def test_what_is_old_or_short_says_nothing(lost: int):
    """A page that is gone for 20 s, or was seen for less than half a minute, tells no demand."""
    waiting = [0.0] * (SECONDS - 20) + [math.nan] * 20
    if lost == 100:
        waiting = [math.nan] * 100 + [0.0] * 21
    assert demand_of(_view(range(SECONDS), waiting), None) == Demand()


def test_a_restart_counts_from_zero():
    """Counters that begin anew within the minute cost what they had counted, nothing more."""
    begun = [float(s) for s in range(100)] + [float(s) for s in range(21)]
    found = demand_of(_view(begun, [0.0] * SECONDS), None)
    assert found.requests_per_minute == pytest.approx(59.0)


def test_a_restart_takes_nothing_off_what_arrives():
    """Requests that waited when the engine went are gone; they had arrived all the same."""
    begun = [float(s) for s in range(100)] + [math.nan] * 5 + [float(s) for s in range(16)]
    waiting = [30.0] * 100 + [math.nan] * 5 + [0.0] * 6 + [4.0] * 10
    found = demand_of(_view(begun, waiting), None)
    assert found.requests_per_minute == pytest.approx(39.0 + 15.0 + 4.0)


def test_throughput_is_what_was_computed_and_generated():
    """Tokens a minute over the rows, by kind; nothing is said of less than half a minute."""
    view = _view(range(SECONDS), [0.0] * SECONDS)
    assert throughput(view) == (pytest.approx(6000.0), pytest.approx(3000.0))
    assert throughput(view.last(10.0)) is None
