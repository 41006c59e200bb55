"""A finding in words: what holds the engine back, by which numbers, and what would change it.

A number is advised only where it follows from what was measured; else the direction alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.analysis.bottleneck import HELD_UP, IDLE, Finding, Targets
from agent.analysis.evidence import Evidence
from agent.analysis.surroundings import STEPPING, Surroundings
from agent.analysis.window import mean
from agent.catalog.verdict import Cause

_THROTTLED: Final = 0.1  # of the periods: a quota that is used up less often is not what slows it
_ROOM: Final = 0.9  # of the KV cache, or of a target: nobody should be led to the very edge


@dataclass(frozen=True, slots=True)
class Facts:
    """What a finding was made from.

    Attributes:
        batch_within: the largest batch whose gaps between tokens stay within a time, if known.
    """

    finding: Finding
    evidence: Evidence
    around: Surroundings
    targets: Targets
    batch_within: Callable[[float], float | None] = lambda _seconds: None

    @property
    def running(self) -> float:
        """Requests in the batch, their mean."""
        return mean(self.evidence.running)

    @property
    def waiting(self) -> float:
        """Requests that wait, their mean."""
        return mean(self.evidence.waiting)

    @property
    def limit(self) -> float:
        """The limit on sequences, known or seen."""
        inferred = self.finding.inferred_limit
        return self.evidence.max_num_seqs if inferred is None else inferred

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache in use, its mean."""
        return mean(self.evidence.kv_usage)


def sentence(facts: Facts) -> str:
    """Return the finding with its numbers, in one sentence without its full stop."""
    return _SENTENCES[facts.finding.cause](facts)


def suggestion(facts: Facts) -> str:
    """Return what would change it, or nothing."""
    known = _SUGGESTIONS.get(facts.finding.cause)
    return "" if known is None else known(facts)


def numbers(facts: Facts) -> dict[str, float]:
    """Return the numbers behind the finding by name with unit; unknown ones are left out."""
    evidence, around = facts.evidence, facts.around
    gaps, starts = evidence.inter_token_latency, evidence.time_to_first_token
    reason, share = around.main_reason
    found = {
        "span_seconds": evidence.span,
        "requests_running": facts.running,
        "requests_waiting": facts.waiting,
        "max_num_seqs": facts.limit,
        "kv_cache_usage_ratio": facts.kv_usage,
        "kv_cache_capacity_tokens": evidence.kv_capacity,
        "preemptions": evidence.preemptions,
        "step_time_seconds": evidence.step_time,
        "prefill_tokens_per_step": evidence.prefill_per_step,
        "decode_tokens_per_step": evidence.decode_per_step,
        "max_num_batched_tokens": evidence.max_num_batched_tokens,
        "generation_tokens_per_second": evidence.generated,
        "inter_token_latency_p95_seconds": _or_nan(gaps.quantile(0.95)),
        "time_to_first_token_p95_seconds": _or_nan(starts.quantile(0.95)),
        "queue_time_seconds": evidence.queue_time,
        "prefill_time_seconds": evidence.prefill_time,
        "stuck_seconds": evidence.stuck_for,
        "gpu_activity_ratio": around.gpu_activity,
        "dram_activity_ratio": around.dram_activity,
        "sm_clock_ratio": around.clock,
        "slowdown_ratio": around.slowdown,
        "other_tenants_bytes": around.tenants,
        **{f"{role}_cores": cores for role, cores in around.cores.items()},
        **{f"{role}_cpu_wait_ratio": share for role, share in around.waits.items()},
        "cpu_throttled_ratio": around.throttled,
        "cpu_limit_cores": around.quota,
    }
    if reason:
        found[f"{reason}_ratio"] = share
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _or_nan(value: float | None) -> float:
    """Return a number, NaN for none."""
    return math.nan if value is None else value


def _seconds(value: float) -> str:
    """Return a duration as people say it."""
    if math.isnan(value):
        return "an unknown time"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _cores(value: float) -> str:
    """Return a number of CPU cores."""
    return f"{value:.3g} cores" if value != 1 else "1 core"


def _count(value: float) -> str:
    """Return a number of requests or tokens."""
    return "?" if math.isnan(value) else f"{value:.0f}" if value >= 10 else f"{value:.1f}"  # noqa: PLR2004


def _latencies(facts: Facts) -> str:
    """Return the two percentiles with their targets."""
    starts = facts.evidence.time_to_first_token.quantile(0.95)
    gaps = facts.evidence.inter_token_latency.quantile(0.95)
    said = []
    if starts is not None:
        target = _seconds(facts.targets.time_to_first_token)
        said.append(f"p95 time to first token {_seconds(starts)} (target {target})")
    if gaps is not None:
        target = _seconds(facts.targets.inter_token_latency)
        said.append(f"p95 inter-token latency {_seconds(gaps)} (target {target})")
    return ", ".join(said)


def _unknown(facts: Facts) -> str:
    return f"not known: {facts.finding.because}"


def _idle(facts: Facts) -> str:
    return f"no requests for {_count(facts.evidence.idle_for)} s"


def _healthy(facts: Facts) -> str:
    said = f"{_count(facts.running)} requests run and none waits for long"
    return f"{said}; {latencies}" if (latencies := _latencies(facts)) else said


def _sequence_limit(facts: Facts) -> str:
    how = "allowed" if facts.finding.inferred_limit is None else "that it ever runs"
    evidence = facts.evidence
    # Of a burst that came and went, the seconds between are none in which the limit held it back.
    queue = evidence.waiting >= 1
    return (
        f"batch is {_count(mean(evidence.running[queue]))} of {_count(facts.limit)} {how} while "
        f"{_count(mean(evidence.waiting[queue]))} requests wait and KV use is "
        f"{mean(evidence.kv_usage[queue]):.0%}"
    )


def _kv_memory(facts: Facts) -> str:
    evidence = facts.evidence
    said = (
        f"KV use reaches {_highest(evidence):.0%} with {_count(facts.running)} requests running "
        f"and {_count(facts.waiting)} waiting"
    )
    if evidence.preemptions > 0:
        said += f"; {evidence.preemptions:.0f} were preempted in {evidence.span:.0f} s"
    return said


def _highest(evidence: Evidence) -> float:
    """Return the highest fill of the KV cache."""
    known = evidence.kv_usage[~np.isnan(evidence.kv_usage)]
    return float(known.max()) if known.size else math.nan


def _token_budget(facts: Facts) -> str:
    evidence = facts.evidence
    said = f"a step processes {_count(evidence.tokens_per_step)} tokens"
    if not math.isnan(evidence.max_num_batched_tokens):
        said += f" of {evidence.max_num_batched_tokens:.0f} allowed"
    return f"{said} while {_count(facts.waiting)} requests wait with room in batch and KV cache"


def _prefill(facts: Facts) -> str:
    evidence = facts.evidence
    said = (
        f"a step computes {_count(evidence.prefill_per_step)} prompt tokens beside "
        f"{_count(evidence.decode_per_step)} generated ones and takes "
        f"{_seconds(evidence.step_time)}"
    )
    return "; ".join(filter(None, (said, _latencies(facts))))


def _decode(facts: Facts) -> str:
    return (
        f"{_latencies(facts)} at batch {_count(facts.running)}: a step takes "
        f"{_seconds(facts.evidence.step_time)}, hardly any of it for prompts"
    ).lstrip()


def _host(facts: Facts) -> str:
    if facts.around.held_up >= HELD_UP:
        waits = facts.around.waits
        roles = [one for one in (*STEPPING, "server") if waits.get(one, 0.0) >= HELD_UP]
        said = f"its {roles[0]} process waits for a CPU in {waits[roles[0]]:.0%} of the time"
        said += "".join(f", its {role} process in {waits[role]:.0%}" for role in roles[1:])
        if facts.around.throttled >= _THROTTLED:
            said += (
                f": its quota of {_cores(facts.around.quota)} is used up in "
                f"{facts.around.throttled:.0%} of the periods"
            )
        return (
            f"{said}, while {_count(facts.running)} requests run and {_count(facts.waiting)} wait"
        )
    role, cores = max(facts.around.cores.items(), key=lambda item: item[1])
    where = " (tokenisation, detokenisation and HTTP)" if role == "server" else ""
    return (
        f"the GPU has work {facts.around.gpu_activity:.0%} of the time while the {role} process"
        f"{where} keeps {cores:.1f} cores busy"
    )


def _clocks(facts: Facts) -> str:
    reason, share = facts.around.main_reason
    said = (
        f"clocks are at {facts.around.clock:.0%} of their highest, held down by {reason} in "
        f"{share:.0%} of the seconds"
    )
    slowdown = facts.around.slowdown
    return said if math.isnan(slowdown) else f"{said}; a step takes {slowdown:.2f} times as long"


def _tenant(facts: Facts) -> str:
    return (
        f"others hold {facts.around.tenants / 2**30:.1f} GiB on the GPU and a step takes "
        f"{facts.around.slowdown:.2f} times as long as this load does alone"
    )


def _stalled(facts: Facts) -> str:
    if facts.evidence.resumed and facts.evidence.span < IDLE:
        return f"it has moved again for {facts.evidence.span:.0f} s after a stall"
    return (
        f"{_count(facts.running)} requests run and {_count(facts.waiting)} wait, and for "
        f"{facts.evidence.stuck_for:.0f} s there was neither a token nor a step"
    )


_SENTENCES: Final[dict[Cause, Callable[[Facts], str]]] = {
    Cause.UNKNOWN: _unknown,
    Cause.IDLE: _idle,
    Cause.HEALTHY: _healthy,
    Cause.SEQUENCE_LIMIT: _sequence_limit,
    Cause.KV_MEMORY: _kv_memory,
    Cause.TOKEN_BUDGET: _token_budget,
    Cause.PREFILL_COMPUTE: _prefill,
    Cause.DECODE_BANDWIDTH: _decode,
    Cause.HOST_CPU: _host,
    Cause.POWER_THERMAL: _clocks,
    Cause.CO_TENANT: _tenant,
    Cause.STALLED: _stalled,
}


def _raise_limit(facts: Facts) -> str:
    by_memory = facts.limit * _ROOM / facts.kv_usage if facts.kv_usage > 0 else math.nan
    by_latency = facts.batch_within(facts.targets.inter_token_latency * _ROOM)
    if by_latency is not None and by_latency <= facts.limit:
        return (
            "raising max-num-seqs would break the inter-token target "
            f"(held up to batch {by_latency:.0f}): add a replica"
        )
    fits = min(by_memory, math.inf if by_latency is None else by_latency)
    if math.isnan(fits) or fits <= facts.limit:
        return "raise max-num-seqs, or add a replica"
    return f"raise max-num-seqs: {fits:.0f} would fit into {_ROOM:.0%} of the KV cache"


def _make_room(facts: Facts) -> str:
    evidence = facts.evidence
    need = evidence.prompt_tokens + evidence.generation_tokens
    ways = "a larger memory share, an FP8 KV cache, a smaller maximum length, or a replica"
    if need > 0 and evidence.kv_capacity > 0:
        fit = max(1, int(_ROOM * evidence.kv_capacity / need))
        return (
            f"{fit} requests of this length fit at their full length: max-num-seqs {fit} ends "
            f"preemption; more room comes with {ways}"
        )
    return f"give it more room: {ways}"


def _raise_budget(facts: Facts) -> str:
    budget = facts.evidence.max_num_batched_tokens
    gaps = facts.evidence.inter_token_latency.quantile(0.95)
    if gaps is not None and gaps > _ROOM * facts.targets.inter_token_latency:
        return "larger steps would break the inter-token target: add a replica"
    if math.isnan(budget):
        return "raise max-num-batched-tokens: the inter-token target has room"
    return f"raise max-num-batched-tokens, to {2 * budget:.0f} for a start"


def _ease_prefill(facts: Facts) -> str:
    gaps = facts.evidence.inter_token_latency.share_above(facts.targets.inter_token_latency)
    if gaps is not None and gaps > 0.05:  # noqa: PLR2004 - as bottleneck has it
        return (
            "lower max-num-batched-tokens, so that prompts come in smaller pieces between tokens; "
            "or send shorter prompts, share prefixes, add a replica"
        )
    return "send shorter prompts, share prefixes so that the cache helps, or add a replica"


def _smaller_batch(facts: Facts) -> str:
    held = facts.batch_within(facts.targets.inter_token_latency * _ROOM)
    if held is None:
        return "lower max-num-seqs, or add a replica"
    if held < 1:
        return "no batch holds this target: a faster GPU, a smaller model or quantised weights"
    return f"batch {held:.0f} would hold it: set max-num-seqs to {held:.0f}, or add a replica"


def _more_cpu(facts: Facts) -> str:
    if facts.around.held_up >= HELD_UP:
        if facts.around.throttled >= _THROTTLED:
            return (
                f"raise the CPU quota of its unit, container or pod above "
                f"{_cores(facts.around.quota)}, or take it away; no setting of the engine helps"
            )
        return (
            "give the engine cores of its own: move or limit what else runs on this host; no "
            "setting of the engine helps"
        )
    role = max(facts.around.cores.items(), key=lambda item: item[1])[0]
    if role == "server":
        return "give the server more processes (--api-server-count) or faster cores"
    return "give the engine a core of its own; see what else runs on this host"


_SUGGESTIONS: Final[dict[Cause, Callable[[Facts], str]]] = {
    Cause.SEQUENCE_LIMIT: _raise_limit,
    Cause.KV_MEMORY: _make_room,
    Cause.TOKEN_BUDGET: _raise_budget,
    Cause.PREFILL_COMPUTE: _ease_prefill,
    Cause.DECODE_BANDWIDTH: _smaller_batch,
    Cause.HOST_CPU: _more_cpu,
    Cause.POWER_THERMAL: lambda _facts: "look at cooling, power limit and power supply of the GPU",
    Cause.CO_TENANT: lambda _facts: "move the other process, or give each its share by MIG",
    Cause.STALLED: lambda _facts: "keep a stack (py-spy dump) and restart the engine",
}
