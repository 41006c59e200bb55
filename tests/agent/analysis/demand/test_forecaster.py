"""The demand ahead, from nothing to many weeks."""

from copy import deepcopy
from functools import cache
from math import nan

import numpy as np
import pytest

from agent.analysis.demand.forecaster import HOUR, DemandForecaster
from agent.analysis.demand.maturity import Maturity, sentence
from agent.analysis.demand.week import BUCKET, SLOTS, WEEK
from tests.agent.analysis.demand.weeks import BEGIN, office, scattered

START = BEGIN * BUCKET


def learned(weeks: float, *, minutes: int = 120) -> tuple[DemandForecaster, float]:
    """Return a forecaster after some weeks and minutes of an office's demand, and its time."""
    return deepcopy(_learned(weeks, minutes))


@cache
def _learned(weeks: float, minutes: int) -> tuple[DemandForecaster, float]:
    """Have it learn, once for all tests."""
    forecaster = DemandForecaster()
    windows = scattered(office(weeks))
    ends = START + BUCKET * np.arange(1, len(windows) + 1)
    forecaster.learn_windows(ends.tolist(), windows.tolist())
    began = START + BUCKET * len(windows)
    ahead = np.repeat(office(weeks + minutes / 5.0 / WEEK)[len(windows) :], 5)
    values = scattered(ahead, share=0.05)
    times = began + 60.0 * np.arange(1, len(values) + 1)
    forecaster.learn(times.tolist(), values.tolist())
    return forecaster, float(times[-1])


def test_the_morning_is_foreseen():
    """At 07:50, having seen one other morning by the minute, half past eight is foreseen busy."""
    forecaster, time = learned(4.0, minutes=1440 + 470)
    now, later = forecaster.forecast(time, 300.0), forecaster.forecast(time, 1800.0)
    assert now is not None
    assert later is not None
    assert later.estimate > 3.0 * now.estimate


def test_a_day_ahead_is_the_season():
    """Monday evening of Tuesday at ten: what Tuesdays at ten are, within an interval."""
    forecaster, time = learned(4.0, minutes=20 * 60)
    found = forecaster.forecast(time, 14 * 3600.0)
    assert found is not None
    assert found.low < 1000.0 < found.high
    assert found.estimate == pytest.approx(1000.0, rel=0.15)
    assert forecaster.forecast(time, 30 * 86_400.0) is None


def test_where_the_hour_ends_the_season_goes_on():
    """Just before and just after an hour ahead the same is foreseen."""
    forecaster, time = learned(4.0, minutes=12 * 60)
    before, after = forecaster.forecast(time, HOUR), forecaster.forecast(time, HOUR + 1.0)
    assert before is not None
    assert after is not None
    assert tuple(after) == pytest.approx(tuple(before), rel=0.01)


def test_nothing_is_said_before_errors_are_known():
    """Without a past there is no forecast; after an hour there is one for the next hour only."""
    forecaster = DemandForecaster()
    assert forecaster.forecast(START, 300.0) is None
    assert forecaster.maturity is Maturity.NONE
    dice = np.random.default_rng(1)
    for minute in range(1, 121):
        forecaster.learn([START + 60.0 * minute], [float(dice.normal(100.0, 5.0))])
    found = forecaster.forecast(START + 7200.0, 300.0)
    assert found is not None
    assert found.low < found.estimate < found.high
    assert found.estimate == pytest.approx(100.0, rel=0.1)
    assert forecaster.forecast(START + 7200.0, 7200.0) is None
    assert forecaster.maturity is Maturity.HOURS
    assert forecaster.band(START + 7200.0) is None
    assert forecaster.profile() is None
    assert forecaster.days_until(900.0, 1000.0, 1100.0) is None


def test_what_is_old_is_no_forecast():
    """An hour after the last minute nothing is foreseen; before, the horizon counts from now."""
    forecaster, time = learned(4.0)
    assert forecaster.forecast(time + HOUR + 1.0, 300.0) is None
    assert forecaster.forecast(time + 600.0, 300.0) == forecaster.forecast(time, 900.0)


def test_unknown_is_not_zero():
    """Minutes that nobody knows, and what is no demand at all, leave everything as it was."""
    forecaster, time = learned(3.0)
    before = forecaster.forecast(time, 300.0)
    forecaster.learn([time + 60.0, time + 120.0, time + 180.0], [nan, -1.0, float("inf")])
    assert forecaster.forecast(time, 300.0) == before


def test_a_minute_counts_once():
    """The same minute given twice, as after a clock that was set back a little, is one."""
    one, time = learned(3.0)
    two, _time = learned(3.0)
    two.learn([time], [1e9])
    assert two.forecast(time, 300.0) == one.forecast(time, 300.0)


def test_minutes_make_the_same_season_as_windows():
    """A day given by the minute is in the season what it is as windows of the history."""
    values = scattered(office(3.0 + 1.0 / 7.0))
    ends = START + BUCKET * np.arange(1, len(values) + 1)
    by_windows, by_minutes = DemandForecaster(), DemandForecaster()
    by_windows.learn_windows(ends.tolist(), values.tolist())
    whole = 3 * WEEK
    by_minutes.learn_windows(ends[:whole].tolist(), values[:whole].tolist())
    minutes = (ends[whole:, None] + 60.0 * np.arange(-4, 1)).reshape(-1)
    by_minutes.learn(minutes.tolist(), np.repeat(values[whole:], 5).tolist())
    by_minutes.learn([float(minutes[-1]) + 60.0], [1.0])
    at = float(ends[-1]) + 100.0
    assert by_minutes.season.expected(at) == pytest.approx(by_windows.season.expected(at), rel=1e-3)
    assert by_minutes.days == pytest.approx(by_windows.days + 1 / 1440)


def test_profile_has_an_hour_of_the_week_each():
    """Monday at nine is as busy as the office is, Sunday at nine is not."""
    profile = learned(4.0)[0].profile()
    assert profile is not None
    assert profile.shape == (168,)
    assert profile[9] == pytest.approx(1000.0, rel=0.1)
    assert profile[6 * 24 + 9] == pytest.approx(100.0, rel=0.3)


@pytest.mark.parametrize(
    ("days", "maturity", "told"),
    [
        (0.01, Maturity.NONE, "less than an hour"),
        (0.05, Maturity.HOURS, "1 hour of demand is known"),
        (0.5, Maturity.HOURS, "12 hours of demand are known"),
        (3.0, Maturity.DAYS, "3.0 days of demand are known"),
        (21.0, Maturity.WEEKS, "3.0 weeks of demand are known"),
    ],
)
def test_how_much_is_known_is_said(days: float, maturity: Maturity, told: str):
    """What is known, and what it allows, is said as a word and as a sentence."""
    forecaster = DemandForecaster()
    values = scattered(office(4.0))[: round(days * SLOTS)]
    ends = START + BUCKET * np.arange(1, len(values) + 1)
    forecaster.learn_windows(ends.tolist(), values.tolist())
    assert forecaster.maturity is maturity
    assert told in forecaster.explanation


def test_growth_is_promised_until_it_is_there():
    """Two weeks say that growth is still to come; with three whole weeks it is told."""
    assert "growth from three whole weeks on" in sentence(15.0, weeks_of_growth=0)
    assert "growth by 5 whole weeks" in sentence(40.0, weeks_of_growth=5)


def test_the_end_of_a_capacity_is_foreseen():
    """Weeks that grow reach a capacity; the forecaster says when, with an interval."""
    forecaster = DemandForecaster()
    weeks = 6
    growing = office(weeks) * (1.0 + 0.05 * np.arange(weeks * WEEK) / WEEK)
    values = scattered(growing, share=0.01)
    ends = START + BUCKET * np.arange(1, len(values) + 1)
    forecaster.learn_windows(ends.tolist(), values.tolist())
    end = forecaster.days_until(1550.0, 1600.0, 1650.0)
    assert end is not None
    assert end.low < 6 * 7 * 86_400.0 < end.high
