"""What an engine's own stopwatches tell of its steps while it idles between requests."""

import random
from dataclasses import replace
from math import exp, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.replicas import Replicas
from agent.analysis.step_fit import FEWEST
from agent.analysis.step_gaps import ENOUGH_PROMPTS, LONGEST, PERIOD, Gaps, beside
from agent.analysis.step_time import StepTime
from agent.analysis.step_windows import Stretch, Stretches
from agent.analysis.window import View, Window
from agent.catalog import engine, metrics_of
from agent.model import Frame, SeriesTable
from tests.agent.analysis.views import START, Key, view_of
from tests.simulator.engine import Engine
from tests.simulator.law import StepLaw
from tests.simulator.limits import Limits
from tests.simulator.replica import Replica
from tests.simulator.workload import Lengths, Mix, OpenLoop, steady

STEP, PROMPT_STEP, TOKENS, ANSWER = 0.01, 0.05, 100.0, 31.0


def _one_by_one(seconds: int, *, every: float = 1.0) -> dict[Key, list[float]]:
    """Return the columns of an engine that serves one request after the other, with pauses."""
    served = [every * second for second in range(seconds)]
    gaps = [(ANSWER - 1.0) * one for one in served]
    return {
        (engine.REQUESTS_RUNNING, ""): [0.0] * seconds,
        (engine.REQUESTS_WAITING, ""): [0.0] * seconds,
        (engine.PREEMPTIONS, ""): [0.0] * seconds,
        (engine.STEPS, ""): [ANSWER * one for one in served],
        (engine.PROMPT_TOKENS, ""): [TOKENS * one for one in served],
        (engine.TIME_TO_FIRST_TOKEN, "_count"): served,
        (engine.INTER_TOKEN_LATENCY, "_count"): gaps,
        (engine.INTER_TOKEN_LATENCY, "_sum"): [STEP * one for one in gaps],
        (engine.PREFILL_TIME, "_count"): served,
        (engine.PREFILL_TIME, "_sum"): [PROMPT_STEP * one for one in served],
        (engine.REQUEST_PROMPT_TOKENS, "_sum"): [TOKENS * one for one in served],
        (engine.KV_CACHE_USED, ""): [0.0] * seconds,
    }


def _all(columns: dict[Key, list[float]]) -> list[Stretch]:
    """Return what is told of columns."""
    return Gaps().observe(view_of(columns), busy=())


def _by(found: list[Stretch], clock: str) -> list[Stretch]:
    return [one for one in found if one.by == clock]


def test_one_request_at_a_time_is_timed_exactly():
    """Without anything beside it a token's gap is a step, and a prompt's time one with a prompt."""
    found = _all(_one_by_one(62))
    gaps, prompts = _by(found, "gaps"), _by(found, "prompts")
    assert len(gaps) == 4
    assert len(prompts) == 4
    for one in gaps:
        assert one.seconds == pytest.approx(STEP)
        assert (one.decode, one.prefill, one.decode_squared) == (1.0, 0.0, 1.0)
        assert one.prompts == 0.0
    for one in prompts:
        assert one.seconds == pytest.approx(PROMPT_STEP)
        assert (one.decode, one.prefill) == (0.0, TOKENS)
        assert one.prompts == 1.0


@given(st.floats(0.0, 6.0), st.floats(10.0, 1e4), st.floats(0.0, 1e3))
def test_the_number_beside_follows_from_tokens_and_steps(mean: float, steps: float, prompts: float):
    """Of a number distributed after Poisson the mean is found again."""
    seen = 1.0 if mean < 1e-9 else mean / (1.0 - exp(-mean))
    found = beside(seen * steps + mean * prompts, steps, prompts)
    assert found == pytest.approx(mean, abs=1e-5 * (1.0 + mean) * (1.0 + prompts / steps))


def _served(rate: float, *, seconds: int = 240) -> tuple[StepLaw, View]:
    """Return a law, and the view of a simulated engine that it drives."""
    law = StepLaw(host=0.001, weights=0.009, kv=0.0, token=2e-4, sharpness=6.0, jitter=0.05)
    limits = Limits(
        max_num_seqs=64,
        max_num_batched_tokens=4096,
        num_blocks=4096,
        block_size=16,
        max_model_len=2048,
    )
    lengths = Lengths(median=100.0, spread=0.3, least=4, most=400)
    load = OpenLoop(
        Mix(prompt=lengths, output=lengths), steady(rate), highest=rate, dice=random.Random(1)
    )
    served = Engine(law, limits, load, dice=random.Random(2))
    replica = Replica("engine-0", [served], start=START - 600.0, limits_known=True)
    table, window = SeriesTable(), Window(metrics_of(engine), span=1e9)
    for second in range(1, seconds + 1):
        served.advance(float(second))
        ids, values = replica.samples(table, START + second)
        window.append(Frame(START + second, table, ids, values))
    return law, next(iter(Replicas(window).views(table).values()))


@pytest.mark.parametrize("rate", [0.4, 0.8])
def test_an_idling_engine_tells_its_law(rate: float):
    """Of a simulated engine that pauses between requests steps are found as long as they are."""
    law, view = _served(rate)
    found = Gaps().observe(view, busy=())
    gaps, prompts = _by(found, "gaps"), _by(found, "prompts")
    assert len(gaps) >= 5
    assert prompts
    each = law.seconds(0, 2, 0.0)
    for one in gaps:
        # Prompts that held tokens up are part of their gaps, and beside them in the load.
        expected = each + one.prefill * (law.seconds(105, 1, 0.0) - each) / 105.0
        assert one.seconds == pytest.approx(expected, rel=0.08)
        assert 1.0 <= one.decode < 4.0
    for one in prompts:
        assert one.seconds == pytest.approx(law.seconds(round(one.prefill), 1, 0.0), rel=0.12)
    # As many as are there on average: tokens of all requests by the time of each.
    usual = sum(one.decode - 1.0 for one in gaps) / len(gaps)
    assert usual == pytest.approx(rate * 105.0 * each, rel=0.3)


def test_one_row_at_a_time_is_the_same_as_all_at_once():
    """Whoever calls at each tick is told what who calls now and then is told."""
    view = view_of(_one_by_one(90))
    each = Gaps()
    found = [one for end in range(1, 91) for one in each.observe(view.rows(0, end), busy=())]
    assert found == Gaps().observe(view, busy=())
    assert each.observe(view, busy=()) == []


def test_what_wall_time_tells_is_not_told_again():
    """A period in which a stretch of work ended is left to that stretch."""
    view = view_of(_one_by_one(20))
    assert Gaps().observe(view, busy=()) != []
    assert Gaps().observe(view, busy={START + 10.0}) == []


@pytest.mark.parametrize(
    ("key", "at_10"),
    [
        ((engine.REQUESTS_WAITING, ""), 1.0),
        ((engine.PREEMPTIONS, ""), 1.0),
        ((engine.STEPS, ""), 0.0),
    ],
    ids=["waiting", "preempted", "restarted"],
)
def test_what_is_not_steady_begins_a_new_period(key: Key, at_10: float):
    """Across a queue, a preemption or a restart nothing is added up."""
    columns = _one_by_one(20)
    columns[key][10] = at_10
    if key == (engine.PREEMPTIONS, ""):
        columns[key][10:] = [at_10] * 10
    assert _all(columns) == []


def test_what_the_engine_does_not_time_is_not_told():
    """Without gaps (as of llama.cpp) there is nothing, without times of prompts only gaps."""
    columns = _one_by_one(32)
    del columns[engine.INTER_TOKEN_LATENCY, "_sum"]
    assert _all(columns) == []
    columns = _one_by_one(32)
    columns[engine.PREFILL_TIME, "_sum"] = columns[engine.PREFILL_TIME, "_count"] = [nan] * 32
    assert {one.by for one in _all(columns)} == {"gaps"}


def test_a_page_that_was_missed_costs_nothing():
    """What a row lacks is in the next one."""
    columns = _one_by_one(40)
    for column in columns.values():
        column[7] = nan
    assert _all(columns) == _all(_one_by_one(40))


def test_few_requests_are_waited_for():
    """Where little comes a period is longer; nothing is told of what took too long."""
    (gap,) = _by(_all(_one_by_one(60, every=0.05)), "gaps")
    assert gap.time > START + 2 * PERIOD
    assert not _by(_all(_one_by_one(int(LONGEST) + 30, every=0.5 / ENOUGH_PROMPTS)), "prompts")[1:]


def test_prompts_of_several_steps_are_not_taken_for_one():
    """A prompt that may have been computed in pieces does not tell the time of a step."""
    columns = _one_by_one(40)
    told = (engine.MAX_NUM_BATCHED_TOKENS, ("vllm", "chat"))
    small = view_of(columns, host={told: [2.0 * TOKENS] * 40})
    assert Gaps().observe(small, busy=()) == []
    large = view_of(columns, host={told: [4.0 * TOKENS] * 40})
    assert len(Gaps().observe(large, busy=())) == 4


def test_long_prompts_that_few_were_held_up_by_are_left_to_chance():
    """Whether one of few long prompts met a token is not known, and it matters: nothing is told."""
    columns = _one_by_one(40)
    gaps = columns[engine.INTER_TOKEN_LATENCY, "_count"]
    columns[engine.INTER_TOKEN_LATENCY, "_count"] = [1.4 * one for one in gaps]
    assert _by(_all(columns), "gaps")
    columns[engine.PREFILL_TIME, "_sum"] = [
        20.0 * one for one in columns[engine.PREFILL_TIME, "_sum"]
    ]
    assert not _by(_all(columns), "gaps")


def test_cached_prompts_are_not_computed():
    """What was found in the cache is no work of a step."""
    columns = _one_by_one(40)
    columns[engine.PROMPT_TOKENS_CACHED, ""] = [
        0.75 * tokens for tokens in columns[engine.PROMPT_TOKENS, ""]
    ]
    assert {one.prefill for one in _by(_all(columns), "prompts")} == {0.25 * TOKENS}


def test_a_clock_that_was_set_back_begins_anew():
    """Rows from before the last are new ones, and are told once."""
    gaps = Gaps()
    late = view_of(_one_by_one(60))
    assert gaps.observe(late, busy=())
    early = view_of(_one_by_one(20))
    found = gaps.observe(early, busy=())
    assert [one.time for one in found] == [START + PERIOD] * 2
    assert found[0] == replace(found[0], by="gaps")


def test_an_idling_engine_has_a_law_that_wall_time_does_not_tell():
    """Where hardly any stretch is without a pause there is a law all the same, and it is right."""
    law, view = _served(0.8)
    assert len(Stretches().observe(view)) < FEWEST
    model = StepTime().observe(view).model
    assert model is not None
    assert model.estimate(0.0, 1.0, 0.0) == pytest.approx(law.seconds(0, 1, 0.0), rel=0.05)
    assert model.estimate(100.0, 0.0, 0.0) == pytest.approx(law.seconds(100, 0, 0.0), rel=0.1)
