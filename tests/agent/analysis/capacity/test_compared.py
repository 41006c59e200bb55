"""Latencies of many minutes against what is reckoned for their loads."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.capacity.compared import (
    LEAST,
    PRIOR,
    RATIOS,
    UNKNOWN,
    Compared,
    beyond,
    factor,
    unsure,
    usual_gap,
)
from agent.analysis.capacity.queueing import Latencies
from agent.analysis.capacity.waits import Waits

EDGES = np.linspace(0.0, 4.0, 4001)
POINTS = -np.log1p(-(np.arange(257) + 0.5) / 257) / 3.0


def minute(*, scale: float, rate: float = 1.0, gap: float = 0.0, count: float = 1000.0) -> Compared:
    """Return a minute whose latencies are exponential, with a 95th percentile of `scale`."""
    share = np.diff(1.0 - np.exp(-EDGES * 3.0 / scale))
    seen = Waits(EDGES[1:], count * share, np.zeros(0), count * scale / 3.0)
    late = beyond(seen, POINTS, 1.0)
    return Compared(0.0, rate, gap, late, late)


@given(st.floats(0.7, 1.6))
def test_a_percentile_is_found_among_many(scale: float):
    """Of many requests the factor is that of their percentile, drawn in a little."""
    found = factor([minute(scale=scale, count=1e5)], "first", None)
    assert found == pytest.approx(np.log(scale * np.log(20.0) / 3.0), abs=0.02)


def test_minutes_in_which_many_are_late_decide():
    """A tenth of the minutes in which latencies are doubled moves the percentile of all."""
    minutes = [minute(scale=1.0)] * 18 + [minute(scale=2.0)] * 2
    assert factor(minutes, "inter", None) > 0.1


def test_a_minute_in_which_steps_took_longer_is_left_out():
    """What disturbed the engine is no fault of what is reckoned."""
    calm = [minute(scale=1.0)] * 8
    disturbed = [minute(scale=1.8, gap=0.4)] * 3
    assert usual_gap([*calm, *disturbed]) == 0.0
    assert factor([*calm, *disturbed], "first", None) == factor(calm, "first", None)


def test_minutes_of_a_high_load_count_more():
    """A quarter of the load counts a sixteenth, and what is far from what is asked less still."""
    low, high = minute(scale=1.5, rate=0.25), minute(scale=1.0)
    assert factor([low] * 2 + [high], "first", 1.0) < 0.5 * factor([low] * 2, "first", 0.25)
    assert unsure([low], "first", 1.0) > unsure([low], "first", 0.25)


def test_nothing_seen_is_no_correction():
    """Without any minute nothing is corrected, and it is as unsure as it can be."""
    assert factor([], "first", 1.0) == 0.0
    assert unsure([], "inter", 1.0) == np.hypot(UNKNOWN["inter"], LEAST["inter"])
    assert unsure([minute(scale=1.0, count=PRIOR["first"])], "first", None) == pytest.approx(
        np.hypot(UNKNOWN["first"] / np.sqrt(2.0), LEAST["first"]), rel=0.01
    )


def test_a_minute_survives():
    """What was kept is what there was; what has another form is refused."""
    one = minute(scale=1.2, rate=3.0, gap=-0.01)
    one = one._replace(reckoned=Latencies(1.0, 0.1, 4.0, 0.02), steps=(0.02, 0.1), load=0.4)
    assert Compared.restore(json.loads(json.dumps(one.state()))) == one
    with pytest.raises(ValueError, match="ratio"):
        Compared.restore([0.0, 1.0, 0.0, [1.0] * len(RATIOS), [1.0]])
    with pytest.raises(ValueError, match="unpack"):
        Compared.restore([0.0, 1.0, 0.0])


def test_a_minute_of_an_earlier_version_survives():
    """What was kept without what was reckoned is read, and stays as it was compared."""
    one = minute(scale=1.2)
    old = Compared.restore(one.state()[:5])
    assert old == one
    assert old.against(Latencies(1.0, 1.0, 1.0, 1.0), (0.01, 0.02)) == old
    reckoned = Latencies(1.0, 1.0, 1.0, 1.0)
    state = one._replace(reckoned=reckoned).state()
    assert Compared.restore([*state[:6], 0.02]) == one._replace(reckoned=reckoned)


@given(st.floats(0.8, 1.2))
def test_a_minute_is_the_same_against_a_law_and_back(factor: float):
    """Against latencies that are longer it was shorter by as much, and the other way round."""
    reckoned = Latencies(1.0, 1.0, 4.0, 0.02)
    other = Latencies(factor, factor, 4.0, 0.02 * factor)
    one = minute(scale=1.0)._replace(reckoned=reckoned, steps=(0.02, 0.1))
    moved = one.against(other, (0.02 * factor, 0.1))
    assert moved.gap == pytest.approx(-np.log(factor))
    assert moved.against(reckoned, (0.02, 0.1)).gap == pytest.approx(0.0, abs=1e-12)
    expected = minute(scale=1.0 / factor).first
    inside = slice(6, -5)  # what lies beyond the ratios that were kept is not known
    assert moved.first[inside] == pytest.approx(expected[inside], rel=0.05, abs=5.0)
