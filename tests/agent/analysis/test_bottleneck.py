"""One cause at a time, from the numbers of the last seconds."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agent.analysis.advice import Facts, numbers, sentence, suggestion
from agent.analysis.bottleneck import Finding, Targets, judge
from agent.analysis.evidence import Evidence
from agent.analysis.quantiles import NOTHING, Observed
from agent.analysis.surroundings import Surroundings
from agent.catalog.verdict import Cause

SECONDS = 10


def latencies(*values: float) -> Observed:
    """Return observations of these values, equally many of each."""
    ordered = np.sort(values)
    return Observed(ordered, np.full(len(ordered), 20.0), float(ordered.mean()), 20.0 * len(values))


def column(value: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a gauge that stood at a value."""
    return np.full(SECONDS, value)


HEALTHY = Evidence(
    span=10.0,
    present=True,
    running=column(8),
    waiting=column(0),
    running_of_queue=column(8)[:0],
    kv_usage=column(0.4),
    kv_capacity=100_000.0,
    steps=400.0,
    step_time=0.025,
    prefill_per_step=20.0,
    decode_per_step=8.0,
    generated=320.0,
    preemptions=0.0,
    idle_for=0.0,
    stuck_for=0.0,
    time_to_first_token=latencies(0.2),
    inter_token_latency=latencies(0.025),
    queue_time=0.01,
    prefill_time=0.1,
    prompt_tokens=500.0,
    generation_tokens=200.0,
    max_num_seqs=256.0,
    max_num_batched_tokens=8192.0,
)
ALONE = Surroundings(cores={"server": 0.3, "core": 0.6}, gpu_activity=0.9, clock=1.0)
QUEUE = replace(HEALTHY, waiting=column(12), time_to_first_token=latencies(4.0), queue_time=3.0)


def found(evidence: Evidence, around: Surroundings = ALONE, **known: float) -> Finding:
    """Return the finding for the default targets."""
    return judge(evidence, around, Targets(), **known)


class TestWhatIsFound:
    """Each cause by what tells it from the others."""

    def test_nothing_wrong_is_healthy_however_full(self) -> None:
        """A high fill, a large batch and a throttled GPU are no trouble while latencies hold."""
        full = replace(HEALTHY, kv_usage=column(0.99), running=column(256))
        hot = replace(ALONE, clock=0.7, slowed={"software_power_cap": 1.0})
        assert found(full, hot).cause is Cause.HEALTHY

    def test_a_request_that_waits_for_one_tick_is_no_queue(self) -> None:
        """Requests come between steps."""
        waiting = column(0)
        waiting[3] = 5
        assert found(replace(HEALTHY, waiting=waiting)).cause is Cause.HEALTHY

    def test_no_work_is_idle(self) -> None:
        """Whatever the last requests met."""
        quiet = replace(QUEUE, idle_for=6.0, running=column(0), waiting=column(0))
        assert found(quiet).cause is Cause.IDLE

    def test_work_without_progress_is_a_stall(self) -> None:
        """Ten seconds, or longer where the engine is known to take longer."""
        stuck = replace(QUEUE, stuck_for=12.0)
        assert found(stuck).cause is Cause.STALLED
        assert found(replace(stuck, patience=20.0)).cause is not Cause.STALLED

    def test_of_what_has_not_moved_yet_no_phase_is_said_to_be_slow(self) -> None:
        """Seen first in the middle of something: without one step, none was too long."""
        unmoved = replace(
            QUEUE,
            steps=0.0,
            step_time=math.nan,
            prefill_per_step=math.nan,
            decode_per_step=math.nan,
            time_to_first_token=NOTHING,
            inter_token_latency=NOTHING,
            prompt_tokens=math.nan,
            span=8.0,
            stuck_for=8.0,
        )
        assert found(unmoved).cause is Cause.UNKNOWN
        assert found(replace(unmoved, running=column(256))).cause is Cause.SEQUENCE_LIMIT
        assert found(replace(unmoved, stuck_for=2.0)).cause is Cause.PREFILL_COMPUTE
        # A long step of an engine that has served before.
        assert found(replace(unmoved, prompt_tokens=500.0)).cause is Cause.PREFILL_COMPUTE

    def test_a_page_that_is_gone_is_unknown(self) -> None:
        """No verdict on what is not seen."""
        assert found(replace(QUEUE, present=False)).cause is Cause.UNKNOWN

    def test_a_full_batch_is_the_sequence_limit(self) -> None:
        """Also if the KV cache happens to be full then."""
        at_limit = replace(QUEUE, running=column(256), kv_usage=column(0.95))
        assert found(at_limit).cause is Cause.SEQUENCE_LIMIT

    def test_an_unknown_limit_shows_as_a_plateau(self) -> None:
        """The batch returns to one size and stays just below it while requests wait."""
        looks = np.array([32.0, 30, 32, 31, 29, 32, 31, 30, 31, 32])
        standing = replace(QUEUE, running=looks, running_of_queue=looks, max_num_seqs=math.nan)
        finding = found(standing)
        assert finding.cause is Cause.SEQUENCE_LIMIT
        assert finding.inferred_limit == 32.0

    def test_a_batch_that_swings_has_no_limit(self) -> None:
        """Something else bounds it; here prompts fill the steps."""
        looks = np.array([20.0, 30, 24, 31, 22, 35, 27, 25, 21, 28])
        swinging = replace(
            QUEUE,
            running=looks,
            running_of_queue=looks,
            max_num_seqs=math.nan,
            max_num_batched_tokens=math.nan,
            prefill_per_step=230.0,
        )
        assert found(swinging).cause is Cause.TOKEN_BUDGET

    def test_a_plateau_of_a_full_cache_is_no_limit_on_sequences(self) -> None:
        """Requests of one length fill the cache at one size of the batch."""
        finding = found(
            replace(
                QUEUE,
                running=column(32),
                running_of_queue=column(32),
                max_num_seqs=math.nan,
                kv_usage=column(0.97),
            )
        )
        assert finding.cause is Cause.KV_MEMORY

    def test_the_gauge_of_the_cache_need_not_stand_at_one(self) -> None:
        """While KV binds it swings; preemptions, or a next request without room, say it too."""
        swinging = replace(QUEUE, kv_usage=column(0.6), preemptions=4.0)
        assert found(swinging).cause is Cause.KV_MEMORY
        large = replace(QUEUE, kv_usage=column(0.8), prompt_tokens=30_000.0)
        assert found(large).cause is Cause.KV_MEMORY

    def test_full_steps_are_the_token_budget(self) -> None:
        """With room in batch and cache, as long as larger steps would gain something."""
        steps = replace(QUEUE, prefill_per_step=230.0, max_num_batched_tokens=256.0)
        assert found(steps).cause is Cause.TOKEN_BUDGET
        assert found(steps, prefill_share=0.3).cause is Cause.TOKEN_BUDGET
        assert found(steps, prefill_share=0.9).cause is Cause.PREFILL_COMPUTE

    def test_slow_tokens_without_prompts_are_decode(self) -> None:
        """Each token of a large batch takes long."""
        slow = replace(HEALTHY, inter_token_latency=latencies(0.08, 0.09), prefill_per_step=2.0)
        assert found(slow).cause is Cause.DECODE_BANDWIDTH

    def test_spikes_between_tokens_are_prompts(self) -> None:
        """Most gaps are short, some hold the prefill of others."""
        spiky = replace(HEALTHY, inter_token_latency=latencies(*[0.03] * 8, 0.3, 0.3))
        assert found(spiky).cause is Cause.PREFILL_COMPUTE

    def test_the_model_of_the_step_decides_where_it_is_known(self) -> None:
        """How much of a step goes to prompts, rather than how the gaps are spread."""
        slow = replace(HEALTHY, inter_token_latency=latencies(0.08, 0.09))
        assert found(slow, prefill_share=0.7).cause is Cause.PREFILL_COMPUTE
        assert found(slow, prefill_share=0.1).cause is Cause.DECODE_BANDWIDTH

    def test_late_first_tokens_without_a_queue_are_prefill(self) -> None:
        """Long prompts take long, and nothing refuses them."""
        late = replace(HEALTHY, time_to_first_token=latencies(2.0), prefill_time=1.8)
        assert found(late).cause is Cause.PREFILL_COMPUTE

    def test_low_clocks_come_before_the_limit_that_they_fill(self) -> None:
        """A queue behind a throttled GPU is the clocks' doing if steps take longer by them."""
        slow = replace(ALONE, clock=0.6, slowed={"hardware_thermal_slowdown": 0.9}, slowdown=1.5)
        at_limit = replace(QUEUE, running=column(256))
        assert found(at_limit, slow).cause is Cause.POWER_THERMAL
        unharmed = replace(slow, slowdown=1.0)
        assert found(at_limit, unharmed).cause is Cause.SEQUENCE_LIMIT

    def test_another_tenant_needs_both_presence_and_harm(self) -> None:
        """Memory of others on the GPU is normal; longer steps alone may have other reasons."""
        slow = replace(HEALTHY, inter_token_latency=latencies(0.08, 0.09))
        beside = replace(ALONE, tenants=2.0**30, slowdown=1.6)
        assert found(slow, beside).cause is Cause.CO_TENANT
        assert found(slow, replace(beside, slowdown=1.0)).cause is Cause.DECODE_BANDWIDTH
        assert found(slow, replace(beside, tenants=0.0)).cause is Cause.DECODE_BANDWIDTH

    def test_a_gpu_that_waits_for_a_busy_core_is_the_host(self) -> None:
        """One process at its core, the GPU half idle, steps longer than its model says."""
        slow = replace(HEALTHY, inter_token_latency=latencies(0.08, 0.09))
        starved = Surroundings(cores={"core": 0.99}, gpu_activity=0.3, slowdown=2.0)
        assert found(slow, starved).cause is Cause.HOST_CPU
        assert found(slow, replace(starved, gpu_activity=0.95)).cause is Cause.DECODE_BANDWIDTH

    def test_an_engine_without_a_cpu_is_held_back_by_the_host(self) -> None:
        """Half of the time is enough by itself, with or without a GPU: its limits are not asked."""
        at_limit = replace(QUEUE, running=column(256))
        assert found(at_limit, Surroundings(waits={"core": 0.5})).cause is Cause.HOST_CPU
        assert found(at_limit, Surroundings(waits={"core": 0.4})).cause is Cause.SEQUENCE_LIMIT
        busy = replace(ALONE, waits={"server": 0.1, "core": 0.7})
        assert found(at_limit, busy).cause is Cause.HOST_CPU

    def test_shorter_waits_need_steps_that_take_longer(self) -> None:
        """A sixth of the time makes steps a fifth longer; by how much they are is then asked."""
        at_limit = replace(QUEUE, running=column(256))
        waits = replace(ALONE, waits={"core": 0.2}, slowdown=1.3)
        assert found(at_limit, waits).cause is Cause.HOST_CPU
        assert found(at_limit, replace(waits, slowdown=1.0)).cause is Cause.SEQUENCE_LIMIT
        assert found(at_limit, replace(waits, waits={"core": 0.1})).cause is Cause.SEQUENCE_LIMIT

    def test_a_core_that_spins_is_no_engine_without_a_cpu(self) -> None:
        """It waits nearly always while its worker works: what binds the batch is asked as ever."""
        full = replace(QUEUE, kv_usage=column(0.95), preemptions=9.0)
        spins = replace(ALONE, waits={"core": 0.9, "worker": 0.36}, slowdown=0.7)
        assert found(full, spins).cause is Cause.KV_MEMORY
        both = replace(spins, waits={"core": 0.95, "worker": 0.9})
        assert found(full, both).cause is Cause.HOST_CPU

    def test_waits_that_harm_nobody_are_no_trouble(self) -> None:
        """While latencies hold, an engine may wait for a CPU as long as it likes."""
        assert found(HEALTHY, replace(ALONE, waits={"core": 0.9})).cause is Cause.HEALTHY

    def test_what_stands_still_for_want_of_a_cpu_does_not_hang(self) -> None:
        """A process that hangs is not ready to run."""
        stuck = replace(QUEUE, stuck_for=12.0)
        assert found(stuck, replace(ALONE, waits={"core": 0.9})).cause is Cause.HOST_CPU
        assert found(stuck, replace(ALONE, waits={"core": 0.1})).cause is Cause.STALLED


class TestInWords:
    """A finding is a sentence with its numbers and, where one can be had, a number to set."""

    def facts(self, evidence: Evidence, **more: Any) -> Facts:
        """Return what the advice is given."""
        around = more.pop("around", ALONE)
        return Facts(found(evidence, around), evidence, around, Targets(), **more)

    def test_a_full_batch_says_how_far_it_may_be_raised(self) -> None:
        """The KV cache has room for so many of this size."""
        facts = self.facts(replace(QUEUE, running=column(8), max_num_seqs=8.0))
        assert sentence(facts) == (
            "batch is 8.0 of 8.0 allowed while 12 requests wait and KV use is 40%"
        )
        assert suggestion(facts) == "raise max-num-seqs: 18 would fit into 90% of the KV cache"

    def test_a_batch_that_is_full_only_while_requests_wait_is_said_so(self) -> None:
        """A burst of five seconds in ten: its numbers, not the mean with the seconds between."""
        running, waiting, usage = column(2), column(0), column(0.1)
        running[5:], waiting[5:], usage[5:] = 8, 4, 0.5
        evidence = replace(
            QUEUE, running=running, waiting=waiting, kv_usage=usage, max_num_seqs=8.0
        )
        assert sentence(self.facts(evidence)) == (
            "batch is 8.0 of 8.0 allowed while 4.0 requests wait and KV use is 50%"
        )

    def test_a_larger_batch_is_not_advised_where_it_would_break_the_target(self) -> None:
        """The step-time model knows which batch holds the inter-token target."""
        evidence = replace(QUEUE, running=column(8), max_num_seqs=8.0)
        facts = self.facts(evidence, batch_within=lambda _seconds: 6.0)
        assert "add a replica" in suggestion(facts)

    def test_a_slow_batch_says_which_one_would_hold(self) -> None:
        """In the other direction."""
        slow = replace(
            HEALTHY,
            inter_token_latency=latencies(0.08, 0.09),
            prefill_per_step=0.0,
            running=column(48),
        )
        facts = self.facts(slow, batch_within=lambda _seconds: 32.0)
        assert "at batch 48" in sentence(facts)
        assert "batch 32 would hold it" in suggestion(facts)

    def test_a_quota_that_is_used_up_is_what_should_be_raised(self) -> None:
        """With the role, the share, the quota; and nothing of the engine's own settings."""
        waits = {"server": 0.6, "core": 0.91, "worker": 0.9, "other": 0.3}
        around = Surroundings(waits=waits, quota=0.5, throttled=0.97)
        facts = self.facts(replace(QUEUE, running=column(256)), around=around)
        assert sentence(facts) == (
            "its core process waits for a CPU in 91% of the time, its worker process in 90%, its "
            "server process in 60%: its quota of 0.5 cores is used up in 97% of the periods, while "
            "256 requests run and 12 wait"
        )
        assert "raise the CPU quota of its unit, container or pod above 0.5 cores" in suggestion(
            facts
        )
        assert "max-num-seqs" not in suggestion(facts)
        assert numbers(facts)["core_cpu_wait_ratio"] == 0.91
        assert numbers(facts)["cpu_throttled_ratio"] == 0.97
        assert numbers(facts)["cpu_limit_cores"] == 0.5

    def test_other_work_that_has_the_cpus_is_what_should_go(self) -> None:
        """Where no quota is used up, somebody else runs."""
        around = Surroundings(waits={"server": 0.8}, quota=4.0, throttled=0.02)
        facts = self.facts(QUEUE, around=around)
        assert sentence(facts).startswith("its server process waits for a CPU in 80% of the time, ")
        assert "quota" not in sentence(facts) + suggestion(facts)
        assert "what else runs on this host" in suggestion(facts)

    @pytest.mark.parametrize("cause", list(Cause))
    def test_every_cause_has_words_whatever_is_unknown(self, cause: Cause) -> None:
        """No finding fails for want of a number."""
        nothing = Evidence(
            **{
                name: math.nan
                for name in Evidence.__slots__
                if isinstance(getattr(HEALTHY, name), float)
            },
            present=True,
            running=column(1),
            waiting=column(0),
            running_of_queue=column(0)[:0],
            kv_usage=column(math.nan),
            time_to_first_token=NOTHING,
            inter_token_latency=NOTHING,
        )
        around = Surroundings(cores={"server": 0.9})
        facts = Facts(Finding(cause=cause, because="so"), nothing, around, Targets())
        assert sentence(facts) == sentence(facts).strip("; ")
        assert isinstance(suggestion(facts), str)
        assert all(math.isfinite(value) for value in numbers(facts).values())
