"""The law of a step beyond what was seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.analysis.capacity.law import Law, law_of
from agent.analysis.step_model import StepTimeModel

PROMPTS = np.geomspace(50.0, 2000.0, 64)


def model(
    coefficients: tuple[float, float, float, float, float],
    *,
    batch: tuple[float, float] = (1.0, 16.0),
) -> StepTimeModel:
    """Return a law that was learned."""
    zeros = tuple((0.0,) * 5 for _ in range(5))
    return StepTimeModel(
        time=0.0,
        coefficients=coefficients,
        replicates=(coefficients,) * 8,
        alternative=coefficients,
        doubt=0.0,
        inverse=zeros,
        residual=0.02,
        explained=0.9,
        stretches=40,
        batch=batch,
        load=(20.0, 6.0, 4000.0),
        spread=2.0,
    )


def law(learned: StepTimeModel) -> Law:
    """Return it for some mix."""
    return law_of(learned, PROMPTS, held=500.0, shared=0.0, budget=8192.0)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(1e-3, 0.1),
    st.floats(1e-6, 1e-3),
    st.floats(0.0, 1e-3),
    st.floats(0.0, 1e-6),
    st.floats(0.0, 1e-5),
)
def test_within_what_was_seen_the_learned_law_holds(
    base: float, prompt: float, sequence: float, kv: float, bend: float
):
    """Up to the largest batch seen a step without prompts takes what was learned, and no less."""
    found = law(model((base, prompt, sequence, kv, bend)))
    batches = np.linspace(1.0, 16.0, 7)
    learned = base + (sequence + kv * 500.0 + bend * batches) * batches
    assert found.without_prompts(batches) == pytest.approx(learned)
    assert found.doubt_at(16.0) == pytest.approx(0.0, abs=1e-9)
    further = found.without_prompts(np.geomspace(16.0, 2000.0, 20))
    assert (np.diff(further) >= -1e-12).all()


def test_arithmetic_that_prompts_cost_bounds_large_batches():
    """Where decoding was free so far, a batch far larger takes at least half its arithmetic."""
    found = law(model((0.02, 2e-4, 0.0, 0.0, 0.0)))
    assert float(found.without_prompts(np.array(1000.0))) > 0.5 * 1000.0 * 2e-4
    assert found.doubt_at(1000.0) > 0.3


def test_a_learned_bend_is_no_parabola():
    """A knee that was fitted with a square goes on in a straight line."""
    found = law(model((0.02, 2e-4, 0.0, 0.0, 1e-5)))
    far, further = (float(found.without_prompts(np.array(n))) for n in (500.0, 1000.0))
    assert further < 2.2 * far


def test_arithmetic_grows_with_the_batch_beyond_what_was_seen():
    """Where arithmetic binds, twice the batch takes more than twice as long, which is in doubt."""
    found = law(model((0.02, 2e-4, 2e-4, 0.0, 0.0), batch=(1.0, 64.0)))
    some, twice = (float(found.without_prompts(np.array(n))) for n in (100.0, 200.0))
    assert twice - some > 1.1 * 2e-4 * 100.0
    flat = 0.35 * (twice - some - 2e-4 * 100.0) / twice
    assert found.doubt_at(200.0) > flat


def test_prompts_cost_what_was_seen():
    """A prompt of the mix adds as much to a step as the learned law says, to a tenth."""
    found = law(model((0.02, 2e-4, 0.0, 0.0, 0.0)))
    added = found.prompts(PROMPTS, np.full(len(PROMPTS), 8.0)).mean()
    assert added == pytest.approx(2e-4 * PROMPTS.mean(), rel=0.1)


def test_the_second_prompt_of_a_step_costs_no_less_than_the_first():
    """What is read is read once: two prompts together add at least twice what one adds."""
    found = law(model((0.02, 2e-4, 0.0, 0.0, 0.0)))
    here = np.array(8.0)
    one, two = (float(found.prompts(np.array(n), here)) for n in (200.0, 400.0))
    assert two >= 2.0 * one


def test_without_prompts_to_learn_from_nothing_beyond_is_sure():
    """Where no cost of a prompt token is known, twice the largest batch is in doubt by itself."""
    found = law(model((0.02, 0.0, 1e-4, 0.0, 0.0)))
    assert found.doubt_at(32.0) == pytest.approx(1.0, rel=0.1)
    assert found.doubt_at(16.0) == pytest.approx(0.0, abs=1e-9)
