"""How many replicas a model needs: the formula, what is unknown, and that it does not flap."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.signals.fleet import Fleet, FleetTerms, Load, Need
from tests.agent.analysis.signals.evidences import NOW

TERMS = FleetTerms(target=0.8, margin=0.1, scale_in_after=600.0, least=1, most=20)


def _loads(total: float, replicas: int, *, carries: float | None = 1000.0) -> list[Load]:
    """Return replicas that share a demand evenly."""
    return [Load(demand=total / replicas, carries=carries, queue=0.0, wait=0.0)] * replicas


def _needed(
    fleet: Fleet, seconds: float, loads: list[Load], foreseen: float | None = None
) -> tuple[int, str]:
    """Return what is needed, and why."""
    need = fleet.observe(NOW + seconds, loads, TERMS, foreseen=foreseen)
    assert need is not None
    return need


def test_more_are_needed_at_once():
    """2,500 tokens a minute on replicas that carry 1,000, of which 80 % are used, need 4."""
    assert _needed(Fleet(), 0.0, _loads(2500.0, 2))[0] == 4


def test_what_is_foreseen_counts_where_it_is_more():
    """The demand when a replica ordered now has started is what it is ordered for."""
    fleet = Fleet()
    assert _needed(fleet, 0.0, _loads(1000.0, 2), foreseen=3000.0)[0] == 4
    assert _needed(Fleet(), 0.0, _loads(1000.0, 2), foreseen=10.0)[0] == 2


def test_what_waits_has_to_be_worked_off():
    """10,000 tokens that wait are 2,000 a minute until the horizon of five minutes."""
    loads = [Load(demand=500.0, carries=1000.0, queue=10_000.0, wait=0.1)]
    assert _needed(Fleet(), 0.0, loads)[0] == math.ceil(2500.0 / 800.0)


def test_fewer_are_needed_only_after_a_while():
    """A demand that fell is believed after ten minutes, and the most of those counts."""
    fleet = Fleet()
    assert _needed(fleet, 0.0, _loads(3000.0, 4))[0] == 4
    for second in range(15, 600, 15):
        assert _needed(fleet, float(second), _loads(700.0, 4))[0] == 4
    count, why = _needed(fleet, 600.0, _loads(700.0, 4))
    assert count == 4
    assert "1 would do, 10 min are waited for" in why
    assert _needed(fleet, 615.0, _loads(700.0, 4))[0] == 1


def test_within_the_margin_nothing_changes():
    """A demand at which three replicas would just do leaves four: they would be full at once."""
    fleet = Fleet()
    assert _needed(fleet, 0.0, _loads(2500.0, 4))[0] == 4
    assert _needed(fleet, 1200.0, _loads(2390.0, 4))[0] == 4
    assert _needed(fleet, 1215.0, _loads(2390.0, 4))[0] == 4


@pytest.mark.parametrize("carries", [0.0, 5e-324, 1e-9])
def test_where_hardly_anything_is_carried_no_number_would_do(carries: float):
    """Less than a token a minute is nothing: there are as many needed as there are."""
    count, why = _needed(Fleet(), 0.0, _loads(700.0, 2, carries=carries))
    assert (count, why) == (
        2,
        "no replica carries anything within its targets: as many as there are",
    )


def test_a_capacity_of_nothing_is_known():
    """A replica that keeps its targets at no load carries nothing: the others carry it all."""
    loads = [Load(demand=700.0, carries=carries, queue=0.0, wait=0.0) for carries in (1000.0, 0.0)]
    count, why = _needed(Fleet(), 0.0, loads)
    assert count == math.ceil(1400.0 / 400.0)
    assert "known of" not in why


def test_where_none_carries_anything_more_would_not_help():
    """They stay as many as there are, and it is said why."""
    count, why = _needed(Fleet(), 0.0, _loads(700.0, 3, carries=0.0))
    assert count == 3
    assert why == "no replica carries anything within its targets: as many as there are"


def test_unknown_capacity_of_some_is_that_of_the_others():
    """What is known is used for those that have not learned theirs, and it is said."""
    loads = [*_loads(1500.0, 2), Load(demand=500.0)]
    count, why = _needed(Fleet(), 0.0, loads)
    assert count == 3
    assert "(known of 2 of 3)" in why


def _partly(fleet: Fleet, seconds: float, loads: list[Load]) -> tuple[int, str]:
    """Return what is needed, and why, where some replicas are not in the answer."""
    need = fleet.observe(NOW + seconds, loads, TERMS, foreseen=None, partial=True)
    assert need is not None
    return need


def test_a_partial_answer_never_makes_fewer():
    """A quarter of four busy replicas is no reason to end one, however long it lasts.

    Afterwards the ten minutes of a smaller demand begin anew.
    """
    fleet = Fleet()
    assert _needed(fleet, 0.0, _loads(3000.0, 4))[0] == 4
    for second in range(15, 1215, 15):
        count, why = _partly(fleet, float(second), _loads(750.0, 1))
        assert count == 4
        assert why.endswith("; that is not all of them, so no fewer than before")
    assert _needed(fleet, 1215.0, _loads(700.0, 4))[0] == 4
    assert _needed(fleet, 1800.0, _loads(700.0, 4))[0] == 4
    assert _needed(fleet, 1830.0, _loads(700.0, 4))[0] == 1


def test_a_partial_answer_can_make_more():
    """What is known to be asked is asked at least."""
    fleet = Fleet()
    assert _needed(fleet, 0.0, _loads(3000.0, 4))[0] == 4
    assert _partly(fleet, 15.0, _loads(4500.0, 3))[0] == 6


def test_nothing_follows_from_a_partial_answer_alone():
    """As long as nobody ever saw all replicas, what there is of them is not known either."""
    fleet = Fleet()
    assert fleet.observe(NOW, _loads(700.0, 1), TERMS, foreseen=None, partial=True) is None
    assert _needed(fleet, 15.0, _loads(3000.0, 4))[0] == 4


def test_what_comes_back_is_no_surge():
    """Usual is what was, not what a part of the replicas is asked: the reserve stays as it was."""
    terms = replace(TERMS, target=0.75, surge_target=1.2)
    fleet = Fleet()

    def needed(second: float, loads: list[Load], *, partial: bool) -> Need:
        found = fleet.observe(NOW + second, loads, terms, foreseen=None, partial=partial)
        assert found is not None
        return found

    for second in range(0, 300, 15):
        needed(float(second), _loads(3000.0, 4), partial=False)
    for second in range(300, 600, 15):
        needed(float(second), _loads(750.0, 1), partial=True)
    count, why = needed(600.0, _loads(3000.0, 4), partial=False)
    assert (count, "usual" in why) == (4, True)


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0.0, 9000.0), st.integers(1, 8)), min_size=1, max_size=60
    )
)
def test_whatever_is_partly_known_no_replica_goes(looks: list[tuple[bool, float, int]]):
    """While an answer is partial the number stays or rises, whatever it and those before say."""
    fleet, before = Fleet(), None
    for number, (partial, demand, replicas) in enumerate(looks):
        need = fleet.observe(
            NOW + 60.0 * number, _loads(demand, replicas), TERMS, foreseen=None, partial=partial
        )
        if partial:
            assert (need is None) is (before is None)
        if need is not None:
            assert not partial or before is None or need.replicas >= before
            before = need.replicas


@pytest.mark.parametrize("loads", [[Load(demand=900.0)] * 3, [Load(carries=1000.0)] * 3])
def test_nothing_known_holds(loads: list[Load]):
    """Without any capacity, or any demand, there are as many as there were."""
    fleet = Fleet()
    assert _needed(fleet, 0.0, loads)[0] == 3
    count, why = _needed(fleet, 6000.0, loads)
    assert count == 3
    assert "as many as there are" in why


def test_an_unknown_demand_is_never_taken_for_none():
    """A replica that tells no demand keeps the others from going."""
    fleet = Fleet()
    loads = [*_loads(100.0, 3), Load(carries=1000.0)]
    for second in range(0, 1800, 60):
        assert _needed(fleet, float(second), loads)[0] == 4


def test_requests_that_wait_want_one_more():
    """0.6 s of waiting at half of the replicas for 15 s: one more than serve, not ever more."""
    fleet = Fleet()
    loads = [Load(demand=300.0, carries=1000.0, queue=0.0, wait=0.6)] * 2
    assert [_needed(fleet, 15.0 * turn, loads)[0] for turn in range(5)] == [2, 3, 3, 3, 3]


SURGES = FleetTerms(target=0.75, surge_target=1.0, margin=0.0, scale_in_after=60.0, most=20)


def _day(fleet: Fleet, demands: list[float], replicas: int) -> list[int]:
    """Return what is needed every 15 s while so much is asked of so many replicas."""
    found = []
    for turn, demand in enumerate(demands):
        need = fleet.observe(NOW + 15.0 * turn, _loads(demand, replicas), SURGES, foreseen=None)
        assert need is not None
        found.append(need.replicas)
    return found


def test_in_a_surge_no_reserve_for_a_second_one_is_kept():
    """3,000 a minute need 4 replicas at 75 %; when 5,400 come, 6 carry them, and not 8."""
    fleet = Fleet()
    assert _day(fleet, [3000.0] * 8 + [5400.0] * 20, 4) == [4] * 8 + [6] * 20


def test_a_reserve_that_is_there_is_used_before_more_are_ordered():
    """What the target leaves unused carries a small surge: nothing changes, and it is said why."""
    fleet = Fleet()
    assert _day(fleet, [2700.0] * 8 + [3900.0] * 4, 4) == [4] * 12
    need = fleet.observe(NOW + 180.0, _loads(3900.0, 4), SURGES, foreseen=None)
    assert need is not None
    assert need.reason == (
        "3900 tokens a minute are asked or will be in a surge, and each carries 1000, of which "
        "100% are used"
    )


def test_a_surge_that_lasts_becomes_usual():
    """After half an hour the reserve is kept on top of it: 5,400 at 75 % need 8."""
    assert _day(Fleet(), [3000.0] * 8 + [5400.0] * 120, 4)[-1] == 8


def test_after_a_surge_there_are_as_many_as_before_it():
    """A surge of ten minutes is forgotten three minutes after it: nobody waits for it to return."""
    found = _day(Fleet(), [3000.0] * 8 + [5400.0] * 40 + [3000.0] * 13, 6)
    assert found[47] > 4
    assert found[-1] == 4


def test_in_a_surge_none_goes_before_another_could_start():
    """A minute of less amid a surge sends back none of those that were ordered for it."""
    demands = [3000.0] * 8 + [5400.0] * 8 + [4300.0] * 4 + [5400.0] * 4
    assert _day(Fleet(), demands, 4)[8:] == [6] * 16


def test_in_a_surge_that_wanes_fewer_are_needed_once_another_could_have_started():
    """What was too many for five minutes is given up, though the surge lasts."""
    found = _day(Fleet(), [3000.0] * 8 + [8000.0] * 8 + [5400.0] * 22, 6)
    assert found[8:35] == [8] * 27
    assert found[-1] == 6


def test_a_replica_that_tells_nothing_yet_leaves_what_is_usual():
    """Two of four silent for ten minutes halve the known demand, and not what is usual."""
    fleet = Fleet()
    _day(fleet, [3000.0] * 8, 4)
    silent = [*_loads(1500.0, 2), Load(), Load()]
    for turn in range(8, 48):
        fleet.observe(NOW + 15.0 * turn, silent, SURGES, foreseen=None)
    need = fleet.observe(NOW + 15.0 * 48, _loads(3000.0, 4), SURGES, foreseen=None)
    assert need is not None
    assert need.reason.startswith("3000 tokens a minute are usual")
    assert need.replicas == 4


def test_without_a_target_for_surges_there_are_none():
    """By default 80 % are used whatever the demand was before: 5,400 need 7, at once."""
    fleet = Fleet()
    assert [_needed(fleet, 15.0 * turn, _loads(3000.0, 4))[0] for turn in range(8)] == [4] * 8
    assert _needed(fleet, 120.0, _loads(5400.0, 4))[0] == 7


def test_no_replica_is_no_answer():
    """Whether a model that nobody serves is wanted cannot be known."""
    assert Fleet().observe(NOW, [], TERMS, foreseen=5.0) is None


@given(
    st.lists(st.floats(0.0, 30_000.0), min_size=1, max_size=40),
    st.integers(1, 10),
    st.floats(100.0, 5000.0),
)
def test_a_surge_is_carried_at_once(demands: list[float], replicas: int, carries: float):
    """There are enough for what is asked at the higher target, and no more than at the other."""
    fleet = Fleet()
    for turn, demand in enumerate(demands):
        loads = _loads(demand, replicas, carries=carries)
        need = fleet.observe(NOW + 15.0 * turn, loads, SURGES, foreseen=None)
        assert need is not None
        enough = math.ceil(demand / carries - 1e-9)
        most = math.ceil(max(demands[: turn + 1]) / (SURGES.target * carries) + 1e-9)
        assert min(enough, SURGES.most) <= need.replicas <= max(most, replicas, SURGES.least)


@given(
    st.lists(st.floats(0.0, 30_000.0), min_size=1, max_size=40),
    st.integers(1, 10),
    st.floats(100.0, 5000.0),
)
def test_it_stays_within_its_bounds_and_carries_what_is_asked(
    demands: list[float], replicas: int, carries: float
):
    """There are always enough for what is asked now, and never more than allowed."""
    fleet = Fleet()
    for turn, demand in enumerate(demands):
        count, _why = _needed(fleet, 15.0 * turn, _loads(demand, replicas, carries=carries))
        enough = math.ceil(demand / (TERMS.target * carries) - 1e-9)
        assert TERMS.least <= count <= TERMS.most
        assert count >= min(enough, TERMS.most)
