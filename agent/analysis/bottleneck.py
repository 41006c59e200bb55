"""What holds an engine back: one cause at a time, from numbers, with the numbers.

The order of the questions is the method. Is there work, and does it move? Then: is anything wrong
at all, that is, do requests wait, or are latencies over their targets? If not, the engine is
healthy, however full or slow its parts look. If so, first what slows the engine from outside
(clocks, another tenant, a busy host), because then its own limits only show the harm; then the
limit that refused the request at the head of the queue; and where nothing waits, the phase that
takes the time.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.evidence import Evidence
from agent.analysis.surroundings import Surroundings
from agent.analysis.window import Column, median
from agent.catalog.verdict import Cause

IDLE: Final = 5.0
"""Seconds without work after which an engine is idle."""

QUEUEING: Final = 0.5
"""Share of the ticks at which requests wait that is a queue, and not the wait for the next step."""

SLOWED: Final = 1.2
"""Step time against its model from which on something from outside slows the engine."""

STARVED: Final = 0.5
"""Share of the time for which an engine waits for a CPU that doubles, at least, what it takes."""

HELD_UP: Final = 1.0 - 1.0 / SLOWED
"""Share of the time for which it waits that makes its steps longer by what `SLOWED` says."""

_FULL: Final = 0.9  # fill of the KV cache
_AT_LIMIT: Final = 0.88  # the mean: those that ended in the step of a look are out of it
_BUDGET: Final = 0.8  # of the token budget, as the mean of all steps
_HARDLY: Final = 1.1
_LOW_CLOCK: Final = 0.9
_IDLE_GPU: Final = 0.6
_BUSY_CORE: Final = 0.85
_TOLERATED: Final = 0.05  # share of requests or gaps that may exceed the target
_COMPUTE: Final = 0.6  # of the step time that grows with prompts: twice the budget gains a quarter
_MANY_TOKENS: Final = 640.0  # twice what a GPU computes while it reads the weights once
_FEWEST_LOOKS: Final = 6
_NEAR_TOP: Final = 0.9
_AT_TOP: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Seconds that 95 of 100 should not exceed."""

    time_to_first_token: float = 1.0
    inter_token_latency: float = 0.066


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A cause and what it rests on.

    Attributes:
        cause: what holds the engine back.
        because: which of the questions was decisive, for people.
        numbers: what was looked at, by name with unit.
        inferred_limit: the limit on sequences, where no page says it and the batch shows it.
    """

    cause: Cause
    because: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    inferred_limit: float | None = None


def judge(
    evidence: Evidence,
    around: Surroundings,
    targets: Targets,
    *,
    prefill_share: float = math.nan,
) -> Finding:
    """Return what holds a replica back.

    Args:
        evidence: of the last seconds.
        around: likewise.
        targets: which latencies are well.
        prefill_share: share of the step time that its model gives to prompt tokens, if it is known.
    """
    still = _still(evidence, around)
    if still is not None:
        return still
    waiting = evidence.waiting >= 1
    known = int(np.count_nonzero(~np.isnan(evidence.waiting)))
    queue = int(np.count_nonzero(waiting)) / max(1, known)
    slow_gaps = _over(evidence.inter_token_latency.share_above(targets.inter_token_latency))
    slow_starts = _over(evidence.time_to_first_token.share_above(targets.time_to_first_token))
    if queue < QUEUEING and not slow_gaps and not slow_starts:
        return Finding(cause=Cause.HEALTHY, because="nothing waits and the latencies hold")
    found = _outside(around)
    late_by_queue = slow_starts and not evidence.queue_time < evidence.prefill_time
    if found is None and (queue >= QUEUEING or (late_by_queue and waiting.any())):
        found = _limit(evidence, waiting, prefill_share)
    if found is None and evidence.stuck_for >= evidence.span and math.isnan(evidence.prompt_tokens):
        # Too short for a stall, and no request was seen for minutes that could have been too slow.
        return Finding(cause=Cause.UNKNOWN, because="there are requests, and no step was seen yet")
    return found or _phase(evidence, targets, prefill_share, slow_gaps=slow_gaps)


def _still(evidence: Evidence, around: Surroundings) -> Finding | None:
    """Return why there is nothing to judge, if there is not."""
    if not evidence.present:
        return Finding(cause=Cause.UNKNOWN, because="its page cannot be read")
    if evidence.stuck_for >= evidence.patience:
        return _stuck(around)
    if evidence.idle_for >= IDLE:
        return Finding(cause=Cause.IDLE, because="there are no requests")
    if evidence.span < IDLE and evidence.resumed:
        return Finding(cause=Cause.STALLED, because="it has only just begun to move again")
    if evidence.span < IDLE:
        return Finding(cause=Cause.UNKNOWN, because="it was seen for too short a time")
    return None


def _stuck(around: Surroundings) -> Finding:
    """Return why nothing moves: what hangs wants no CPU."""
    if around.starved >= STARVED:
        return Finding(cause=Cause.HOST_CPU, because="it waits for a CPU and nothing moves")
    return Finding(cause=Cause.STALLED, because="there are requests and nothing moves")


def _over(share: float | None) -> bool:
    """Return whether more than is tolerated exceeds the target."""
    return share is not None and share > _TOLERATED


def _outside(around: Surroundings) -> Finding | None:
    """Return what slows the engine from outside, if something does."""
    reason, share = around.main_reason
    slowed = around.slowdown >= SLOWED
    unmodelled = math.isnan(around.slowdown)
    if share >= QUEUEING and around.clock < _LOW_CLOCK and not around.slowdown < _HARDLY:
        return Finding(cause=Cause.POWER_THERMAL, because=f"clocks are held down by {reason}")
    if around.starved >= STARVED or (around.held_up >= HELD_UP and slowed):
        return Finding(cause=Cause.HOST_CPU, because="its processes wait for a CPU")
    busiest = max(around.cores.values(), default=0.0)
    if around.gpu_activity < _IDLE_GPU and (slowed or (unmodelled and busiest >= _BUSY_CORE)):
        return Finding(cause=Cause.HOST_CPU, because="the GPU waits while the CPU works")
    if around.tenants > 0 and slowed:
        return Finding(cause=Cause.CO_TENANT, because="another process works on the GPU")
    return None


def _limit(evidence: Evidence, waiting: NDArray[np.bool_], prefill_share: float) -> Finding | None:
    """Return which limit refuses the requests that wait, if one is seen to."""
    usage = evidence.kv_usage[waiting]
    usage = usage[~np.isnan(usage)]
    full = bool(usage.max(initial=0.0) >= _FULL) or evidence.preemptions > 0
    limit, inferred = evidence.max_num_seqs, None
    if math.isnan(limit) and not full:
        limit = inferred = _plateau(evidence.running_of_queue)
    running = evidence.running[waiting]
    if running.mean() >= _AT_LIMIT * limit and evidence.running.max() >= limit - 1.0:
        return Finding(
            cause=Cause.SEQUENCE_LIMIT, because="the batch is at its limit", inferred_limit=inferred
        )
    room = (1.0 - median(usage)) * evidence.kv_capacity if len(usage) else math.nan
    if full or room < evidence.prompt_tokens:
        return Finding(
            cause=Cause.KV_MEMORY, because="the KV cache has no room for the next request"
        )
    # Batch and memory have room; if prompts fill the steps, what keeps the head of the queue out
    # is the third limit, which no page tells.
    known = evidence.tokens_per_step >= _BUDGET * evidence.max_num_batched_tokens
    if known or evidence.prefill_per_step > evidence.decode_per_step:
        arithmetic = evidence.tokens_per_step > _MANY_TOKENS
        if prefill_share > _COMPUTE or (math.isnan(prefill_share) and arithmetic):
            because = "steps are full, and larger ones would take as much longer"
            return Finding(cause=Cause.PREFILL_COMPUTE, because=because)
        return Finding(cause=Cause.TOKEN_BUDGET, because="each step is as large as it may be")
    return None


def _plateau(running: Column) -> float:
    """Return the size at which the batch stands while requests wait; NaN where it does not.

    A batch at its limit is mostly just below it at a look, because requests that ended in that
    step are out of it and their heirs not yet in; it returns to the limit again and again and is
    never above. A batch that something else bounds swings about its mean.
    """
    if len(running) < _FEWEST_LOOKS:
        return math.nan
    top = float(running.max())
    stands = running.mean() >= _NEAR_TOP * top and (running == top).mean() >= _AT_TOP
    return top if stands else math.nan


def _phase(
    evidence: Evidence, targets: Targets, prefill_share: float, *, slow_gaps: bool
) -> Finding:
    """Return which phase takes the time, where no limit refuses anything."""
    if not slow_gaps:
        return Finding(cause=Cause.PREFILL_COMPUTE, because="first tokens take long to compute")
    median = evidence.inter_token_latency.quantile(0.5)
    spiky = median is not None and median <= targets.inter_token_latency
    heavy = prefill_share > 0.5 if not math.isnan(prefill_share) else spiky  # noqa: PLR2004
    if heavy and evidence.prefill_per_step > 0:
        return Finding(cause=Cause.PREFILL_COMPUTE, because="prompts are computed between tokens")
    return Finding(cause=Cause.DECODE_BANDWIDTH, because="each token takes this batch too long")
