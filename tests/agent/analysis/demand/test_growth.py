"""Growth from week to week, and when peaks reach a capacity."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.analysis.demand.growth import DAY, Growth, growth
from agent.analysis.demand.profile import fit
from agent.analysis.demand.week import SLOTS, WEEK
from agent.analysis.window import Column
from tests.agent.analysis.demand.weeks import FIRST, office, scattered


def grown(values: Column) -> Growth | None:
    """Return the growth of a line of buckets from Monday on."""
    whole = np.full(-(-len(values) // WEEK) * WEEK, np.nan)
    whole[: len(values)] = values
    by_week = whole.reshape(-1, 7, SLOTS)
    profile = fit(FIRST, by_week)
    assert profile is not None
    return growth(profile.levels, by_week)


def line(weeks: int, *, slope: float, share: float = 0.1) -> Column:
    """Return office weeks that grow by a share of the first each week, with chance."""
    growing = office(weeks) * (1.0 + slope * np.arange(weeks * WEEK) / WEEK)
    return scattered(growing, share=share)


@pytest.mark.parametrize("slope", [-0.05, 0.0, 0.05, 0.1])
def test_growth_a_week_is_that_of_the_line(slope: float):
    """Six weeks tell the growth within half a percent of the level a week."""
    found = grown(line(6, slope=slope))
    assert found is not None
    assert found.weeks == 6
    assert found.share[1] == pytest.approx(slope / (1.0 + 6 * slope), abs=0.005)


def test_the_day_of_the_week_it_ends_on_does_not_matter():
    """A history that ends on a Thursday has the growth of one that ends on a Sunday."""
    values = line(7, slope=0.05)
    whole, cut = grown(values[: 6 * WEEK]), grown(values[: 6 * WEEK + 4 * SLOTS + 77])
    assert whole is not None
    assert cut is not None
    assert cut.share[1] == pytest.approx(whole.share[1], abs=0.01)
    assert cut.peak == pytest.approx(whole.peak, rel=0.05)


def test_peak_is_the_busiest_hour():
    """The busiest hour of a steady office week is that of its workdays."""
    found = grown(scattered(office(4), share=0.02))
    assert found is not None
    assert found.peak == pytest.approx(1000.0, rel=0.03)


def test_the_end_is_foreseen():
    """Growth by 50 a week reaches 1.5 times the peak in the week that a ruler says."""
    found = grown(line(8, slope=0.05, share=0.01))
    assert found is not None
    end = found.until((2050.0, 2100.0, 2150.0))
    assert end is not None
    weeks = (2100.0 - 1400.0) / 50.0
    assert end.low < weeks * 7 * DAY < end.high
    assert end.estimate == pytest.approx(weeks * 7 * DAY, rel=0.2)


def test_without_growth_there_is_no_end():
    """A steady demand reaches no capacity above its peaks."""
    found = grown(line(8, slope=0.0))
    assert found is not None
    assert found.until((1250.0, 1300.0, 1350.0)) is None


def test_what_is_reached_is_reached_now():
    """A capacity below the busiest hour of a usual week is exhausted already: 0."""
    found = grown(line(8, slope=0.02))
    assert found is not None
    end = found.until((490.0, 500.0, 510.0))
    assert end is not None
    assert end.estimate == 0.0
    assert end.low == 0.0


def test_two_weeks_tell_no_growth():
    """The difference of two weeks may be chance."""
    assert grown(line(2, slope=0.2)) is None


def test_weeks_that_were_mostly_missed_do_not_count():
    """An agent that was off for a week has one week fewer, and the same line."""
    values = line(6, slope=0.05)
    values[2 * WEEK : 3 * WEEK] = np.nan
    found = grown(values)
    assert found is not None
    assert found.weeks == 5
    assert found.share[1] == pytest.approx(0.05 / 1.3, abs=0.01)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-100.0, 100.0),
    st.floats(0.0, 50.0),
    st.floats(1.0, 4.0),
    st.floats(1.0, 3.0),
    st.floats(1.0, 1.5),
)
def test_more_capacity_lasts_longer(
    slope: float, error: float, times: float, more: float, sure: float
):
    """The interval is in order, and each of its ends is later where there is more capacity."""
    found = Growth(
        level=1000.0, slope=slope, error=error, free=4, weeks=6, peaks=np.array([1.4, 1.5, 1.7])
    )

    def ends(capacity: float) -> tuple[float, float, float]:
        """Return the interval; infinite where nothing is foreseen."""
        end = found.until((capacity / sure, capacity, capacity * sure))
        return (inf, inf, inf) if end is None else (end.low, end.estimate, end.high)

    near, far = ends(1000.0 * times), ends(1000.0 * times * more)
    assert near[0] <= near[1] <= near[2]
    assert all(before <= after for before, after in zip(near, far, strict=True))
