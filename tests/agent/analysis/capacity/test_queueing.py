"""Latencies by queueing theory: bounds, orders, and cases whose answer is known."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.analysis.capacity.law import Law
from agent.analysis.capacity.points import NORMAL, PLACES, THRESHOLDS, UNIFORM
from agent.analysis.capacity.queueing import latencies, reckoned
from agent.analysis.capacity.room import Room
from agent.analysis.capacity.steady import saturation
from tests.agent.analysis.capacity.engines import LAW, ROOM, shape


def test_prompts_for_which_a_step_has_no_room_delay_those_behind():
    """With a small budget a prompt waits for the rest of the one before it."""
    some = shape(2000.0, 20.0, 0.6)
    rate = 0.5 * saturation(LAW, some, Room(64.0, 2048.0))
    wide, narrow = (latencies(LAW, some, Room(64.0, n), rate).first_token for n in (1e5, 2048.0))
    assert narrow > wide


def test_an_idle_engine_answers_in_a_step():
    """At hardly any load the first token takes one step with the prompt, others one without."""
    some = shape(300.0, 150.0, 0.0)
    found = latencies(LAW, some, ROOM, 1e-4)
    assert found.first_token == pytest.approx(0.02 + 1e-4 * 300.0 + 2e-4, rel=0.02)
    assert found.inter_token == pytest.approx(0.02 + 2e-4, rel=0.02)


def test_steps_that_cost_nothing_without_prompts_have_their_latencies():
    """A law in which prompts alone take time, as one learned of prompts alone may be."""
    some, law = shape(), Law.linear(0.0, 1e-4, 0.0, 0.0)
    found = latencies(law, some, ROOM, 0.5 * saturation(law, some, ROOM))
    assert 0.0 < found.first_token < inf
    assert 0.0 <= found.inter_token < inf


def test_a_little_more_load_is_a_little_later():
    """Percentiles do not jump from load to load: what they find is no chance of the points."""
    some = shape(2000.0, 60.0, 0.6)
    most = saturation(LAW, some, ROOM)
    found = [latencies(LAW, some, ROOM, load * most) for load in np.linspace(0.3, 0.8, 51)]
    for times in ([one.first_token for one in found], [one.inter_token for one in found]):
        smooth = np.convolve(np.log(times), np.full(9, 1.0 / 9.0), mode="valid")
        assert (np.log(times)[4:-4] - smooth).std() < 0.013


def test_what_is_reckoned_is_what_its_percentiles_are_of():
    """Of the requests that stand for all, one in twenty is later than the percentile."""
    some = shape()
    rate = 0.5 * saturation(LAW, some, ROOM)
    found = reckoned(LAW, some, ROOM, rate)
    assert found is not None
    assert found.latencies == latencies(LAW, some, ROOM, rate)
    for values, percentile in (
        (found.firsts, found.latencies.first_token),
        (found.inters, found.latencies.inter_token),
    ):
        assert (values > percentile).mean() == pytest.approx(0.05, abs=0.015)
    assert reckoned(LAW, some, ROOM, 3.0 * rate) is None


@settings(max_examples=30, deadline=None)
@given(
    st.floats(100.0, 2000.0),
    st.floats(20.0, 300.0),
    st.floats(0.0, 0.6),
    st.sampled_from((Room(8.0, 8192.0), Room(64.0, 2048.0), Room(128.0, 8192.0, 20.0))),
)
def test_right_below_its_limit_an_engine_is_late(
    prompt: float, output: float, spread: float, room: Room
):
    """The first token takes ever longer up to the limit: no load near it passes for a light one."""
    some = shape(prompt, output, spread)
    limit = saturation(LAW, some, room)
    last = 0.0
    for load in (0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.9999):
        first = latencies(LAW, some, room, load * limit).first_token
        assert first >= 0.95 * last
        last = first


def test_beyond_stability_latencies_are_infinite():
    """Where more comes than a full engine serves, the queue grows without end."""
    some = shape()
    found = latencies(LAW, some, ROOM, 1.01 * saturation(LAW, some, ROOM))
    assert found == (inf, inf, inf, inf)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(20.0, 2000.0),
    st.floats(5.0, 400.0),
    st.floats(0.0, 0.7),
    st.floats(4.0, 300.0),
    st.floats(0.05, 0.8),
)
def test_a_higher_load_is_never_much_faster(
    prompt: float, output: float, spread: float, seats: float, share: float
):
    """Latencies rise with the load, up to what a few hundred points leave to chance."""
    some, room = shape(prompt, output, spread), Room(seats, 8192.0)
    most = saturation(LAW, some, room)
    low = latencies(LAW, some, room, share * most)
    high = latencies(LAW, some, room, 1.2 * share * most)
    assert low.batch <= high.batch
    assert low.first_token <= 1.1 * high.first_token
    assert low.inter_token <= 1.1 * high.inter_token


@settings(max_examples=20, deadline=None)
@given(st.floats(1.05, 4.0))
def test_a_slower_engine_is_later(factor: float):
    """Steps that take longer make everything later, at the same load."""
    some = shape()
    rate = 0.5 * saturation(LAW, some, ROOM) / factor
    fast, slow = latencies(LAW, some, ROOM, rate), latencies(LAW.times(factor), some, ROOM, rate)
    assert slow.first_token > fast.first_token
    assert slow.inter_token > fast.inter_token


def test_single_gaps_are_longer_than_means():
    """Where prompts come between tokens, the worst gaps are longer than the worst mean of one."""
    some = shape(600.0, 30.0)
    rate = 0.6 * saturation(LAW, some, ROOM)
    single = latencies(LAW, some, ROOM, rate, gaps=True).inter_token
    assert single > latencies(LAW, some, ROOM, rate).inter_token


def test_the_points_are_even():
    """Each axis has each point once, pairs of axes fill the plane, and counts are Poisson's."""
    for axis, places in zip(UNIFORM, PLACES, strict=True):
        assert np.diff(np.sort(axis)) == pytest.approx(1.0 / len(axis))
        assert np.sort(axis)[places] == pytest.approx(axis)
    assert np.abs(NORMAL.mean(axis=1)).max() < 1e-3
    together = np.corrcoef(UNIFORM) - np.eye(len(UNIFORM))
    assert np.abs(together).max() < 0.15
    for mean in (0.1, 1.0, 5.0):
        counted = (mean >= THRESHOLDS).sum(axis=0)
        assert counted.mean() == pytest.approx(mean, rel=0.05)
        assert counted.var() == pytest.approx(mean, rel=0.15)
