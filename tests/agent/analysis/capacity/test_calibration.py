"""What was seen against what was reckoned: what may count."""

import random
from dataclasses import replace
from math import inf, log, nan

from agent.analysis.bottleneck import Targets
from agent.analysis.capacity.bound import System
from agent.analysis.capacity.calibration import Calibration, Compared, Saturated
from agent.analysis.capacity.law import Law
from agent.analysis.capacity.steady import Shape
from tests.agent.analysis.capacity.test_mix import slot, spread

SYSTEM = System(
    law=Law.linear(0.02, 1e-4, 2e-4, 0.0),
    shape=Shape.of(spread([300.0] * 50).quantiles(64), spread([100.0] * 50).quantiles(64)),
    seats=32.0,
    memory=1000.0,
    budget=8192.0,
    targets=Targets(),
)


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


def test_only_what_most_of_the_weight_agrees_on_corrects():
    """A minute of few requests decides nothing, three that agree do."""
    calibration = Calibration.new()
    calibration.compared.append(Compared(0.0, log(1.6), 0.0, 0.0, 20.0))
    assert calibration.factors() == (1.0, 1.0)
    calibration.compared += [Compared(60.0 * n, log(1.2), 0.0, 0.0, 30.0) for n in range(1, 4)]
    assert abs(log(calibration.factors()[0]) - log(1.2)) < 1e-9


def test_a_clock_that_was_set_back_begins_anew():
    """What was compared in the future goes, and new minutes count at once."""
    calibration, dice = Calibration.new(), random.Random(1)
    calibration.saturated.append(Saturated(1e6, 100.0, 60.0))
    calibration.since = 1e6
    calibration.take([replace(slot(n, dice), queued=(15.0, 15.0)) for n in range(8)], SYSTEM)
    assert [one.time for one in calibration.saturated] == [120.0]
    assert calibration.since == 120.0 < inf
