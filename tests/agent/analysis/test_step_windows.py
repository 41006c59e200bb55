"""Stretches of work: what counts as one, and what each says of its steps."""

from math import nan

import pytest

from agent.analysis.step_windows import BUDGET, FEWEST_STEPS, Stretches
from agent.catalog import engine
from agent.model import Metric
from tests.agent.analysis.views import START, Key, view_of

GAPS = (engine.INTER_TOKEN_LATENCY, "_count")
GAP_TIME = (engine.INTER_TOKEN_LATENCY, "_sum")
FIRST_TIME = (engine.TIME_TO_FIRST_TOKEN, "_sum")


def _busy(seconds: int, *, steps: float = 10.0, batch: float = 4.0) -> dict[Key, list[float]]:
    """Return the columns of an engine that makes so many steps a second of 7 prompt tokens."""
    tick = [float(second) for second in range(seconds)]
    return {
        (engine.REQUESTS_RUNNING, ""): [batch] * seconds,
        (engine.REQUESTS_WAITING, ""): [0.0] * seconds,
        (engine.STEPS, ""): [steps * one for one in tick],
        (engine.PROMPT_TOKENS, ""): [7.0 * steps * one for one in tick],
        (engine.GENERATION_TOKENS, ""): [batch * steps * one for one in tick],
        GAPS: [batch * steps * one for one in tick],
        GAP_TIME: [batch * one for one in tick],
        FIRST_TIME: [0.0] * seconds,
        (engine.KV_CACHE_USED, ""): [1000.0] * seconds,
    }


def _all(columns: dict[Key, list[float]]) -> list[tuple[float, ...]]:
    """Return the stretches as time, steps, seconds, prefill, decode."""
    found = Stretches().observe(view_of(columns))
    return [(one.time - START, one.steps, one.seconds, one.prefill, one.decode) for one in found]


def test_steady_work_is_cut_into_stretches():
    """Each stretch tells the exact means, and the next begins where it ended."""
    found = _all(_busy(14))
    assert [one[0] for one in found] == [5.0, 9.0, 13.0]
    assert found[0][1:] == pytest.approx((40.0, 0.1, 7.0, 4.0))


def test_prompts_of_a_stretch_are_counted_where_the_engine_tells():
    """One prompt in five steps is a fifth of one a step; without first tokens nobody knows."""
    columns = _busy(14)
    silent = Stretches().observe(view_of(columns))
    columns[engine.TIME_TO_FIRST_TOKEN, "_count"] = [2.0 * second for second in range(14)]
    told = Stretches().observe(view_of(columns))
    assert [one.prompts for one in told] == pytest.approx([0.2] * 3)
    assert [one.prompts for one in silent] == [None] * 3


def test_slow_steps_make_long_stretches():
    """At a step every two seconds a stretch lasts until it has enough of them."""
    found = _all(_busy(70, steps=0.5))
    assert found[0][0] == 31.0
    assert found[0][1] >= FEWEST_STEPS
    assert found[0][2] == pytest.approx(2.0)


def test_one_row_at_a_time_is_the_same_as_all_at_once():
    """Whoever calls at each tick gets the stretches of who calls now and then."""
    view = view_of(_busy(30))
    each = Stretches()
    found = [one for end in range(1, 31) for one in each.observe(view.rows(0, end))]
    assert found == Stretches().observe(view)


def test_no_rows_twice():
    """A view that is looked at again gives nothing new."""
    view, stretches = view_of(_busy(30)), Stretches()
    assert stretches.observe(view)
    assert stretches.observe(view) == []


def test_clock_set_back_begins_anew():
    """Rows from before the last one are work again, not a hole that waits for time to return."""
    late, early = view_of(_busy(30)), view_of(_busy(12))
    stretches = Stretches()
    stretches.observe(late)
    assert stretches.observe(early) == []
    assert [one.time - START for one in stretches.observe(early)] == [5.0, 9.0]


@pytest.mark.parametrize("idle", [0.0, nan], ids=["idle", "unknown"])
def test_a_tick_without_work_ends_a_stretch(idle: float):
    """Nothing is said of a stretch that was not busy throughout."""
    columns = _busy(14)
    columns[engine.REQUESTS_RUNNING, ""][3] = idle
    assert [one[0] for one in _all(columns)] == [8.0, 12.0]


def test_a_restart_ends_a_stretch():
    """Counters that fall belong to another engine."""
    columns = _busy(13)
    for key, column in columns.items():
        if key[0] is not engine.REQUESTS_RUNNING:
            columns[key] = column[:6] + column[: 13 - 6]
    assert [one[0] for one in _all(columns)] == [5.0, 11.0]


def test_silence_is_no_work():
    """An engine that holds requests and makes no step for ten seconds is not slow but stalled."""
    columns = _busy(60)
    for key, column in columns.items():
        if key[0] is not engine.REQUESTS_RUNNING:
            columns[key] = column[:6] + [column[5]] * 30 + column[6:30]
    times = [one[0] for one in _all(columns)]
    assert times[0] == 5.0
    assert len(times) > 3
    assert all(one[2] == pytest.approx(0.1, rel=0.05) for one in _all(columns))


def test_pauses_between_ticks_do_not_count():
    """Requests one after the other, each short of a second, take what they took, not wall time."""
    columns = _busy(13, batch=1.0)
    columns[GAP_TIME] = [0.5 * second for second in range(13)]
    columns[FIRST_TIME] = [0.25 * second for second in range(13)]
    assert _all(columns)[0][2] == pytest.approx(0.075)


def test_requests_side_by_side_with_a_pause_are_not_judged():
    """Where one request ran at a tick, pauses are possible; with prefill they cannot be told."""
    columns = _busy(13, batch=1.0)
    columns[GAP_TIME] = [2.0 * second for second in range(13)]
    assert _all(columns) == []
    columns[engine.PROMPT_TOKENS, ""] = [5.0] * 13
    assert _all(columns)[0][2] == pytest.approx(0.1), "wall time: gaps say twice of it"


def test_a_queue_leaves_no_pause():
    """While requests wait the engine is at work, whatever the sums say."""
    columns = _busy(13, batch=1.0)
    columns[GAP_TIME] = [0.5 * second for second in range(13)]
    columns[engine.REQUESTS_WAITING, ""] = [1.0] * 13
    assert _all(columns)[0][2] == pytest.approx(0.1)


@pytest.mark.parametrize("metric", [engine.PROMPT_TOKENS_CACHED, engine.PREFIX_CACHE_HITS])
def test_cached_prompt_tokens_are_not_computed(metric: Metric):
    """Tokens found in the cache are no work; older engines tell them as hits."""
    columns = _busy(13)
    columns[metric, ""] = [20.0 * second for second in range(13)]
    assert _all(columns)[0][3] == pytest.approx(5.0)


def _with_prompts(seconds: int, under_way: list[int]) -> dict[Key, list[float]]:
    """Return an engine whose prompts of 140 tokens take several ticks; one may be under way."""
    columns = _busy(seconds)
    first = [100.0 + 0.5 * second for second in range(seconds)]
    ended = [one - 4.0 + busy for one, busy in zip(first, under_way, strict=True)]
    columns[engine.TIME_TO_FIRST_TOKEN, "_count"] = first
    columns[engine.E2E_LATENCY, "_count"] = ended
    return columns


def test_no_prompt_is_cut_in_two():
    """A stretch ends at a tick at which no prompt is under way, and the next begins there."""
    under_way = [0] * 5 + [1] * 3 + [0] * 12
    assert [one[0] for one in _all(_with_prompts(20, under_way))] == [8.0, 12.0, 16.0]


def test_many_prompts_are_enough():
    """Where a prompt is under way at each tick, a stretch ends once it holds many of them."""
    found = _all(_with_prompts(60, [0, 0, *[1] * 58]))
    assert [one[0] for one in found] == [25.0, 49.0]
    assert found[1][3] == pytest.approx(7.0)


def _timed(seconds: int, prefill: float) -> dict[Key, list[float]]:
    """Return an engine with long prompts, whose stopwatch says how long each takes."""
    columns = _with_prompts(seconds, [0] * seconds)
    columns[engine.PREFILL_TIME, "_count"] = [50.0] * seconds
    columns[engine.PREFILL_TIME, "_sum"] = [50.0 * prefill] * seconds
    return columns


@pytest.mark.parametrize(("prefill", "first"), [(0.2, 5.0), (0.7, 10.0), (3.0, 13.0)])
def test_stretches_last_longer_where_a_prompt_takes_long(prefill: float, first: float):
    """A step with a prompt that is counted on the wrong side of an end is little of a stretch."""
    found = Stretches().observe(view_of(_timed(40, prefill)))
    assert found[0].time - START == first
    assert all(one.longest == pytest.approx(prefill) for one in found)


def test_a_prompt_of_several_steps_makes_none_of_them_long():
    """What the stopwatch counts are all the steps of a prompt; a step has its budget of tokens."""
    columns = _timed(40, 0.7)
    columns[engine.PROMPT_TOKENS, ""] = [
        2.0 * BUDGET * (100.0 + 0.5 * second) for second in range(40)
    ]
    found = Stretches().observe(view_of(columns))
    assert found[0].time - START == 6.0
    assert found[0].longest == pytest.approx(0.35)


@pytest.mark.parametrize("key", [(engine.PREFILL_TIME, "_sum"), (engine.PREFILL_TIME, "_count")])
def test_a_stopwatch_that_is_not_told_makes_no_stretch_unknown(key: Key):
    """Where a page leaves it out for once, a stretch that ends there is one without a stopwatch."""
    columns = _timed(40, 0.7)
    columns[key] = [nan if second == 10 else one for second, one in enumerate(columns[key])]
    found = Stretches().observe(view_of(columns))
    assert found[0].time - START == 10.0
    assert [one.longest for one in found][:2] == pytest.approx([0.0, 0.7])


def test_a_budget_of_nothing_is_unknown():
    """An engine may say anything; no step can have no tokens."""
    columns = _timed(40, 0.7)
    budget = (engine.MAX_NUM_BATCHED_TOKENS, ("vllm", "chat"))
    silent, odd = (view_of(columns, host={budget: [one] * 40}) for one in (nan, 0.0))
    assert Stretches().observe(odd) == Stretches().observe(silent)


def test_what_ends_early_is_better_than_nothing():
    """Where work ends before a stretch is as long as one likes, what there is of it is kept."""
    columns = _timed(40, 3.0)
    columns[engine.REQUESTS_RUNNING, ""][8] = 0.0
    found = [one.time - START for one in Stretches().observe(view_of(columns))]
    assert found[0] == 7.0
    assert found[1] > 20.0


def test_requests_given_up_are_not_taken_for_prompts():
    """A request with a first token and no end shifts the difference once, and for good."""
    columns = _with_prompts(40, [0] * 40)
    ended = columns[engine.E2E_LATENCY, "_count"]
    columns[engine.E2E_LATENCY, "_count"] = [
        value - (3.0 if second > 10 else 0.0) for second, value in enumerate(ended)
    ]
    assert len(_all(columns)) == len(_all(_busy(40)))


def test_preempted_requests_are_not_taken_for_given_up():
    """Requests thrown out answer and do not run; work under pressure is cut all the same."""
    columns = _with_prompts(40, [0] * 5 + [-2] * 2 + [0] * 33)
    columns[engine.PREEMPTIONS, ""] = [0.0] * 5 + [2.0] * 35
    assert len(_all(columns)) == len(_all(_busy(40)))


def test_preempted_requests_are_computed_again():
    """What is thrown out comes back as prompt tokens that no counter has, half a mean request."""
    columns = _busy(13)
    columns[engine.PREEMPTIONS, ""] = [float(second) for second in range(13)]
    assert _all(columns)[0][3] == pytest.approx(7.0 + 0.5 * (1000.0 / 4.0) / 10.0)


def test_without_gaps_the_batch_tells_the_decoded_tokens():
    """An engine without histograms (llama.cpp) counts tokens only when requests end."""
    columns = _busy(13)
    for key in (GAPS, GAP_TIME, FIRST_TIME):
        del columns[key]
    columns[engine.GENERATION_TOKENS, ""] = [0.0] * 12 + [480.0]
    assert _all(columns)[0][1:] == pytest.approx((40.0, 0.1, 7.0, 4.0))


def test_square_of_the_batch_is_that_of_the_seconds():
    """A batch that moves within a stretch has a larger mean square than the square of its mean."""
    columns = _busy(6)
    batches = (1.0, 2.0, 6.0, 2.0, 6.0)
    columns[GAPS] = [0.0, *(10.0 * sum(batches[: n + 1]) for n in range(5))]
    only = Stretches().observe(view_of(columns))[0]
    assert only.decode == pytest.approx(4.0)
    assert only.decode_squared == pytest.approx(20.0)
