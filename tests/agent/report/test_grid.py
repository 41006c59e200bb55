"""Cells of time: what is reckoned from them, whatever their lengths and gaps."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.report.grid import (
    FIVE_MINUTES,
    MINUTE,
    Cells,
    Grid,
    cells,
    complete,
    growth,
    plain,
    together,
    whole,
)

NAN = float("nan")

_MAYBE = st.one_of(st.just(NAN), st.floats(0, 1e6))
_WINDOWS = st.lists(
    st.tuples(_MAYBE, st.lists(_MAYBE, min_size=5, max_size=5)), min_size=1, max_size=12
)


def _mixed(windows: list[tuple[float, list[float]]], fine_from: int) -> Cells:
    """Return the cells of windows, of which the later have minutes too."""
    five = np.array([value for value, _minutes in windows])
    minute = np.array([m for _value, minutes in windows[fine_from:] for m in minutes], dtype=float)
    grid = Grid(300_000.0, FIVE_MINUTES, len(windows))
    start = grid.start + fine_from * FIVE_MINUTES
    return cells(five, grid, minute, Grid(start, MINUTE, len(minute)))


def _by_second(windows: list[tuple[float, list[float]]], fine_from: int) -> list[float]:
    """Return one value for each known second, by a loop."""
    seconds: list[float] = []
    for place, (value, minutes) in enumerate(windows):
        if place >= fine_from and not any(m != m for m in minutes):  # noqa: PLR0124 - NaN
            seconds += [m for m in minutes for _ in range(60)]
        elif value == value:  # noqa: PLR0124 - likewise
            seconds += [value] * 300
    return seconds


@given(_WINDOWS, st.data())
def test_cells_of_two_lengths_are_one_list_of_seconds(
    windows: list[tuple[float, list[float]]], data: st.DataObject
):
    """Mean, 95th percentile, share over a limit and peak are those of a value for each second."""
    fine_from = data.draw(st.integers(0, len(windows)))
    found = _mixed(windows, fine_from)
    seconds = _by_second(windows, fine_from)

    assert found.known == len(seconds)
    if not seconds:
        assert (found.mean(), found.quantile(0.95), found.peak()) == (None, None, None)
        assert found.share_over(1.0) is None
        return
    limit = data.draw(st.sampled_from(seconds))
    assert found.mean() == pytest.approx(np.mean(seconds))
    assert found.quantile(0.95) == sorted(seconds)[-(-len(seconds) * 95 // 100) - 1]
    assert found.share_over(limit) == pytest.approx(sum(s > limit for s in seconds) / len(seconds))
    peak = found.peak()
    assert peak is not None
    assert peak[0] == max(seconds)


@given(_WINDOWS, st.data())
def test_cells_are_in_order_and_do_not_overlap(
    windows: list[tuple[float, list[float]]], data: st.DataObject
):
    """No moment is counted twice, at the seam between windows and minutes neither."""
    found = _mixed(windows, data.draw(st.integers(0, len(windows))))

    assert np.all(found.starts[1:] >= found.starts[:-1] + found.widths[:-1])


def test_the_first_of_equal_peaks_is_told():
    """When a peak came is when it was first reached."""
    found = plain(np.array([1.0, 7.0, NAN, 7.0]), Grid(0.0, FIVE_MINUTES, 4))

    assert found.peak() == (7.0, 300.0, 300.0)


@given(st.lists(st.tuples(st.floats(0, 1e9), st.booleans()), min_size=2, max_size=30))
def test_a_counter_that_only_grows_grows_by_the_difference_of_its_ends(
    steps: list[tuple[float, bool]],
):
    """What a counter grew by where it is known is never more than what it counted in all."""
    levels = np.cumsum([step for step, _known in steps])
    column = np.where([known for _step, known in steps], levels, NAN)
    times = np.where(np.isnan(column), NAN, 60.0 * np.arange(len(steps)))

    grown = growth(times, column) * 60.0

    wanted = [b - a if not (np.isnan(a) or np.isnan(b)) else NAN for a, b in pairwise(column)]
    assert grown == pytest.approx(np.array(wanted), nan_ok=True)
    assert np.nansum(grown) <= levels[-1] - levels[0] + 1e-6 * levels[-1]


def test_a_restart_counts_from_zero():
    """After a restart what the counter shows is what it grew by; nothing is negative."""
    found = growth(np.array([0.0, 60.0, 120.0]), np.array([5000.0, 120.0, 240.0]))

    assert found.tolist() == [2.0, 2.0]


def test_a_gap_is_not_known():
    """A window without samples has no growth, nor has the one after it: nobody saw it begin."""
    found = growth(
        np.array([0.0, 60.0, NAN, 180.0, 240.0]), np.array([0.0, 60.0, NAN, 180.0, 240.0])
    )

    assert np.isnan(found).tolist() == [False, True, True, False]


def test_a_sum_of_what_is_known_and_one_of_all():
    """Demand is the sum of what is there; a capacity is unknown as soon as that of a part is."""
    first, second = np.array([1.0, NAN, NAN, 1.0]), np.array([2.0, 2.0, NAN, NAN])

    assert together([first, second]) == pytest.approx(np.array([3.0, 2.0, NAN, 1.0]), nan_ok=True)
    there = [np.array([1.0, NAN, NAN, 1.0]), np.array([1.0, 1.0, NAN, 1.0])]
    assert complete([first, second], there) == pytest.approx(
        np.array([3.0, 2.0, NAN, NAN]), nan_ok=True
    )


@given(st.floats(0, 3e9), st.floats(0, 1e5))
def test_whole_windows_lie_inside(start: float, length: float):
    """Windows of the clock, none of them broken."""
    grid = whole(start, start + length)

    assert grid.start % FIVE_MINUTES == 0
    assert grid.count == 0 or (grid.start >= start - 1e-3 and grid.end <= start + length + 1e-3)


@given(st.integers(0, 10_000), st.sampled_from([MINUTE, FIVE_MINUTES]))
def test_a_cell_holds_its_right_end(passed: int, step: float):
    """A sample at the end of a window belongs to it, one at its beginning to the one before."""
    grid = Grid(1_800_000_000.0, step, 10)

    place = grid.place(np.array([grid.start + passed]))[0]

    assert place * step < passed <= (place + 1) * step
