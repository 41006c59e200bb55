"""The usual week, learned from a few of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.analysis.demand.profile import Profile, fit
from agent.analysis.demand.week import SLOTS, WEEK
from agent.analysis.window import Column
from tests.agent.analysis.demand.weeks import FIRST, office, scattered


def learned(values: Column) -> Profile:
    """Return the profile of a line of buckets from Monday on."""
    whole = np.full(-(-len(values) // WEEK) * WEEK, np.nan)
    whole[: len(values)] = values
    found = fit(FIRST, whole.reshape(-1, 7, SLOTS))
    assert found is not None
    return found


def shares(profile: Profile) -> Column:
    """Return the profile by slot, mean 1."""
    return profile.roots**2


def truth() -> Column:
    """Return the office week, mean 1."""
    week = office(1.0)
    return week / week.mean()


@pytest.mark.parametrize("weeks", [1, 3, 8])
def test_a_week_is_learned(weeks: int):
    """The profile is the week itself within the chance of it, from one week on."""
    found = shares(learned(scattered(office(weeks))))
    assert float(np.abs(found - truth()).mean()) < 0.12
    assert float(found.mean()) == pytest.approx(1.0)


def test_the_beginning_of_work_is_sharp():
    """Five minutes before it and five minutes after it differ as they do, not smoothed over."""
    found = shares(learned(scattered(office(4))))
    begins = 8 * 12
    assert found[begins - 2] < 0.3 * truth().max()
    assert found[begins + 1] > 0.8 * truth().max()


def test_without_weekdays_there_are_none():
    """A demand that is the same every day by chance has one profile for all weekdays, nearly."""
    day = 1000.0 * (1.2 + np.sin(np.arange(SLOTS) * 2.0 * np.pi / SLOTS))
    by_day = shares(learned(scattered(np.tile(day, 21)))).reshape(7, SLOTS)
    assert float(np.abs(by_day - by_day.mean(axis=0)).mean()) < 0.02


def test_an_outage_is_no_season():
    """A Tuesday without any demand among four leaves Tuesdays as busy as they are."""
    values = scattered(office(4))
    values[WEEK + SLOTS : WEEK + 2 * SLOTS] = 0.0
    tuesday = shares(learned(values)).reshape(7, SLOTS)[1]
    assert float(tuesday[9 * 12 : 17 * 12].mean()) > 0.85 * truth().max()


def test_levels_follow_growth():
    """A demand that doubles in eight weeks has days whose levels double, weekends too."""
    growing = office(8) * np.linspace(1.0, 2.0, 8 * WEEK)
    levels = learned(scattered(growing)).levels.reshape(-1)
    assert levels[-7:].mean() / levels[:7].mean() == pytest.approx(1.93 / 1.07, rel=0.1)


def test_nothing_is_learned_of_a_day():
    """Less than two days tell no time of day from chance."""
    values = np.full(WEEK, np.nan)
    values[:SLOTS] = 1.0
    assert fit(FIRST, values.reshape(1, 7, SLOTS)) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.0, 1.0), st.floats(1e-3, 1e9))
def test_whatever_was_seen_the_profile_is_sound(seed: int, unknown: float, size: float):
    """Gaps, zeros and any size give shares that are numbers, not negative, with mean 1."""
    dice = np.random.default_rng(seed)
    values = size * dice.gamma(0.5, 1.0, 3 * WEEK) * dice.integers(0, 2, 3 * WEEK)
    values[dice.random(3 * WEEK) < unknown] = np.nan
    found = fit(FIRST, values.reshape(3, 7, SLOTS))
    if found is None:
        assert np.isfinite(values).sum() < 2 * SLOTS
        return
    assert np.isfinite(found.roots).all()
    assert (found.roots**2 >= 0.0).all()
    if np.nansum(values) > 0:
        assert float((found.roots**2).mean()) == pytest.approx(1.0)


def test_between_slots_the_profile_is_a_line():
    """In the middle of a slot it is the slot's own; half way to the next, half way."""
    found = learned(scattered(office(2)))
    monday = (FIRST * WEEK - 3 * SLOTS) * 300.0
    assert found.at(monday + 150.0) == pytest.approx(float(found.roots[0]) ** 2)
    between = 0.5 * float(found.roots[95] + found.roots[96])
    assert found.at(monday + 96 * 300.0) == pytest.approx(between**2)
    assert found.at(monday + 7 * 86_400.0) == pytest.approx(found.at(monday))
