"""The ring of five-minute means against a plain dictionary."""

from math import isnan, nan

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.demand.buckets import WEEKS, Buckets
from agent.analysis.demand.week import WEEK, week_begin
from tests.agent.analysis.demand.weeks import BEGIN, FIRST, office

SIZE = WEEKS * WEEK


@given(st.lists(st.tuples(st.integers(-3, SIZE + 3), st.sampled_from([1.0, 2.0, nan])), max_size=9))
def test_ring_forgets_nothing_but_what_is_too_old(steps: list[tuple[int, float]]):
    """Whatever the gaps, also back in time, every bucket of the last weeks is as it was put."""
    ring = Buckets()
    truth: dict[int, float] = {}
    at = BEGIN
    for step, value in steps:
        at += step
        ring.put(at, value)
        if at >= ring.end - SIZE and (not truth or at >= min(truth)):
            truth[at] = value
        truth = {number: kept for number, kept in truth.items() if number >= ring.end - SIZE}
    for number, value in truth.items():
        if number >= ring.begin:
            (found,) = ring.between(number, number + 1)
            assert found == value or (isnan(found) and isnan(value))
    assert ring.known == int(np.isfinite(ring.between(ring.begin, ring.end)).sum())


def test_weeks_are_aligned_to_monday():
    """A row is a calendar week; what was not seen, and what comes later, is unknown."""
    ring = Buckets()
    values = office(2.0)
    for place, value in enumerate(values[100:], start=100):
        ring.put(BEGIN + place, float(value))
    first, weeks = ring.weeks(BEGIN + WEEK + 50)
    assert first == FIRST
    assert weeks.shape == (2, 7, WEEK // 7)
    line = weeks.reshape(-1)
    assert np.isnan(line[:100]).all()
    assert np.allclose(line[100 : WEEK + 50], values[100 : WEEK + 50])
    assert np.isnan(line[WEEK + 50 :]).all()
    assert week_begin(first) == BEGIN
