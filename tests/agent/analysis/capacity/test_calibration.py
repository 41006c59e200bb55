"""What was seen against what was reckoned: what may count."""

import json
import random
from dataclasses import replace
from itertools import pairwise
from math import inf, nan

import numpy as np
import pytest

from agent.analysis.bottleneck import Targets
from agent.analysis.capacity.bound import System
from agent.analysis.capacity.calibration import Calibration, Saturated
from agent.analysis.capacity.law import Law
from agent.analysis.capacity.slot import Slot
from agent.analysis.capacity.steady import Shape
from agent.analysis.capacity.waits import Waits
from tests.agent.analysis.capacity.test_mix import slot, spread

SYSTEM = System(
    law=Law.linear(0.02, 1e-4, 2e-4, 0.0),
    shape=Shape.of(spread([300.0] * 50).quantiles(64), spread([100.0] * 50).quantiles(64)),
    seats=32.0,
    memory=1000.0,
    budget=8192.0,
    targets=Targets(),
)


def all_at(seconds: float, *, count: int = 30) -> Waits:
    """Return requests that all took as long."""
    return Waits(np.array([inf]), np.zeros(1), np.full(count, seconds), count * seconds)


TIMES = (all_at(0.2, count=12), all_at(0.02, count=12))
"""Times to first token and per output token of a dozen requests."""


def test_requests_that_nobody_counts_correct_nothing():
    """An engine that counts none has no rate to compare, however long its queue is."""
    calibration, dice = Calibration.new(), random.Random(1)
    slots = [replace(slot(n, dice), requests=nan, queued=(15.0, 15.0)) for n in range(8)]
    calibration.take(slots, SYSTEM)
    assert calibration.speed(1.0) == 1.0
    calibration.saturated.append(Saturated(0.0, nan, 60.0))  # as an older state may have it
    assert calibration.speed(1.0) == 1.0


def test_a_full_engine_tells_its_limit():
    """Where requests waited all along, what was served is what it can do."""
    calibration, dice = Calibration.new(), random.Random(1)
    calibration.take([replace(slot(n, dice), queued=(15.0, 15.0)) for n in range(40)], SYSTEM)
    assert 1.2 < calibration.speed(0.5 * 20.0 / 15.0) <= 1.6


def test_the_first_look_compares_minutes():
    """Percentiles of an hour of loads that came and went are none of a minute's load."""
    calibration, dice = Calibration.new(), random.Random(1)
    slots = [replace(slot(n, dice, requests=30), times=TIMES) for n in range(230)]
    slots += [replace(slot(n, dice, requests=15), times=TIMES) for n in range(230, 240)]
    calibration.take(slots, SYSTEM)
    times = [one.time for one in calibration.compared]
    assert len(times) > 3
    assert {after - before for before, after in pairwise(times)} == {60.0}
    assert calibration.since == 240 * 15.0


def test_few_requests_are_gathered():
    """Where a minute brings few requests, several are compared as one, and none is lost."""
    calibration, dice, slow = Calibration.new(), random.Random(1), SYSTEM.slower(20.0)
    slots = [replace(slot(n, dice, requests=2), times=TIMES) for n in range(25)]
    for end in range(4, 26):
        calibration.take(slots[:end], slow)
    assert [one.time for one in calibration.compared] == [150.0, 300.0]
    assert calibration.since == 300.0


def test_what_was_seen_corrects_the_more_the_more_was_seen():
    """Latencies that were half as long again are reckoned so, once there are many of them."""
    found = []
    for minutes in (1, 4, 40):
        calibration, dice = Calibration.new(), random.Random(1)
        reckoned = SYSTEM.latencies(2.0)
        times = (all_at(1.3 * reckoned.first_token), all_at(reckoned.inter_token))
        slots = [replace(slot(n, dice, requests=30), times=times) for n in range(4 * minutes)]
        for end in range(4, len(slots) + 1, 4):
            calibration.take(slots[:end], SYSTEM)
        found.append((calibration.factors(2.0)[0], *calibration.doubts(2.0)))
    factors, firsts, inters = zip(*found, strict=True)
    assert 1.0 < factors[0] < factors[1] < factors[2] == pytest.approx(1.3, rel=0.05)
    assert firsts[0] > firsts[1] > firsts[2]
    assert inters[0] > inters[1] > inters[2]


def test_what_was_kept_of_an_hour_is_no_minute():
    """A slot that stands for many minutes, as after a restart, is not compared."""
    calibration, dice = Calibration.new(), random.Random(1)
    kept = replace(slot(0, dice), begin=-600.0, queued=(15.0, 15.0))
    slots = [kept, *(replace(slot(n, dice), queued=(15.0, 15.0)) for n in range(1, 4))]
    calibration.take(slots, SYSTEM)
    assert not calibration.saturated


def test_a_clock_that_was_set_back_begins_anew():
    """What was compared in the future goes, and new minutes count at once."""
    calibration, dice = Calibration.new(), random.Random(1)
    calibration.saturated.append(Saturated(1e6, 100.0, 60.0))
    calibration.since = 1e6
    calibration.take([replace(slot(n, dice), queued=(15.0, 15.0)) for n in range(8)], SYSTEM)
    assert [one.time for one in calibration.saturated] == [60.0, 120.0]
    assert calibration.since == 120.0 < inf


def _seen(system: System) -> Calibration:
    """Return what was learned of forty minutes in which latencies were as reckoned, by a system."""
    calibration, dice = Calibration.new(), random.Random(1)
    reckoned = SYSTEM.latencies(2.0)
    times = (all_at(reckoned.first_token), all_at(reckoned.inter_token))
    gaps = (30 * 99 * reckoned.gap, 30.0 * 99)
    slots = [replace(slot(n, dice, requests=30), times=times, gaps=gaps) for n in range(160)]
    for end in range(4, len(slots) + 1, 4):
        calibration.take(slots[:end], system)
    return calibration


def test_what_was_compared_follows_the_law():
    """Minutes that were held against a law that was wrong are held against the one of now."""
    calibration = _seen(SYSTEM.slower(1.4))
    assert calibration.pace() < 0.85
    for _ in calibration.compared:
        calibration.take([], SYSTEM)
    again = Calibration.restore(json.loads(json.dumps(calibration.state())))
    for one in (calibration, again):
        assert one.pace() == 1.0
        assert one.factors(2.0) == pytest.approx(_seen(SYSTEM).factors(2.0), rel=0.06)


def test_a_law_that_stays_is_not_reckoned_again():
    """What was compared with the law of now stays as it is."""
    calibration = _seen(SYSTEM)
    before = [*calibration.compared]
    calibration.take([], SYSTEM.slower(1.01))
    assert [*calibration.compared] == before


def test_what_was_compared_follows_what_prompts_cost():
    """A law whose prompts turn out dearer makes the first token as late as it was seen to be."""
    calibration = _seen(SYSTEM)
    dearer = replace(SYSTEM, law=Law.linear(0.02, 3e-4, 2e-4, 0.0))
    before = calibration.factors(2.0)[0]
    for _ in calibration.compared:
        calibration.take([], dearer)
    assert calibration.factors(2.0)[0] < 0.9 * before


def _minute(counts: list[int], dice: random.Random) -> list[Slot]:
    """Return the slots of a minute with so many requests each."""
    return [replace(slot(n, dice, requests=count), times=TIMES) for n, count in enumerate(counts)]


def test_the_busiest_part_of_a_minute_is_as_busy_as_chance_leaves_it():
    """Of a load that hardly moves the mean counts, of one that moves its busiest part."""
    found = {}
    for name, counts in (("even", [40, 31, 43, 34]), ("moved", [10, 12, 60, 61])):
        calibration, dice = Calibration.new(), random.Random(1)
        calibration.take(_minute(counts, dice), SYSTEM)
        (found[name],) = (one.rate for one in calibration.compared)
    assert found["even"] == pytest.approx(148 / 60.0)
    assert 3.5 < found["moved"] < 60.5 / 15.0


def test_minutes_of_a_high_load_do_not_make_steps_shorter():
    """A batch takes longer than a minute to become as large as it is reckoned to be in the end."""
    calibration, dice = Calibration.new(), random.Random(1)
    gaps = (30 * 99 * 0.6 * SYSTEM.latencies(2.0).gap, 30.0 * 99)
    slots = [replace(slot(n, dice, requests=30), times=TIMES, gaps=gaps) for n in range(8)]
    slow = SYSTEM.slower(0.8 * SYSTEM.stability / 2.0)
    calibration.take(slots, slow)
    assert all(one.gap < -0.3 for one in calibration.compared)
    assert calibration.pace() == 1.0
    calibration.compared.extend([one._replace(load=0.3) for one in calibration.compared])
    assert calibration.pace() < 0.75


def test_gaps_that_are_shorter_shorten_steps_by_and_by():
    """A gap a little shorter changes the time of a step by little, wherever it is; all at last."""
    calibration = _seen(SYSTEM)
    one = calibration.compared[-1]._replace(load=0.3)

    def paced(gap: float) -> float:
        calibration.compared.clear()
        calibration.compared.append(one._replace(gap=gap))
        return calibration.pace()

    found = np.array([paced(gap) for gap in np.linspace(0.0, -0.4, 81).tolist()])
    assert found[0] == 1.0
    assert (np.diff(found) <= 1e-12).all()
    assert np.abs(np.diff(found)).max() < 0.02
    assert found[-1] == pytest.approx(np.exp(-0.4))


def test_a_machine_that_is_slower_than_its_law_is_taken_as_it_is():
    """The mean of its steps counts, but for what laws get wrong where nothing disturbs."""
    calibration = _seen(SYSTEM)
    assert calibration.pace(1.05) == 1.0
    assert 1.15 < calibration.pace(1.3) < 1.25
    assert calibration.factors(2.0, 1.3)[0] < calibration.factors(2.0, 1.0)[0]
