"""Stalls: how long is long, and what counts once an engine moves again."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.bottleneck import Targets, judge
from agent.analysis.evidence import Evidence, gather
from agent.analysis.stall import (
    PROGRESS,
    WORK,
    learned_step,
    moved_again,
    patience,
    pauses_of,
    work_and_progress,
)
from agent.analysis.surroundings import Surroundings
from agent.analysis.window import Column, View
from agent.catalog import engine
from agent.catalog.verdict import Cause
from tests.agent.analysis.views import view_of

STEP = 0.05


def engine_that_stood(still: int, since: int, *, before: int = 60, waiting: float = 0.0) -> View:
    """Return a busy engine that stood still for some seconds and has moved again since.

    Each of its eight requests gets a token a step; the first step after it ends the gap that
    each of them had.
    """
    seconds = range(before + still + since)
    per_second = 1.0 / STEP
    worked = [second if second < before else max(before, second - still + 1) for second in seconds]
    steps = [per_second * second for second in worked]
    gaps = [
        8.0 * second + (8.0 * still if place >= before + still else 0.0)
        for place, second in enumerate(worked)
    ]
    return view_of(
        {
            (engine.REQUESTS_RUNNING, ""): [8.0] * len(seconds),
            (engine.REQUESTS_WAITING, ""): [waiting] * len(seconds),
            (engine.STEPS, ""): steps,
            (engine.GENERATION_TOKENS, ""): [8.0 * count for count in steps],
            (engine.INTER_TOKEN_LATENCY, "_sum"): gaps,
            (engine.INTER_TOKEN_LATENCY, "_count"): [8.0 * count for count in steps],
        }
    )


def gathered(view: View) -> Evidence:
    """Return the evidence of an engine whose steps are known."""
    return gather(view, step_time=STEP)


def again(view: View) -> float:
    """Return for how long an engine has moved again where ten seconds are a stall."""
    rows = view.table((*WORK, *PROGRESS))
    return moved_again(view.times, *work_and_progress(rows), 10.0)


def judged(view: View) -> Cause:
    """Return what is found."""
    return judge(gathered(view), Surroundings(), Targets()).cause


@pytest.mark.parametrize("since", [6, 9, 30, 59])
def test_after_a_stall_steps_take_what_they_took(since: int) -> None:
    """The time in which nothing moved is no part of the time of a step, nor of a gap."""
    found = gathered(engine_that_stood(100, since))
    assert found.step_time == pytest.approx(STEP)
    assert found.generated == pytest.approx(8.0 / STEP)
    assert found.resumed is (since <= 11)
    assert found.span <= since
    assert judged(engine_that_stood(100, since)) is Cause.HEALTHY


@pytest.mark.parametrize("since", [1, 4])
def test_an_engine_that_has_just_moved_again_is_not_judged_yet(since: int) -> None:
    """A few steps make no other verdict: the stall is over once it has moved for five seconds."""
    assert judged(engine_that_stood(100, since)) is Cause.STALLED


def test_the_batch_of_a_stall_shows_no_limit() -> None:
    """While nothing moved the batch stood at one size, as it does at a limit on sequences."""
    found = gathered(engine_that_stood(100, 8, waiting=3.0))
    assert len(found.running_of_queue) <= 8
    assert (len(found.running), len(found.waiting)) == (8, 8)


def test_a_pause_without_requests_is_no_stall() -> None:
    """What stood still had nothing to do: the seconds before it count as ever."""
    busy = [8.0] * 20 + [0.0] * 30 + [8.0] * 10
    steps = [20.0 * min(second, 20) + 20.0 * max(0, second - 49) for second in range(60)]
    view = view_of({(engine.REQUESTS_RUNNING, ""): busy, (engine.STEPS, ""): steps})
    assert not gathered(view).resumed


def test_a_stall_that_lasts_has_not_moved_again() -> None:
    """Neither has an engine that never stood still."""
    view = engine_that_stood(100, 0)
    assert again(view) == math.inf
    assert judged(view) is Cause.STALLED
    view = engine_that_stood(0, 60)
    assert again(view) == math.inf


@given(still=st.integers(0, 40), since=st.integers(1, 40))
def test_a_stall_is_seen_from_its_length(still: int, since: int) -> None:
    """An engine was stalled where it stood for as long as patience lasts, and not before."""
    view = engine_that_stood(still, since, before=20)
    found = again(view)
    assert found == (since - 1.0 if still >= 10 else math.inf)


@given(
    st.lists(st.tuples(st.floats(0.5, 20.0), st.booleans(), st.booleans()), min_size=1, max_size=30)
)
def test_pauses_are_those_between_progress_with_work_all_through(
    rows: list[tuple[float, bool, bool]],
) -> None:
    """From one row with progress to the next, unless there was nothing to do between; ascending."""
    times = np.cumsum([after for after, _work, _progress in rows])
    work = np.array([busy for _after, busy, _progress in rows])
    progress = np.array([moved for _after, _work, moved in rows])
    expected = [
        times[end] - times[begin]
        for begin, end in pairwise(np.flatnonzero(progress))
        if work[begin + 1 : end + 1].all()
    ]
    assert pauses_of(times, work, progress).tolist() == sorted(expected)


def with_steps_at(*ends: int, seconds: int) -> View:
    """Return an engine that computes a backlog of prompts: few steps, each of many seconds."""
    steps = [float(sum(end <= second for end in ends)) for second in range(seconds)]
    return view_of(
        {
            (engine.REQUESTS_RUNNING, ""): [50.0] * seconds,
            (engine.REQUESTS_WAITING, ""): [9.0] * seconds,
            (engine.STEPS, ""): steps,
        }
    )


def test_a_batch_counts_once_a_step() -> None:
    """A look at which nothing has moved shows the same batch again: that is no plateau."""
    found = gathered(with_steps_at(*range(1, 20), 25, seconds=32))
    assert len(found.running_of_queue) == 20


def test_what_an_engine_did_twice_it_may_do_again() -> None:
    """After two steps of half a minute a third is no stall, and one of a minute and a half is."""
    known = (*range(1, 20), 170, 200, 230)
    assert judged(with_steps_at(*range(1, 20), seconds=40)) is Cause.STALLED
    assert judged(with_steps_at(*known, seconds=260)) is not Cause.STALLED
    assert judged(with_steps_at(*known, seconds=295)) is Cause.STALLED
    # One long pause is that of a stall that ended: it teaches nothing.
    assert judged(with_steps_at(*range(1, 20), 170, seconds=190)) is Cause.STALLED


@given(
    st.floats(0.0, 60.0) | st.just(math.nan),
    st.lists(st.floats(1.0, 60.0), max_size=5).map(sorted).map(np.array),
    st.floats(1.0, 60.0),
)
def test_patience_grows_with_steps_and_pauses_and_looks(
    step_time: float, pauses: Column, spacing: float
) -> None:
    """Never below ten seconds, five usual steps, three looks, or twice what came twice."""
    found = patience(step_time, pauses, spacing)
    assert found >= max(10.0, 3.0 * spacing)
    assert math.isnan(step_time) or found >= 5.0 * step_time
    assert len(pauses) < 2 or found >= 2.0 * pauses[-2]


def test_step_that_is_waited_for_does_not_stretch_the_patience() -> None:
    """Steps of six seconds, then none: wall time by steps grows, the usual step hardly."""
    usual = 6.0
    for second in range(1, 120):
        usual = learned_step(usual, 6.0 + 0.5 * second, float(second))
    assert usual < 9.0
    assert patience(usual, np.array([6.0, 6.0, 6.0]), 1.0) < 60.0


def test_steps_that_ended_are_learned() -> None:
    """Longer ones where they end, shorter ones at once, the first one whole."""
    assert learned_step(math.nan, 2.0, 0.0) == 2.0
    assert 2.0 < learned_step(2.0, 3.0, 0.0) < 3.0
    assert 1.0 < learned_step(2.0, 1.0, 1.5) < 2.0
    assert learned_step(2.0, math.nan, 0.0) == 2.0


@given(st.floats(1e-3, 100.0), st.floats(1e-3, 100.0), st.floats(0.0, 1e3))
def test_usual_step_stays_between_what_was_and_what_is(
    usual: float, seen: float, stuck_for: float
) -> None:
    """It moves towards what is seen, never past it, and never up while one is overdue."""
    learned = learned_step(usual, seen, stuck_for)
    assert min(usual, seen) <= learned <= max(usual, seen)
    assert learned <= usual or stuck_for <= usual
