"""The simulated fleet: requests go where there are fewest, starts take time, nothing is lost."""

import random

import pytest

from tests.simulator.fleet import Fleet
from tests.simulator.law import StepLaw
from tests.simulator.limits import Limits
from tests.simulator.truth import Targets
from tests.simulator.workload import Lengths, Mix, OpenLoop, steady

LAW = StepLaw(host=0.002, weights=0.02, kv=1e-7, token=1e-4)
MIX = Mix(prompt=Lengths(median=100), output=Lengths(median=50))


def _fleet(rate: float = 4.0, *, until: float = 400.0, initial: int = 2) -> Fleet:
    """Return a fleet whose replicas each bear some ten requests a second."""
    load = OpenLoop(MIX, steady(rate), highest=rate, dice=random.Random(1), until=until)
    return Fleet(
        law=LAW, limits=Limits(), targets=Targets(), workload=load, initial=initial, seed=1
    )


def _run(fleet: Fleet, seconds: int) -> Fleet:
    """Let time pass."""
    for _ in range(seconds):
        fleet.step()
    return fleet


def test_requests_are_shared_out():
    """Two replicas of the same kind serve about as many each, all in time, and none is lost."""
    fleet = _run(_fleet(), 420)
    one, other = (meter.done for meter in fleet.meters())
    assert one + other == pytest.approx(1600, rel=0.1)
    assert one == pytest.approx(other, rel=0.2)
    assert fleet.within_targets == 1.0


def test_a_replica_takes_minutes_to_start_and_is_paid_for():
    """One that is ordered serves after 3 to 5 minutes; its hours count from the order."""
    fleet = _run(_fleet(), 10)
    fleet.scale(3)
    assert (fleet.wanted, len(fleet.serving())) == (3, 2)
    _run(fleet, 179)
    assert len(fleet.serving()) == 2
    _run(fleet, 122)
    assert len(fleet.serving()) == 3
    assert fleet.seconds == 10 * 2 + 301 * 3
    assert fleet.changes == 1


def test_a_replica_that_goes_finishes_what_it_has():
    """It takes no more requests, and is paid for until it is empty; what starts goes first."""
    fleet = _run(_fleet(), 60)
    fleet.scale(3)
    fleet.scale(2)
    assert len(fleet.serving()) == 2
    fleet.scale(1)
    assert len(fleet.serving()) == 1
    _run(fleet, 60)
    assert len(fleet.members) == 1
    _run(fleet, 400)
    assert sum(meter.done for meter in fleet.meters()) == pytest.approx(1600, rel=0.1)
    assert fleet.within_targets > 0.99


def test_too_few_replicas_are_seen():
    """A hundred requests a second are too many for one: most miss their targets."""
    assert _run(_fleet(100.0, initial=1), 120).within_targets < 0.5
