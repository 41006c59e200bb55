"""Money: prices of GPUs shared fairly, and nothing said where a price or a rate is missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis import cost
from agent.analysis.capacity.estimate import Capacity
from agent.analysis.cost import Cost, cost_of, hourly
from agent.analysis.placement import GpuKey
from agent.analysis.replica_capacity import CapacityResult
from agent.analysis.replicas import Replica
from agent.analysis.terms import Prices
from agent.catalog import cost as catalog
from tests.agent.analysis.capacities import known

A, B, C = (Replica("vllm", name, "m", "0") for name in "abc")
PRICES = Prices(gpus={"H200": 4.0, "H200 NVL": 3.0}, gpu_hour=1.0)


def _gpu(number: int, mig: str = "") -> GpuKey:
    """Return a GPU, or an instance of it."""
    return GpuKey(str(number), f"GPU-{number}", mig)


@pytest.mark.parametrize(
    ("name", "price"),
    [("NVIDIA H200", 4.0), ("NVIDIA H200 NVL", 3.0), ("nvidia h200", 4.0), ("NVIDIA A10", 1.0)],
)
def test_the_longest_part_of_the_name_counts(name: str, price: float):
    """A price by name counts before that of any GPU, and the closest name before others."""
    assert PRICES.of_gpu(name) == price


@given(st.lists(st.lists(st.integers(0, 3), max_size=4, unique=True), min_size=1, max_size=6))
def test_every_used_gpu_is_paid_once(placed: list[list[int]]):
    """However replicas share GPUs, together they pay for each GPU that is used, and no more."""
    where = {
        Replica("vllm", str(number), "m", "0"): [_gpu(one) for one in gpus]
        for number, gpus in enumerate(placed)
    }
    found = hourly(where, dict.fromkeys("0123", "NVIDIA H200"), PRICES)
    used = {one for gpus in placed for one in gpus}
    assert sum(found.values()) == pytest.approx(4.0 * len(used))


def test_instances_of_one_gpu_share_its_price():
    """MIG instances are parts of a GPU: two replicas on two of them pay half each."""
    found = hourly({A: [_gpu(0, "MIG-1")], B: [_gpu(0, "MIG-2")]}, {"0": "H200"}, PRICES)
    assert found == {A: 2.0, B: 2.0}


def test_what_has_no_price_or_no_place_costs_nobody_knows_what():
    """A GPU without a price leaves its replica without a cost; so does an unknown place."""
    prices = Prices(gpus={"H200": 4.0})
    names = {"0": "H200", "1": "A10"}
    found = hourly({A: [_gpu(0)], B: [_gpu(0), _gpu(1)], C: []}, names, prices)
    assert found == {A: 2.0}


def test_tokens_and_money():
    """At 4 an hour and 60,000 tokens an hour a million costs 66.7, and 1 buys 15,000."""
    result = CapacityResult(
        time=0.0, capacity=Capacity(known=known(10_000.0)), throughput=(800.0, 200.0)
    )
    dear = Prices(million_input_tokens=1.0, million_output_tokens=10.0)
    found = cost_of(4.0, result, dear)
    assert found.per_million(found.tokens_now) == pytest.approx(4e6 / 60_000)
    assert found.per_unit(found.tokens_now) == pytest.approx(15_000.0)
    assert found.per_million(found.tokens_at_capacity) == pytest.approx(4e6 / 600_000)
    assert found.value_per_hour == pytest.approx(60 * (800 * 1.0 + 200 * 10.0) / 1e6)


def test_no_tokens_have_no_price():
    """An idle replica costs something an hour, and no amount a million tokens."""
    found = cost_of(4.0, CapacityResult(time=0.0, throughput=(0.0, 0.0)), Prices())
    said = [metric for metric, _labels, _value in cost.samples(found, "EUR")]
    assert said == [catalog.COST, catalog.TOKENS_PER_UNIT]
    assert cost.as_json(found, "EUR")["cost_per_million_tokens_now"] is None
    assert [*cost.samples(Cost(), "EUR")] == []
