"""The highest load within targets, and what keeps it from being higher."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.analysis.bottleneck import Targets
from agent.analysis.capacity.bound import System, binding, highest
from agent.analysis.capacity.estimate import Binding
from agent.analysis.capacity.law import Law
from agent.analysis.capacity.steady import Shape

POINTS = np.exp(0.4 * np.linspace(-2.0, 2.0, 64))


def system(
    *,
    seats: float = 256.0,
    memory: float = 256.0,
    budget: float = 8192.0,
    first: float = 1.0,
    inter: float = 0.066,
    sequence: float = 1e-4,
    prompt: float = 300.0,
) -> System:
    """Return a replica."""
    return System(
        law=Law.linear(0.02, 1e-4, sequence, 0.0),
        shape=Shape.of(prompt * POINTS, 150.0 * POINTS),
        seats=seats,
        memory=memory,
        budget=budget,
        targets=Targets(time_to_first_token=first, inter_token_latency=inter),
    )


@settings(max_examples=15, deadline=None)
@given(st.floats(4.0, 200.0), st.floats(256.0, 4096.0), st.floats(0.5, 4.0), st.floats(0.03, 0.2))
def test_capacity_rises_with_each_limit_and_target(
    seats: float, budget: float, first: float, inter: float
):
    """Whatever is relaxed, a replica bears no less, and never more than it stays stable at."""
    here = system(seats=seats, budget=budget, first=first, inter=inter)
    rate = highest(here)
    assert rate <= here.stability
    for one in here.relaxed().values():
        assert highest(one) >= rate * 0.97


@settings(max_examples=15, deadline=None)
@given(st.floats(0.3, 3.0))
def test_a_guess_changes_nothing(share: float):
    """From whatever guess it begins, the search ends at the same load."""
    here = system(inter=0.04)
    rate = highest(here)
    assert highest(here, guess=share * rate) == pytest.approx(rate, rel=0.03)


def test_targets_that_no_load_keeps():
    """Where even an idle replica is too slow, it bears nothing."""
    assert highest(system(inter=0.01)) == 0.0


@pytest.mark.parametrize(
    ("here", "binds"),
    [
        (system(sequence=1e-3, inter=0.05, first=5.0), Binding.INTER_TOKEN),
        (system(seats=8.0, first=2.0), Binding.SEQUENCE_LIMIT),
        (system(memory=8.0, first=2.0), Binding.KV_MEMORY),
        (system(budget=128.0, first=3.0, inter=0.2, prompt=1000.0), Binding.TOKEN_BUDGET),
        (system(prompt=3000.0, first=0.8, inter=5.0), Binding.TIME_TO_FIRST_TOKEN),
    ],
)
def test_what_is_short_binds(here: System, binds: Binding):
    """Where one thing is short and all others are plentiful, that one is named."""
    assert binding(here, highest(here)) is binds
