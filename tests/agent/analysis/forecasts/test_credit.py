"""How far a probability is believed after what earlier ones claimed."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.forecasts.credit import Credit

WITHIN = 300.0
EVERY = 5.0
TINY = 1e-300


def standing(credit: Credit, chance: float, *, begin: float, seconds: float) -> Iterator[float]:
    """Yield what is left of a probability that is calculated again and again."""
    for step in range(round(seconds / EVERY)):
        yield credit.weigh(begin + step * EVERY, chance)


def test_what_is_not_overdue_yet_takes_nothing_away():
    """The load that fills the cache for the first time is warned of in full, up to its end."""
    credit = Credit(within=WITHIN)
    assert set(standing(credit, 0.9, begin=0.0, seconds=WITHIN)) == {0.9}


def test_claims_that_do_not_come_true_count_against_the_next():
    """After a claim in vain of 0.45 the odds are a quarter, 0.15 being the prior: 3:2 are 3:8."""
    credit = Credit(within=WITHIN)
    list(standing(credit, 0.45, begin=0.0, seconds=WITHIN))
    credit.weigh(WITHIN, 0.0)
    left = credit.weigh(WITHIN + WITHIN, 0.6)
    assert left == pytest.approx(3.0 / 11.0, rel=0.05)


def test_certainty_stays():
    """What nine claims in vain have made of 0.7 is little; a full cache on every path is one."""
    credit = Credit(within=WITHIN)
    list(standing(credit, 0.9, begin=0.0, seconds=3300.0))
    assert credit.weigh(3300.0, 0.7) < 0.1
    assert credit.weigh(3305.0, 1.0) == 1.0


def test_low_probabilities_cost_little():
    """Ten minutes at one in fifty leave nine parts in ten of what is said then."""
    credit = Credit(within=WITHIN)
    list(standing(credit, 0.02, begin=0.0, seconds=600.0))
    assert credit.weigh(600.0, 0.5) > 0.45


def test_exhaustion_settles_the_account():
    """The claims before it were right, and so may be the next."""
    credit = Credit(within=WITHIN)
    list(standing(credit, 0.9, begin=0.0, seconds=1200.0))
    assert credit.weigh(1200.0, 0.7) < 0.2
    credit.come(1205.0)
    assert credit.weigh(1210.0, 0.7) == 0.7


def test_claims_are_forgotten_within_hours():
    """A morning's false alarms do not silence the evening."""
    credit = Credit(within=WITHIN)
    list(standing(credit, 0.9, begin=0.0, seconds=600.0))
    soon, late = (
        list(standing(credit, 0.0, begin=begin, seconds=18_000.0)) and credit.weigh(end, 0.9)
        for begin, end in ((600.0, 18_600.0), (18_605.0, 36_605.0))
    )
    assert soon < late
    assert late > 0.7


def test_claims_are_forgotten_while_nothing_is_foreseen():
    """An engine without requests for a night is believed in the morning."""
    credit = Credit(within=WITHIN)
    list(standing(credit, 0.9, begin=0.0, seconds=600.0))
    assert credit.weigh(600.0, 0.9) < 0.7
    assert credit.weigh(600.0 + 12 * 3600.0, 0.9) > 0.85


def test_gap_claims_no_more_than_a_minute():
    """What was said before the engine went out of sight is no claim about all that time."""
    credit = Credit(within=WITHIN)
    credit.weigh(0.0, 1.0)
    credit.weigh(7200.0, 0.0)
    assert credit.weigh(8000.0, 0.9) > 0.7


def test_clock_that_is_set_back_leaves_nothing_behind():
    """Claims that were due in what is now the far future are dropped, not kept for good."""
    credit = Credit(within=WITHIN)
    list(standing(credit, 0.5, begin=1e9, seconds=200.0))
    assert set(standing(credit, 0.5, begin=1.0, seconds=WITHIN)) == {0.5}
    assert credit.pending <= WITHIN / EVERY + 1


@given(st.lists(st.tuples(st.floats(-100.0, 1e4), st.floats(0.0, 1.0)), max_size=80))
def test_never_more_than_was_said(steps: list[tuple[float, float]]):
    """Whatever the clock does: credit takes from a probability, adds nothing, and leaves some."""
    credit = Credit(within=WITHIN)
    time = 0.0
    for step, chance in steps:
        time += step
        left = credit.weigh(time, chance)
        assert 0.0 <= left <= chance
        assert left > 0.0 or chance < TINY
