"""What is usual, and what is not."""

import numpy as np
import pytest

from agent.analysis.demand.season import Season
from agent.analysis.demand.week import BUCKET, SLOTS, WEEK
from agent.analysis.window import Column
from tests.agent.analysis.demand.weeks import BEGIN, office, scattered


def seen(values: Column) -> Season:
    """Return a season that was given buckets from Monday on."""
    season = Season()
    for place, value in enumerate(values):
        season.put(BEGIN + place, float(value))
    return season


def middle(place: int) -> float:
    """Return the middle of a bucket in Unix seconds."""
    return (BEGIN + place + 0.5) * BUCKET


def test_the_usual_is_that_of_the_time_of_the_week():
    """On a Saturday at ten as little is usual as on Saturdays at ten."""
    season = seen(scattered(office(3)))
    monday, saturday = season.expected(middle(120)), season.expected(middle(5 * SLOTS + 120))
    assert monday == pytest.approx(1000.0, rel=0.1)
    assert saturday == pytest.approx(100.0, rel=0.35)


def test_the_level_follows_within_days():
    """Three days after demand doubled for good, the double is usual."""
    values = scattered(office(4))
    values[3 * WEEK :] *= 2.0
    season = seen(values[: 3 * WEEK + 3 * SLOTS])
    assert season.expected(middle(3 * WEEK + 3 * SLOTS + 120)) == pytest.approx(2000.0, rel=0.15)


def test_a_new_week_lies_within_the_band():
    """Of a week like those before it, hardly any five minutes lie outside."""
    values = scattered(office(5), seed=3)
    season = seen(values[: 4 * WEEK])
    outside = 0
    for place in range(4 * WEEK, 5 * WEEK):
        low, high = season.band(middle(place)) or (np.nan, np.nan)
        outside += not low <= values[place] <= high
        season.put(BEGIN + place, float(values[place]))
    assert outside <= 5


def test_surge_and_drop_lie_outside_of_the_band():
    """Three times the usual demand of a busy hour, or a fifth of it, is not usual."""
    season = seen(scattered(office(4)))
    low, high = season.band(middle(4 * WEEK + 120)) or (np.nan, np.nan)
    assert 200.0 < low < 1000.0 < high < 3000.0


@pytest.mark.parametrize(("days", "known"), [(13, False), (15, True)])
def test_nothing_is_unusual_in_the_first_two_weeks(days: int, known: bool):  # noqa: FBT001 - one of two cases
    """Before each time of the week was seen twice there is no band."""
    season = seen(scattered(office(3))[: days * SLOTS])
    assert (season.band(middle(days * SLOTS)) is not None) is known


def test_what_was_learned_at_once_is_what_was_learned_step_by_step():
    """Weeks whose season nobody said beforehand change nothing of what is said now."""
    values = scattered(office(7))
    slowly, quickly = seen(values), Season()
    for place, value in enumerate(values):
        quickly.put(BEGIN + place, float(value), judged=place >= len(values) - 4 * WEEK)
    at = middle(len(values) + 7)
    assert quickly.expected(at) == slowly.expected(at)
    assert quickly.band(at) == slowly.band(at)


def test_a_gap_of_weeks_leaves_the_profile():
    """After three weeks without the agent the usual week is still known."""
    season = seen(scattered(office(3)))
    season.put(BEGIN + 6 * WEEK + 100, 1000.0)
    season.put(BEGIN + 6 * WEEK + 120, 1000.0)
    assert season.expected(middle(6 * WEEK + 120)) == pytest.approx(1000.0, rel=0.2)
