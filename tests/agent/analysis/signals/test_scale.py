"""The direction in which a replica would scale: thresholds, windows, hysteresis."""

from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.signals.removal import Removal
from agent.analysis.signals.scale import ScaleSignal
from agent.analysis.signals.terms import Terms
from tests.agent.analysis.signals.evidences import NOW, evidence

TERMS = Terms()
SAFE = Removal(safe=True, reason="the others would be asked 10% of what they carry", load=0.1)
ALONE = Removal(safe=False, reason="it is the only one")


def _change(signal: ScaleSignal, seconds: float, load: float, **further: float) -> int:
    """Return the direction after so many seconds."""
    seen = evidence(load, time=NOW + seconds, **further)  # type: ignore[arg-type]
    found = signal.observe(seen, TERMS, SAFE)
    assert found is not None
    return found.change


def test_past_80_percent_more_are_wanted_once_it_lasts():
    """81 % for 15 s wants more, until it is 10 % below the threshold."""
    signal = ScaleSignal()
    assert [_change(signal, 5.0 * turn, 0.81) for turn in range(4)] == [0, 0, 0, 1]
    assert _change(signal, 20.0, 0.75) == 1
    assert _change(signal, 25.0, 0.71) == 0
    assert _change(signal, 30.0, 0.79) == 0


def test_past_half_a_second_of_waiting_more_are_wanted():
    """Requests that wait 0.6 s want more replicas, whatever the load."""
    signal = ScaleSignal()
    assert _change(signal, 0.0, 0.3, waited=0.6) == 0
    assert _change(signal, 15.0, 0.3, waited=0.6) == 1


def test_what_is_foreseen_counts():
    """60 % that will be 90 % when a replica has started wants one now."""
    signal = ScaleSignal()
    assert _change(signal, 0.0, 0.6, growth=1.5) == 0
    assert _change(signal, 15.0, 0.6, growth=1.5) == 1
    assert _change(signal, 20.0, 0.6, growth=1.0) == 0


def test_below_20_percent_for_half_an_hour_fewer_would_do():
    """19 % is enough for fewer after 30 min, not before, and not if the demand is about to rise."""
    signal = ScaleSignal()
    assert _change(signal, 0.0, 0.19) == 0
    assert _change(signal, 1795.0, 0.19) == 0
    assert _change(signal, 1800.0, 0.19) == -1
    assert _change(signal, 1805.0, 0.19, growth=1.2) == 0
    assert _change(signal, 1810.0, 0.19) == 0


def test_only_what_others_can_do_without_goes():
    """A replica that is alone is never called superfluous, and it is said why."""
    signal = ScaleSignal()
    signal.observe(evidence(0.1), TERMS, ALONE)
    found = signal.observe(evidence(0.1, time=NOW + 1800.0), TERMS, ALONE)
    assert found is not None
    assert (found.change, "it is the only one" in found.reason) == (0, True)


def test_unknown_is_no_direction():
    """Without load and waiting nothing is wanted, and what had lasted begins anew."""
    signal = ScaleSignal()
    _change(signal, 0.0, 0.1)
    assert signal.observe(evidence(None, waited=None, time=NOW + 900.0), TERMS, SAFE) is None
    assert _change(signal, 1800.0, 0.1) == 0


@given(st.lists(st.floats(0.0, 1.5), min_size=1, max_size=60))
def test_it_never_wants_both(loads: list[float]):
    """Within half an hour of wanting more, it does not want fewer."""
    signal = ScaleSignal()
    found = [_change(signal, 60.0 * turn, load) for turn, load in enumerate(loads)]
    for at, change in enumerate(found):
        if change < 0:
            assert 1 not in found[max(0, at - 29) : at]
