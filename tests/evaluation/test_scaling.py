"""The autoscalers that are compared: what they ask for, and that a day is the same each time."""

import pytest

from evaluation import bursty_days
from evaluation.bursty_days import START_MOST, fleet_of
from evaluation.scalers import Common, Signals, waiting
from evaluation.scaling import Day, day, together


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a day take five minutes, of replicas whose capacity is not looked for."""
    monkeypatch.setattr(bursty_days, "DAY", 300)
    monkeypatch.setattr(bursty_days, "bearable", lambda _mix=None: (1.15, 61_000.0))


def test_the_same_day_comes_to_the_same():
    """Chance is that of the seed alone."""
    first, again = (day(lambda: Common(waiting, 5.0), seed=1) for _ in range(2))
    assert first == again


def test_common_autoscalers_wait_before_they_scale_in():
    """Three times the target wants three replicas at once, none of it one only after 300 s."""
    level = 15.0
    scaler, fleet = Common(lambda _fleet: level, 5.0), fleet_of(1)
    fleet.scale(1)
    assert scaler.replicas(fleet) == 3
    fleet.scale(3)
    level = 0.0
    fleet.now = 299
    assert scaler.replicas(fleet) == 3
    fleet.now = 300 + START_MOST
    assert scaler.replicas(fleet) == 1


def test_the_agent_learns_what_replicas_carry():
    """After five minutes the signals know demand and capacity of the replicas, from pages alone."""
    made = Signals()
    day(lambda: made, seed=1)
    loads = [one.load for one in made._watched.values()]
    assert all(load.demand is not None for load in loads)
    assert all(load.carries is not None and 30_000 < load.carries < 61_000 for load in loads)


def test_the_worst_day_is_told_beside_the_mean():
    """A mean of 90 and 100 % hides a day on which one request in ten was late."""
    found = together([Day(within=within, hours=2.0, changes=3.0) for within in (1.0, 0.9)])
    assert found.mean == Day(within=0.95, hours=2.0, changes=3.0)
    assert found.least == 0.9
