"""The highest load within targets, and what keeps it from being higher."""

from collections.abc import Iterator
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.analysis.bottleneck import Targets
from agent.analysis.capacity.bound import (
    RUNGS,
    System,
    binding,
    binding_in_steps,
    highest,
    highest_in_steps,
)
from agent.analysis.capacity.estimate import Binding
from agent.analysis.capacity.law import Law
from agent.analysis.capacity.queueing import OVERLOADED, Latencies, latencies
from agent.analysis.capacity.steady import Shape
from agent.steps import Steps, at_once

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


@pytest.fixture
def reckoned(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list of the loads of which latencies are reckoned."""
    found: list[float] = []

    def told(*given: object, **named: object) -> Latencies:
        found.append(float(given[3]))  # type: ignore[arg-type]
        return latencies(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("agent.analysis.capacity.bound.latencies", told)
    return found


def _each(steps: Steps[object], reckoned: list[float]) -> Iterator[int]:
    """Yield how many loads each step reckons."""
    while True:
        before = len(reckoned)
        ended = next(steps, inf) == inf
        yield len(reckoned) - before
        if ended:
            return


@pytest.mark.parametrize("inter", [0.025, 0.04, 0.2])
def test_no_step_reckons_more_than_one_load(inter: float, reckoned: list[float]):
    """Others have a turn after each load that is tried, in both searches."""
    here = system(inter=inter)
    tried = [*_each(highest_in_steps(here), reckoned)]
    assert max(tried) == 1
    assert sum(tried) == len(reckoned) > 2
    reckoned.clear()
    assert max(_each(binding_in_steps(here, 0.5 * here.stability), reckoned)) == 1


def test_what_is_borne_comes_with_its_latencies(reckoned: list[float]):
    """They are those of that load, to the last bit, and nothing is reckoned for them anew."""
    here = system(inter=0.04)
    rate, found = at_once(highest_in_steps(here))
    tried = len(reckoned)
    assert found == here.latencies(rate)
    assert len(set(reckoned)) == tried


def _as_defined(here: System, rate: float) -> Binding:
    """Return what binds, each relaxation reckoned by itself."""
    left, late = here.relaxed(), dict.fromkeys(Binding, 0.0)
    for rung in RUNGS:
        late = {
            name: one.lateness(
                one.latencies(rung * rate) if rung * rate < one.stability else OVERLOADED
            )
            for name, one in left.items()
        }
        met = {name: one for name, one in left.items() if late[name] <= 0.0}
        if not met:
            return Binding.STABILITY if rung == RUNGS[0] else min(late, key=late.__getitem__)
        left = met
        if len(left) == 1:
            break
    return min(left, key=late.__getitem__)


@settings(max_examples=25, deadline=None)
@given(
    st.floats(4.0, 300.0),
    st.floats(4.0, 300.0),
    st.floats(128.0, 4096.0),
    st.floats(0.3, 4.0),
    st.floats(0.022, 0.2),
)
def test_what_binds_is_the_same_with_nothing_reckoned_twice(
    seats: float, memory: float, budget: float, first: float, inter: float
):
    """Two relaxations that change no step share their latencies; what is said is as defined."""
    here = system(seats=seats, memory=memory, budget=budget, first=first, inter=inter)
    rate = highest(here) or 0.02 * here.stability
    assert binding(here, rate) is _as_defined(here, rate)


def test_relaxations_that_change_no_step_are_reckoned_once(reckoned: list[float]):
    """Neither target changes a step, nor does a cache with room for all that have a seat."""
    here = system(seats=16.0, memory=1000.0)
    binding(here, 0.5 * here.stability)
    first = [rate for rate in reckoned if rate == RUNGS[0] * 0.5 * here.stability]
    assert len(first) == 3
