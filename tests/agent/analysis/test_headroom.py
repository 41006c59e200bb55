"""What is left: the lower bound less the demand; a sum is known where all of its parts are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.asked import Demand
from agent.analysis.capacity.estimate import Capacity
from agent.analysis.headroom import Headroom, Part, headroom_of, summed
from agent.catalog.capacity import Source
from tests.agent.analysis.capacities import known

ASKED = Demand(
    requests_per_minute=30.0, prompt_tokens_per_minute=5000.0, generation_tokens_per_minute=1000.0
)


def test_the_lower_bound_counts():
    """Of a capacity of at least 8,000 and a demand of 6,000, 2,000 are left: a quarter."""
    found = headroom_of(Capacity(known=known(10_000.0, low=8_000.0)), 99.0, ASKED)
    assert found is not None
    assert found.source is Source.LEARNED
    assert found.tokens_per_minute == pytest.approx(2000.0)
    assert found.ratio == pytest.approx(0.25)
    assert found.requests_per_minute == pytest.approx(80.0 - 30.0)


def test_a_declared_capacity_counts_until_one_is_learned():
    """Without a learned capacity the declared one is used, and said to be that."""
    found = headroom_of(Capacity(), 7_500.0, ASKED)
    assert found == Headroom(source=Source.DECLARED, carries=7_500.0, demand=6_000.0)


@pytest.mark.parametrize(
    ("declared", "demand"), [(None, ASKED), (7_500.0, Demand(requests_per_minute=30.0))]
)
def test_unknown_stays_unknown(declared: float | None, demand: Demand):
    """Without a capacity, or without a demand, there is no headroom."""
    assert headroom_of(Capacity(), declared, demand) is None


def test_nothing_to_carry_has_no_share():
    """A lower bound of 0 leaves no share, but an amount."""
    found = Headroom(source=Source.LEARNED, carries=0.0, demand=5.0)
    assert (found.tokens_per_minute, found.ratio) == (-5.0, None)


_LOADS = st.floats(0.0, 1e6)
_PARTS = st.builds(
    lambda carries, demand: Headroom(source=Source.LEARNED, carries=carries, demand=demand),
    _LOADS,
    _LOADS,
)


@given(st.lists(st.tuples(st.sampled_from("ab"), _PARTS), min_size=1))
def test_sums_add_up(parts: list[tuple[str, Headroom]]):
    """The sum over all keys is the sum of all parts."""
    found = summed((key, Part(one)) for key, one in parts)
    left = sum(total.tokens_per_minute for total in found.values())
    assert left == pytest.approx(sum(one.tokens_per_minute for _key, one in parts), abs=1e-3)


def test_a_sum_with_an_unknown_part_is_unknown():
    """What is not known of one is not known of them together; others are not concerned."""
    one = Headroom(source=Source.DECLARED, carries=10.0, demand=4.0)
    found = summed([("a", Part(one)), ("a", Part(None)), ("b", Part(one, 0.5))])
    assert found == {"b": Headroom(source=Source.DECLARED, carries=5.0, demand=2.0)}
