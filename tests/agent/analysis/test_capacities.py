"""Sums over models, GPUs and the host: fair, and absent where a part is not known."""

from collections.abc import Mapping, Sequence

import pytest

from agent.analysis.asked import Demand
from agent.analysis.capacities import Capacities
from agent.analysis.headroom import Headroom
from agent.analysis.placement import GpuKey
from agent.analysis.replica_capacity import CapacityResult
from agent.analysis.replicas import Replica
from agent.analysis.terms import Prices, Terms
from agent.catalog.capacity import Source
from tests.agent.analysis.hosts import Host

A = Replica("vllm", "a", "big", "0")
B = Replica("vllm", "b", "big", "0")
C = Replica("vllm", "c", "small", "0")
FIRST, SECOND = GpuKey("0", "GPU-a", ""), GpuKey("1", "GPU-b", "")
PLACED: Mapping[Replica, Sequence[GpuKey]] = {A: [FIRST, SECOND], B: [SECOND], C: [SECOND]}


def _left(carries: float, demand: float) -> CapacityResult:
    """Return a replica of which that much is known."""
    headroom = Headroom(source=Source.LEARNED, carries=carries, demand=demand)
    return CapacityResult(time=0.0, headroom=headroom, demand=_asked(demand))


def _asked(tokens: float) -> Demand:
    """Return a demand of so many tokens a minute."""
    return Demand(prompt_tokens_per_minute=tokens, generation_tokens_per_minute=0.0)


RESULTS = {A: _left(1000.0, 400.0), B: _left(500.0, 100.0), C: _left(300.0, 300.0)}


def _said(
    results: Mapping[Replica, CapacityResult],
    placed: Mapping[Replica, Sequence[GpuKey]] = PLACED,
    terms: Terms | None = None,
) -> dict[tuple[str, ...], float]:
    """Return what is said, by name and labels."""
    capacities, frame = Capacities(), Host().frame()
    capacities.terms = terms or Terms()
    capacities.facts.observe(frame)
    assert capacities.due(frame)
    return {
        (metric.name.removeprefix("inferwatch_"), *labels): value
        for metric, labels, value in capacities.observe(frame, placed, results)
    }


def test_headroom_adds_up_by_model_gpu_and_host():
    """A replica on two GPUs counts half in each, so that GPUs together are the host."""
    said = _said(RESULTS)
    assert said["model_headroom_tokens_per_minute", "big"] == 1000.0
    assert said["model_headroom_ratio", "big"] == pytest.approx(2 / 3, rel=1e-5)
    assert said["gpu_headroom_tokens_per_minute", *FIRST] == 300.0
    assert said["gpu_headroom_tokens_per_minute", *SECOND] == 700.0
    assert said["gpu_demand_tokens_per_minute", *SECOND] == 600.0
    assert said["host_headroom_tokens_per_minute",] == 1000.0
    assert said["host_demand_tokens_per_minute",] == 800.0


def test_a_sum_is_absent_where_a_part_is_not_known():
    """One replica without a headroom leaves its model, its GPUs and the host without one."""
    said = _said({**RESULTS, C: CapacityResult(time=0.0)})
    assert ("model_headroom_tokens_per_minute", "big") in said
    assert not [key for key in said if "small" in key or key[0].startswith("host_headroom")]
    assert ("gpu_headroom_tokens_per_minute", *FIRST) in said
    assert ("gpu_headroom_tokens_per_minute", *SECOND) not in said


def test_what_is_asked_is_known_before_what_is_carried():
    """Demand adds up while a capacity is still learned; what is left of it is not known."""
    results = {**RESULTS, B: CapacityResult(time=0.0, demand=_asked(100.0))}
    said = _said(results)
    assert said["model_demand_tokens_per_minute", "big"] == 500.0
    assert said["gpu_demand_tokens_per_minute", *SECOND] == 600.0
    assert said["host_demand_tokens_per_minute",] == 800.0
    assert ("model_headroom_tokens_per_minute", "big") not in said
    assert ("host_headroom_tokens_per_minute",) not in said
    capacities, frame = Capacities(), Host().frame()
    capacities.observe(frame, PLACED, results)
    told = capacities.as_json()
    assert told["host"]["demand_tokens_per_minute"] == 800.0
    assert told["host"]["headroom_tokens_per_minute"] is None
    assert {one["model_name"] for one in told["models"]} == {"big", "small"}


def test_a_replica_that_may_be_anywhere_leaves_gpus_unknown():
    """While nobody knows where a replica runs it may be on any GPU."""
    said = _said(RESULTS, {**PLACED, C: []})
    assert not [key for key in said if key[0].startswith("gpu_")]
    assert ("host_headroom_tokens_per_minute",) in said


def test_the_host_costs_what_its_gpus_cost():
    """All GPUs that are shown count, used or not; without a price nothing is said of money."""
    terms = Terms(prices=Prices(gpu_hour=2.5, currency="EUR", monthly_budget=100.0))
    said = _said(RESULTS, terms=terms)
    assert said["spend_per_hour", "EUR"] == 2.5
    assert said["spend_month_budget", "EUR"] == 100.0
    assert not [key for key in _said(RESULTS) if key[0].startswith("spend")]


def test_sums_are_made_every_five_seconds():
    """Between two sums what was said stands."""
    capacities, made = Capacities(), []
    for frame in Host().frames(12):
        made.append(capacities.due(frame))
        if made[-1]:
            capacities.observe(frame, PLACED, RESULTS)
    assert made == ([True] + [False] * 4) * 2 + [True, False]
    assert capacities.said
    assert capacities.as_json()["host"]["headroom_tokens_per_minute"] == 1000.0


def test_nothing_runs():
    """A host without replicas has no sums."""
    assert not _said({}, {})
