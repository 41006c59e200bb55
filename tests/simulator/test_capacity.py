"""What an engine truly bears, and what keeps it from bearing more."""

import math

import pytest

from tests.simulator.capacity import Trial, exact_quantile
from tests.simulator.law import StepLaw
from tests.simulator.limits import Limits
from tests.simulator.truth import Targets
from tests.simulator.workload import Lengths, Mix

LAW = StepLaw(host=0.001, weights=0.02, kv=1e-9, token=1e-6, jitter=0.0)
MIX = Mix(prompt=Lengths(median=100), output=Lengths(median=50))


def trial(
    law: StepLaw = LAW, *, inter: float = 0.1, max_num_seqs: int = 256, num_blocks: int = 4096
) -> Trial:
    """Return an engine; what is not limited is plentiful."""
    return Trial(
        law=law,
        mix=MIX,
        limits=Limits(max_model_len=512, max_num_seqs=max_num_seqs, num_blocks=num_blocks),
        targets=Targets(first_token=1.0, inter_token=inter),
        criterion="request",
        requests=500,
    )


@pytest.mark.parametrize(
    ("one", "binds"),
    [
        (trial(max_num_seqs=4), "sequence_limit"),
        (trial(num_blocks=41), "kv_memory"),
        (
            trial(StepLaw(host=0.0, weights=0.02, kv=0.0, token=1e-3, jitter=0.0), inter=0.04),
            "inter_token",
        ),
    ],
)
def test_what_is_short_binds(one: Trial, binds: str):
    """Where one thing is short and all others are plentiful, relaxing it gains most."""
    full = one.saturated()
    rate, met = one.rate(full.rate, precision=0.03)
    assert 0.0 < rate <= full.rate
    assert met is not None
    assert one.late(met) <= 1.0
    assert one.binding(rate, full.rate) == (binds,)


def test_the_mean_of_a_request_hides_single_gaps():
    """Where few gaps are long, requests have better means than the worst gaps."""
    law = StepLaw(host=0.0, weights=0.02, kv=0.0, token=1e-3, jitter=0.0)
    mean, single = (
        Trial(
            law=law,
            mix=MIX,
            limits=Limits(max_model_len=512),
            targets=Targets(),
            criterion=criterion,
            requests=300,
        ).at(4.0)
        for criterion in ("request", "gap")
    )
    assert mean.inter_token < single.inter_token
    assert mean.tokens == single.tokens


def test_quantiles_are_values_that_were_seen():
    """The 95th percentile of 1 to 20 is 19; of nothing there is none."""
    assert exact_quantile([float(n) for n in range(1, 21)], 0.95) == 19.0
    assert math.isnan(exact_quantile([], 0.95))
