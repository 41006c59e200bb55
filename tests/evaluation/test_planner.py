"""The planner's day: its load, what was carried, and the truth found afterwards."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.faults_client import Asked
from evaluation.planner import CLOSE, MOST_STEPS, carried, further, rate, tokens_a_minute
from evaluation.planner_page import summary, text, truth


def step(asked: float, within: float) -> dict[str, float]:
    """Return a step of a climb."""
    return {"asked": asked, "within": within, "carried": asked, "requests": 10, "others": 0.5}


@given(st.floats(0.0, 1.0))
def test_the_day_stays_between_night_and_peak(share: float):
    """At no hour is less asked than at night, or more than in the highest hour."""
    assert 1.0 <= rate(share, least=1.0, most=9.0) <= 9.0


def test_the_day_has_a_night_and_a_peak():
    """It begins and ends near the night's rate and reaches the peak in between."""
    rates = [rate(part / 100, least=1.2, most=10.0) for part in range(101)]
    assert rates[0] == pytest.approx(1.2, rel=0.02)
    assert max(rates) == pytest.approx(10.0, rel=0.01)


def test_tokens_count_where_their_request_began():
    """A request belongs wholly to the time in which it was sent; served ones to when they ran."""
    one = Asked(begun=50.0, prompt=40, wanted=20, ended=70.0, tokens=20, whole=True)
    assert tokens_a_minute([one], 0.0, 60.0) == 60.0
    assert tokens_a_minute([one], 60.0, 120.0) == 0.0
    assert carried([one], 0.0, 60.0) == pytest.approx(30.0)
    assert carried([one], 60.0, 120.0) == pytest.approx(30.0)


@given(st.floats(0.5, 500.0), st.floats(0.01, 300.0))
def test_a_climb_ends_close_to_where_the_targets_cease_to_hold(first: float, limit: float):
    """From wherever it begins; where it runs out of steps, both ends are still true."""
    steps: list[dict[str, float]] = []
    while (asked := further(steps, first)) is not None:
        steps.append({"rate": asked, "within": 1.0 if asked < limit else 0.5})
    kept = max((one["rate"] for one in steps if one["rate"] < limit), default=0.0)
    missed = min((one["rate"] for one in steps if one["rate"] >= limit), default=math.inf)
    assert len({one["rate"] for one in steps}) == len(steps) <= MOST_STEPS
    assert missed <= CLOSE * kept or len(steps) == MOST_STEPS
    if first / 2.0 < limit < 2.0 * first:
        assert missed <= CLOSE * kept


def test_the_truth_lies_between_the_last_step_kept_and_the_first_missed():
    """A straight line from 100 % at 10 to 90 % at 20 crosses 95 % at 15."""
    assert truth([step(10.0, 1.0), step(20.0, 0.9), step(30.0, 0.99)]) == (
        pytest.approx(15.0),
        10.0,
        20.0,
    )


def test_the_truth_does_not_depend_on_the_order_of_the_steps():
    """Where chance had less asked in a later step, the climb is that of what was asked."""
    steps = [step(10.0, 1.0), step(30.0, 1.0), step(20.0, 1.0), step(40.0, 0.9)]
    assert truth(steps) == (pytest.approx(35.0), 30.0, 40.0)


def test_without_a_step_that_fails_only_a_lower_bound_is_known():
    """All steps kept the targets: the truth is above the last; none did: nothing is known."""
    assert truth([step(10.0, 1.0), step(20.0, 0.96)]) == (math.inf, 20.0, math.inf)
    assert truth([step(10.0, 0.5)]) is None


def said(capacity: tuple[float, float, float] | None) -> dict[str, Any]:
    """Return a minute of the day."""
    return {
        "at": 60.0,
        "asked": 5.0,
        "within": 1.0,
        "capacity": capacity,
        "stability": capacity,
        "binding": "first_token" if capacity else None,
        "reason": None if capacity else "seen for too short a time",
        "others": 0.3,
    }


FIGURES: dict[str, Any] = {
    "day": {
        "seconds": 120.0,
        "requests": 9,
        "within": 1.0,
        "said": [said(None), said((12.0, 10.0, 14.0))],
    },
    "truth": {
        "carried": 20.0,
        "streams": 24,
        "seconds": 90.0,
        "others": 0.0,
        "steps": [step(10.0, 1.0), step(20.0, 0.9)],
    },
}


def test_errors_are_against_what_was_found_afterwards():
    """12 said against 15 found is a fifth too low, and 15 lies outside 10 to 14."""
    found = summary(FIGURES)
    assert found["said"] == 0.5
    assert found["capacity_median_error"] == pytest.approx(0.2)
    assert found["capacity_held"] == 0.0
    assert found["stability_median_error"] == pytest.approx(0.4)


def test_the_section_keeps_errors_and_reasons():
    """A minute in which nothing was said has its reason, one that is wrong its error."""
    page = text(FIGURES)
    assert "seen for too short a time" in page
    assert "-20%" in page
