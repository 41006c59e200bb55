"""Advice on further requests: what it follows from, and that it does not flap."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.signals.admit import AdmitSignal, advised
from agent.analysis.signals.evidence import Evidence, Timed
from agent.analysis.signals.terms import Terms
from agent.catalog.signals import Admit
from tests.agent.analysis.signals.evidences import NOW, evidence

TERMS = Terms()


@pytest.mark.parametrize(
    ("seen", "admit", "reason"),
    [
        (evidence(0.5), Admit.OK, "50% of what it carries is asked"),
        (evidence(1.1), Admit.SHED, "110% of what it surely carries within its targets is asked"),
        (evidence(1.4), Admit.STOP, "from 1300 on its queue grows without end"),
        (evidence(0.5, waiting=3.0, waited=1.5), Admit.SHED, "requests wait 1.5 s for room"),
        (evidence(0.5, waiting=3.0, kv=0.97), Admit.SHED, "KV cache is 97% full"),
        (evidence(0.5, kv=0.97), Admit.OK, "50%"),
        (evidence(0.5, stalled="nothing since 40 s"), Admit.STOP, "nothing since 40 s"),
        (evidence(0.5, silence=20.0), Admit.STOP, "it has not answered for 20 s"),
        (evidence(None), Admit.OK, "requests find room in time"),
        (evidence(None, waiting=2.0, waited=2.0), Admit.SHED, "requests wait 2 s for room"),
    ],
)
def test_what_is_advised_and_why(seen: Evidence, admit: Admit, reason: str):
    """More than it carries is shed, more than it can ever do and a standstill stop it."""
    found = advised(seen, TERMS, first_token=1.0)
    assert found is not None
    assert found.admit is admit
    assert reason in found.reason


def test_an_engine_that_carries_nothing_within_its_targets_sheds():
    """A capacity of zero is known, not unknown: whatever is asked is more."""
    nothing = replace(evidence(0.5), carries=Timed(0.0, NOW))
    found = advised(nothing, TERMS, first_token=1.0)
    assert found is not None
    assert (found.admit, found.reason) == (Admit.SHED, "it carries nothing within its targets")


def test_what_was_not_known_in_between_did_not_last():
    """Over capacity, then unknown, then over again: that is no quarter of a minute of it."""
    signal = AdmitSignal()
    signal.observe(evidence(1.1, time=NOW), TERMS, first_token=1.0)
    assert signal.observe(Evidence(time=NOW + 5.0), TERMS, first_token=1.0) is None
    found = signal.observe(evidence(1.1, time=NOW + 20.0), TERMS, first_token=1.0)
    assert found is not None
    assert found.admit is Admit.OK


def test_nothing_is_advised_of_nothing():
    """An engine whose page was never seen has no advice."""
    assert advised(Evidence(time=NOW), TERMS, first_token=1.0) is None
    assert AdmitSignal().observe(Evidence(time=NOW), TERMS, first_token=1.0) is None


def _followed(loads: list[float], every: float = 5.0) -> list[Admit]:
    """Return what is advised at each of some loads, one after the other."""
    signal = AdmitSignal()
    found = []
    for turn, load in enumerate(loads):
        said = signal.observe(evidence(load, time=NOW + every * turn), TERMS, first_token=1.0)
        assert said is not None
        found.append(said.admit)
    return found


def test_it_waits_for_what_lasts():
    """Over capacity for 15 s: shed; well below it for a minute: ok again."""
    found = _followed([0.5] + [1.1] * 4 + [0.8] * 13)
    assert found == [Admit.OK] * 4 + [Admit.SHED] * 13 + [Admit.OK]


def test_while_it_waits_it_says_what_is_now():
    """Numbers that are over do not stand in the reason."""
    signal = AdmitSignal()
    for turn in range(4):
        signal.observe(evidence(1.1, time=NOW + 5.0 * turn), TERMS, first_token=1.0)
    said = signal.observe(evidence(0.2, time=NOW + 20.0), TERMS, first_token=1.0)
    assert said == (
        Admit.SHED,
        "20% of what it carries is asked, but for less than 60 s so far",
    )


def test_a_standstill_is_told_at_once():
    """A replica that does not answer gets no further request, however short that has been so."""
    signal = AdmitSignal()
    signal.observe(evidence(0.5), TERMS, first_token=1.0)
    said = signal.observe(evidence(0.5, time=NOW + 5.0, silence=16.0), TERMS, first_token=1.0)
    assert said is not None
    assert said.admit is Admit.STOP


@given(st.lists(st.floats(0.91, 0.999), min_size=20, max_size=60))
def test_within_the_hysteresis_nothing_changes(loads: list[float]):
    """A load that wobbles below the threshold and above the way back leaves either advice as is."""
    assert set(_followed(loads)) == {Admit.OK}
    assert set(_followed([1.2] * 5 + loads)[5:]) == {Admit.SHED}


@given(st.lists(st.floats(0.0, 2.0), min_size=2, max_size=80))
def test_it_never_changes_faster_than_its_windows(loads: list[float]):
    """Between a change for the worse and one for the better there is at least a minute."""
    found = _followed(loads)
    order = [Admit.OK, Admit.SHED, Admit.STOP]
    worse = [
        at for at in range(1, len(found)) if order.index(found[at]) > order.index(found[at - 1])
    ]
    better = [
        at for at in range(1, len(found)) if order.index(found[at]) < order.index(found[at - 1])
    ]
    for at in better:
        assert all(not 0 < at - other < 12 for other in worse)
