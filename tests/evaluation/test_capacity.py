"""The evaluation of capacity: the same seed is the same workload, and errors are what they say."""

import math
from dataclasses import replace

import pytest

from agent.analysis.capacity.estimate import (
    Binding,
    Capacity,
    Interval,
    Known,
    Mix,
    Rates,
)
from evaluation.capacity import Estimated, Truth, exact_rate
from evaluation.capacity_cases import KINDS, SHAPES, Drift, case, drifting
from tests.simulator.disturb import Around

TRUTH = Truth(
    rate=1.0, tokens=1000.0, saturated=1.5, saturated_tokens=1500.0, binding=("kv_memory",)
)


def said(tokens: Interval) -> Capacity:
    """Return a capacity."""
    rates = Rates(
        tokens_per_minute=tokens,
        prompt_tokens_per_minute=tokens,
        generation_tokens_per_minute=tokens,
        requests_per_minute=None,
    )
    mix = Mix(
        prompt=1.0,
        output=1.0,
        prompt_share=0.5,
        cached_share=0.0,
        held=None,
        requests=None,
        since=0.0,
    )
    return Capacity(
        known=Known(
            under_targets=rates,
            stability=rates,
            binding=Binding.KV_MEMORY,
            batch=1.0,
            batch_seen=(1.0, 2.0),
            tokens_seen=(1.0, 2.0),
            evidence_age=0.0,
            evidence=8,
            mix=mix,
            concurrent=None,
        )
    )


def test_errors_are_against_the_truth():
    """A tenth too much is an error of a tenth, and the interval holds the truth or not."""
    one = Estimated(name="x", level=0.6, truth=TRUTH, said=said(Interval(1100.0, 990.0, 1200.0)))
    assert one.error == pytest.approx(0.1)
    assert one.covered
    assert not replace(one, said=said(Interval(1100.0, 1050.0, 1200.0))).covered


def test_what_was_not_said_has_no_error():
    """Not identifiable is neither right nor wrong."""
    one = Estimated(name="x", level=0.6, truth=TRUTH, said=Capacity())
    assert one.error != one.error
    assert not one.covered


@pytest.mark.parametrize("seed", range(9000, 9006))
def test_a_seed_is_one_workload(seed: int):
    """The same seed gives the same engine, with a kind and a shape of those that there are."""
    one, other = case(seed), case(seed)
    assert one == other
    assert one.name.rpartition("-")[0] in KINDS
    assert one.shape in SHAPES
    rate = one.load(10.0, begin=100.0, length=300.0)
    assert all(1.9 <= rate(100.0 + second) <= 10.1 for second in range(0, 300, 10))


@pytest.mark.parametrize("seed", range(9000, 9012))
def test_a_full_batch_serves_hardly_less_than_half_of_one(seed: int):
    """Steps bend, and nobody lets a batch grow far beyond what serves most."""
    trial = case(seed).trial
    law, most = trial.law, trial.limits.max_num_seqs
    assert law.bend > 0.0
    assert law.seconds(0, most, 0.0) < 2.3 * law.seconds(0, most // 2, 0.0)


def test_the_truth_does_not_depend_on_the_guess():
    """From below and from above the search ends at the same rate, and targets hold up to it."""
    trial = replace(case(9003, requests=800).trial, seconds=0.0, disturbances=())
    rate, tokens = exact_rate(trial, guess=0.8, most=100.0)
    other, _tokens = exact_rate(trial, guess=1.4 * rate, most=100.0)
    assert other == pytest.approx(rate, rel=0.02)
    assert tokens > 0.0
    assert trial.late(trial.at(0.9 * rate)) < 1.0


def test_a_machine_that_drifts_is_the_same_each_time_and_as_fast_on_average():
    """Chance is the seed's; the logarithm of how long steps take is nil in the mean."""
    one, again = (drifting(9001).trial.disturbances for _ in range(2))
    assert one == again
    assert drifting(9001).trial.law == case(9001).trial.law
    slow = []
    for second in range(40_000):
        around = Around()
        Drift(size=0.2, every=40.0, seed=7).apply(around, float(second))
        slow.append(math.log(around.conditions.slow))
    assert sum(slow) / len(slow) == pytest.approx(0.0, abs=0.02)
    # A straight line between two draws varies by two thirds of their variance.
    spread = math.sqrt(sum(one * one for one in slow) / len(slow))
    assert spread == pytest.approx(0.2 * math.sqrt(2.0 / 3.0), rel=0.1)
