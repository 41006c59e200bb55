"""Scenarios are what their names say, laws bend, and capacities are what arithmetic says."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.catalog import verdict
from tests.simulator.capacity import capacity, saturation, under
from tests.simulator.causes import long_prompts_arrive
from tests.simulator.check import outcome
from tests.simulator.engine import Engine
from tests.simulator.law import Conditions, StepLaw, random_law
from tests.simulator.limits import Limits
from tests.simulator.scenarios import SCENARIOS, held_out
from tests.simulator.truth import Cause, Judge, Targets
from tests.simulator.workload import ClosedLoop, Evenly, Lengths, Mix, OpenLoop, steady

EXAMPLES = (
    *("idle-0", "healthy-8", "sequence_limit-0", "kv_memory-2", "decode_bandwidth-2"),
    *("prefill_compute-1", "token_budget-1", "host_cpu-1", "power_thermal-8", "co_tenant-1"),
    *("stalled-3", "cpu_starved-2"),
    *("kv_fast_ramp-0", "kv_jump-0", "kv_longer_answers-1", "device_leak-0"),
    *("full_without_waiting-0", "kv_sawtooth-0", "kv_burst-0", "harmless_clocks-0"),
    *("kv_small_ramp-2", "kv_limited_queue-0", "kv_starved-0", "kv_small_day-0"),
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_scenario_is_about_what_it_says(name: str):
    """Its cause is scored and others are not; what should run out does, and nothing else.

    `python -m tests.simulator.check` asks it of all of them.
    """
    found = outcome(SCENARIOS[name])
    assert found.good, found


def test_causes_have_the_names_of_verdicts():
    """What is true and what the agent says are compared by name; only the agent may not know."""
    assert {str(cause) for cause in Cause} == {str(one) for one in verdict.Cause} - {"unknown"}


def test_there_are_some_of_each_cause():
    """Every cause that a verdict can name has three scenarios at least, with different laws."""
    for cause in Cause:
        names = [name for name, one in SCENARIOS.items() if one.cause is cause]
        assert len(names) >= 3
    laws = {
        SCENARIOS[f"healthy-{seed}"].simulate().members[0].engines[0].law.weights
        for seed in (0, 1, 2)
    }
    assert len(laws) == 3


def test_more_is_held_out_of_what_is_rare():
    """Each ramp gives one exhaustion: of those there are four times as many as of the others."""
    many = Counter(name.rpartition("-")[0] for name in held_out())
    assert many["kv_slow_ramp"] == 16
    assert {many[name] for name in ("kv_jump", "kv_fast_ramp", "device_leak")} == {8}
    assert {many[name] for name in ("kv_sawtooth", "idle", "healthy")} == {4}
    assert many["kv_small_ramp"] == 8
    assert many["quiet_day"] == 2
    assert held_out().keys().isdisjoint(SCENARIOS)
    assert held_out(each=20).keys() > held_out().keys()


def test_a_shift_of_prompts_lengthens_first_tokens():
    """Where long prompts come in, first tokens take longer from then on."""
    simulation = long_prompts_arrive(random.Random(3))
    late = []
    for second in range(320):
        simulation.step(second)
        late.append(simulation.truths["engine-0", 0].first_token)
    assert late[300] > 1.5 * late[140]


@given(st.integers(0, 10_000), st.integers(1, 200))
def test_step_time_bends_upward_with_the_batch(seed: int, batch: int):
    """A larger batch takes longer, and each further request costs no less than the one before."""
    law = random_law(random.Random(seed))
    below, here, above = (law.seconds(0, n, 1000.0) for n in (batch - 1, batch, batch + 1))
    assert below <= here <= above
    assert above - here >= (here - below) * (1.0 - 1e-6) - 1e-12


@given(st.integers(0, 10_000), st.floats(0.3, 0.99), st.floats(0.3, 0.99))
def test_disturbances_lengthen_steps_as_they_should(seed: int, clock: float, share: float):
    """Clocks slow arithmetic only, a tenant slows all work of the GPU, host work comes on top."""
    law = random_law(random.Random(seed))
    plain = law.seconds(100, 10, 1000.0)
    gpu = plain - law.host
    slower = law.seconds(100, 10, 1000.0, conditions=Conditions(clock=clock))
    assert law.host + gpu <= slower <= law.host + gpu / clock + 1e-12
    shared = law.seconds(100, 10, 1000.0, conditions=Conditions(share=share))
    assert shared == pytest.approx(law.host + gpu / share)
    waited = law.seconds(100, 10, 1000.0, conditions=Conditions(host=0.5))
    assert waited == pytest.approx(plain + 0.5)


@pytest.mark.parametrize(
    ("token", "cause"), [(1e-5, Cause.TOKEN_BUDGET), (1e-3, Cause.PREFILL_COMPUTE)]
)
def test_a_full_budget_is_not_always_what_is_short(token: float, cause: Cause):
    """Only where steps are short of tokens, not of arithmetic, more tokens a step would help."""
    law = StepLaw(host=0.001, weights=0.02, kv=1e-9, token=token, jitter=0.01)
    limits = Limits(max_num_batched_tokens=256, num_blocks=20_000)
    mix = Mix(prompt=Lengths(median=2000), output=Lengths(median=4))
    rate = 2.0 * 256 / law.seconds(256, 0, 0.0) / 2000
    load = OpenLoop(mix, steady(rate), highest=rate, dice=random.Random(1))
    engine = Engine(law, limits, load, dice=random.Random(1))
    judge = Judge(Targets())
    truths = []
    for second in range(1, 90):
        engine.advance(float(second))
        truths.append(judge.judge(engine))
    truth = truths[-1]
    assert (truth.cause, truth.scored, truth.held) == (cause, True, "token_budget")


def test_two_limits_that_bind_at_once_are_not_scored():
    """Where batch and blocks are used up together it is chance which one refuses."""
    law = StepLaw(host=0.001, weights=0.02, kv=1e-9, token=1e-5, jitter=0.01)
    mix = Mix(prompt=Lengths(median=160), output=Lengths(median=60))

    def scored(blocks: int) -> bool:
        limits = Limits(max_num_seqs=16, num_blocks=blocks, max_model_len=400)
        load = ClosedLoop(mix, [(0.0, 40)], dice=random.Random(1))
        engine = Engine(law, limits, load, dice=random.Random(1))
        judge = Judge(Targets())
        truths = []
        for second in range(1, 90):
            engine.advance(float(second))
            truths.append(judge.judge(engine))
        assert truths[-1].cause is Cause.SEQUENCE_LIMIT
        return truths[-1].scored

    assert scored(1000)
    assert not scored(16 * 14 + 2)


def test_capacity_is_what_arithmetic_says():
    """Where each step takes the same time, an engine at its limit finishes batch / (output · time).

    Below that and within the targets it is as much as the targets allow: an M/D/c queue of mean
    service 2 s with a target far above it is bound by stability alone, one with gaps that are too
    long at any load bears nothing.
    """
    law = StepLaw(host=0.0, weights=0.02, kv=0.0, token=1e-9, jitter=0.0)
    limits = Limits(max_num_seqs=8, num_blocks=4096, max_model_len=1024)
    mix = Mix(prompt=Evenly(10, 10), output=Evenly(100, 100))
    most = 8 / (100 * 0.02)
    full = saturation(law, mix, limits, requests=800)
    assert full.rate == pytest.approx(most, rel=0.03)
    calm = under(law, mix, limits, 0.5 * most, requests=800)
    assert calm.inter_token == pytest.approx(0.02, rel=0.1)
    wide = Targets(first_token=60.0, inter_token=1.0)
    found = capacity(law, mix, limits, wide, requests=800)
    assert 0.9 * most <= found.rate <= found.saturated
    strict = capacity(law, mix, limits, Targets(inter_token=0.01), requests=400)
    assert (strict.rate, strict.binding) == (0.0, "")
