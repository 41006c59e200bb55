"""Whether a replica can go: the load of the others is worked out anew without it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.signals.removal import removal
from agent.analysis.signals.terms import Terms
from tests.agent.analysis.signals.evidences import evidence

TERMS = Terms()


def test_the_others_take_over_what_it_was_asked():
    """30 % each of three is 45 % each of two: well; 60 % each of two is 120 % of one: not."""
    found = removal(evidence(0.3), [evidence(0.3)] * 2, TERMS, before=False)
    assert found is not None
    assert (found.safe, found.load) == (True, pytest.approx(0.45))
    found = removal(evidence(0.6), [evidence(0.6)], TERMS, before=False)
    assert found is not None
    assert (found.safe, found.load) == (False, pytest.approx(1.2))


def test_alone_it_is_not_safe_and_it_is_said_why():
    """Of other hosts nothing is known here."""
    found = removal(evidence(0.0), [], TERMS, before=True)
    assert found is not None
    assert not found.safe
    assert "only replica of its model on this host" in found.reason


def test_unknown_stays_unknown():
    """What is asked of it unknown: nothing is told; of another: it is not safe."""
    assert removal(evidence(None), [evidence(0.1)], TERMS, before=False) is None
    found = removal(evidence(0.1), [evidence(None)], TERMS, before=True)
    assert found is not None
    assert not found.safe
    found = removal(evidence(0.1), [evidence(0.1, stalled="stands")], TERMS, before=True)
    assert found is not None
    assert not found.safe


def test_a_silent_replica_takes_nothing_over():
    """One whose page has not come for a quarter of a minute may be dying."""
    for silence, safe in ((10.0, True), (20.0, False)):
        found = removal(evidence(0.1), [evidence(0.1, silence=silence)], TERMS, before=True)
        assert found is not None
        assert found.safe is safe
    assert found is not None
    assert found.reason == "another replica of its model stands still: it has not answered for 20 s"


def test_ranks_of_one_server_go_together():
    """What all of them are asked is for the others to carry, who are servers and no ranks."""
    ranks = [evidence(0.3)]
    alone = removal(evidence(0.3), [], TERMS, before=False, ranks=ranks)
    assert alone is not None
    assert not alone.safe
    found = removal(evidence(0.3), [evidence(0.1)] * 2, TERMS, before=False, ranks=ranks)
    assert found is not None
    assert found.load == pytest.approx(0.4)
    assert (
        removal(evidence(0.3), [evidence(0.1)], TERMS, before=False, ranks=[evidence(None)]) is None
    )


def test_it_begins_below_the_threshold_and_lasts_up_to_it():
    """75 % of the others keeps it safe if it was, and does not make it safe."""
    before, after = (
        removal(evidence(0.375), [evidence(0.375)], TERMS, before=safe) for safe in (True, False)
    )
    assert before is not None
    assert after is not None
    assert (before.safe, after.safe) == (True, False)


@given(st.lists(st.floats(0.0, 2.0), min_size=2, max_size=8), st.floats(1.0, 3.0))
def test_what_is_foreseen_never_makes_it_safer(loads: list[float], growth: float):
    """With a demand that will rise, no replica is safe that would not be without."""
    own, *others = loads
    now = removal(evidence(own), [evidence(one) for one in others], TERMS, before=False)
    then = removal(
        evidence(own, growth=growth),
        [evidence(one, growth=growth) for one in others],
        TERMS,
        before=False,
    )
    assert now is not None
    assert then is not None
    assert now.safe or not then.safe
