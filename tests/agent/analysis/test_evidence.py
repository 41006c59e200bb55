"""The numbers that a verdict rests on."""

import math

import pytest

from agent.analysis.bottleneck import Targets, judge
from agent.analysis.evidence import gather
from agent.analysis.surroundings import Surroundings
from agent.analysis.window import View
from agent.catalog import engine
from agent.catalog.verdict import Cause
from tests.agent.analysis.views import view_of

SECONDS = 60


def test_work_without_progress_is_stuck() -> None:
    """Requests run, and the counter of tokens stood for half a minute."""
    tokens = [float(min(second, 30)) for second in range(SECONDS)]
    view = view_of(
        {
            (engine.REQUESTS_RUNNING, ""): [3.0] * SECONDS,
            (engine.GENERATION_TOKENS, ""): tokens,
        }
    )
    assert gather(view).stuck_for == pytest.approx(29.0)


def test_an_engine_that_counts_nothing_is_not_known_to_be_stuck() -> None:
    """Without a counter of tokens or steps there is no telling: that is no stall."""
    found = gather(view_of({(engine.REQUESTS_RUNNING, ""): [3.0] * SECONDS}))
    assert found.stuck_for == 0.0
    assert found.idle_for == 0.0
    assert math.isnan(found.step_time)


def judged(view: View) -> Cause:
    """Return what is found of a view."""
    return judge(gather(view), Surroundings(), Targets()).cause


def joined(away: int, here: int) -> View:
    """Return an engine with a queue that came into a window which others filled before."""
    return view_of(
        {
            (engine.REQUESTS_RUNNING, ""): [math.nan] * away + [6.0] * here,
            (engine.REQUESTS_WAITING, ""): [math.nan] * away + [25.0] * here,
            (engine.STEPS, ""): [math.nan] * away + [30.0 * second for second in range(here)],
        }
    )


def test_an_engine_that_just_came_is_not_known_yet() -> None:
    """Ticks before its first page are no time in which nothing waited."""
    assert gather(joined(60, 4)).span == 3.0
    assert judged(joined(60, 4)) is Cause.UNKNOWN
    assert judged(joined(60, 7)) is Cause.SEQUENCE_LIMIT


def test_an_engine_that_just_came_was_not_idle_before() -> None:
    """Nobody knows what it did before it was seen."""
    view = view_of({(engine.REQUESTS_RUNNING, ""): [math.nan] * 60 + [0.0] * 3})
    assert gather(view).idle_for == 2.0


def held(every: int, *, until: int = 300) -> View:
    """Return a busy engine whose page is looked at every so many seconds; steps end there."""
    looks = [min(second, until) // every * every for second in range(300)]
    return view_of(
        {
            (engine.REQUESTS_RUNNING, ""): [8.0] * 300,
            (engine.REQUESTS_WAITING, ""): [0.0] * 300,
            (engine.STEPS, ""): [40.0 * second for second in looks],
            (engine.GENERATION_TOKENS, ""): [320.0 * second for second in looks],
        }
    )


@pytest.mark.parametrize("every", [1, 10, 15, 30])
def test_a_page_that_is_looked_at_rarely_is_no_stall(every: int) -> None:
    """Between two looks nothing moves; rates are those of whole looks."""
    found = gather(held(every))
    assert judged(held(every)) is Cause.HEALTHY
    assert found.generated == pytest.approx(320.0, rel=0.01)
    assert found.step_time == pytest.approx(0.025, rel=0.01)


def test_a_stall_between_rare_looks_is_found_after_three() -> None:
    """Patience grows with the time between looks, and ends."""
    assert judged(held(15, until=240)) is Cause.STALLED


@pytest.mark.parametrize("tick", [15, 30, 60])
def test_rare_ticks_are_enough_for_a_verdict(tick: int) -> None:
    """At ticks of a minute the window has few rows, but it has them."""
    view = view_of(
        {
            (engine.REQUESTS_RUNNING, ""): [8.0] * 20,
            (engine.STEPS, ""): [40.0 * tick * row for row in range(20)],
            (engine.GENERATION_TOKENS, ""): [320.0 * tick * row for row in range(20)],
        },
        span=300.0,
        every=tick,
    )
    assert judged(view) is Cause.HEALTHY
    assert gather(view).generated == pytest.approx(320.0)
