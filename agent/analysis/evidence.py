"""What the last seconds say of one replica: the numbers that a verdict rests on."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.quantiles import Observed, observed
from agent.analysis.stall import (
    PROGRESS,
    STALLED,
    WORK,
    moved_again,
    patience,
    pauses_of,
    work_and_progress,
)
from agent.analysis.window import Column, View, median
from agent.catalog import agent, engine

SHORTEST: Final = 10.0
"""Seconds that are looked at, at least."""

LONGEST: Final = 60.0
"""Seconds that are looked at, at most: what an engine does so rarely is its nature, no change."""

STEPS: Final = 20.0
"""Steps that those seconds should hold."""

FEWEST_STEPS: Final = 3
"""Steps that a mean of wall time needs."""

LATENCY_SPAN: Final = 60.0
"""Seconds whose first tokens count where the shorter span has few."""

ENOUGH: Final = 20
"""First tokens that the shorter span must have for a percentile of its own."""

QUEUE_SPAN: Final = 120.0
"""Seconds over which a limit on the batch shows in its size."""

LOOKS: Final = 4.0
"""Looks at its page that those seconds should hold, where it is looked at rarely."""

_GAUGES: Final = (
    (engine.REQUESTS_RUNNING, ""),
    (engine.REQUESTS_WAITING, ""),
    (engine.KV_CACHE_USAGE, ""),
    (engine.KV_CACHE_USED, ""),
    (engine.KV_CACHE_CAPACITY, ""),
    (engine.MAX_NUM_SEQS, ""),
    (engine.MAX_NUM_BATCHED_TOKENS, ""),
)
_COUNTERS: Final = (
    (engine.STEPS, ""),
    (engine.GENERATION_TOKENS, ""),
    (engine.PROMPT_TOKENS, ""),
    (engine.PROMPT_TOKENS_CACHED, ""),
    (engine.PREEMPTIONS, ""),
    (engine.INTER_TOKEN_LATENCY, "_sum"),
    (engine.INTER_TOKEN_LATENCY, "_count"),
    (engine.QUEUE_TIME, "_sum"),
    (engine.QUEUE_TIME, "_count"),
    (engine.PREFILL_TIME, "_sum"),
    (engine.PREFILL_TIME, "_count"),
    (engine.TIME_TO_FIRST_TOKEN, "_sum"),
    (engine.TIME_TO_FIRST_TOKEN, "_count"),
)
_MIX: Final = (
    (engine.REQUEST_PROMPT_TOKENS, "_sum"),
    (engine.REQUEST_PROMPT_TOKENS, "_count"),
    (engine.REQUEST_GENERATION_TOKENS, "_sum"),
    (engine.REQUEST_GENERATION_TOKENS, "_count"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Numbers of the trailing seconds; NaN where the engine does not give them.

    Attributes:
        span: seconds that the gauges and rates are of.
        patience: seconds of work without progress that are a stall.
        resumed: it moves again after a stall, and the span is what has passed since.
        present: the engine answered at the last tick.
        running: requests in the batch at each tick.
        waiting: requests that waited at each tick.
        running_of_queue: requests in the batch at the ticks of the last minutes with a queue and
            with progress.
        kv_usage: share of the KV cache in use at each tick.
        kv_capacity: tokens.
        steps: steps made.
        step_time: seconds a step, of the time in which there was work.
        prefill_per_step: prompt tokens computed each step.
        decode_per_step: tokens generated each step.
        generated: tokens generated each second.
        preemptions: requests thrown out.
        idle_for: seconds since there was work or progress.
        stuck_for: seconds for which there has been work and no progress.
        time_to_first_token: of the requests of these seconds; of the last minute where few came.
        inter_token_latency: of the tokens of these seconds.
        queue_time: mean seconds, of the requests that finished.
        prefill_time: mean seconds, of the requests that finished.
        prompt_tokens: mean length of a prompt of the last minutes.
        generation_tokens: mean length of an answer of the last minutes.
        max_num_seqs: limit on running requests, where known.
        max_num_batched_tokens: limit on the tokens of a step, where known.
    """

    span: float
    present: bool
    running: Column
    waiting: Column
    running_of_queue: Column
    kv_usage: Column
    kv_capacity: float
    steps: float
    step_time: float
    prefill_per_step: float
    decode_per_step: float
    generated: float
    preemptions: float
    idle_for: float
    stuck_for: float
    time_to_first_token: Observed
    inter_token_latency: Observed
    queue_time: float
    prefill_time: float
    prompt_tokens: float
    generation_tokens: float
    max_num_seqs: float
    max_num_batched_tokens: float
    patience: float = STALLED
    resumed: bool = False

    @property
    def tokens_per_step(self) -> float:
        """Prompt and generated tokens of a step."""
        return self.prefill_per_step + self.decode_per_step


def gather(view: View, *, step_time: float = float("nan")) -> Evidence:
    """Return what a view says of its last seconds.

    Args:
        view: of a replica, at least one row.
        step_time: seconds a step as known so far, by which the span is chosen.
    """
    wanted = STEPS * step_time if step_time == step_time else SHORTEST  # noqa: PLR0124 - NaN
    work, progress = work_and_progress(view)
    pauses = pauses_of(view.times, work, progress)
    spacing = _spacing(view.times, pauses)
    shortest = max(SHORTEST, LOOKS * spacing)
    # A stall is over when it is over: its seconds are those of no step that came after.
    since = moved_again(view, work, progress, patience(step_time, pauses, spacing))
    recent = _seen(after_restart(view.last(min(since, max(shortest, min(LONGEST, wanted))))))
    gauges = recent.table(_GAUGES)
    counters = recent.table(_COUNTERS)
    grown = _grown(counters)
    steps, generated, prompt, cached, preemptions, itl, gaps, queue, queued = grown[:9].tolist()
    prefill, prefilled = grown[9:11].tolist()
    span = float(recent.times[-1] - recent.times[0])
    running, waiting = gauges[:, 0], gauges[:, 1]
    minute = after_restart(view.last(LATENCY_SPAN))
    first_tokens = observed(recent.histogram(engine.TIME_TO_FIRST_TOKEN))
    if first_tokens.count < ENOUGH:
        first_tokens = observed(minute.histogram(engine.TIME_TO_FIRST_TOKEN))
    mix = _grown(after_restart(view).table(_MIX)).tolist()
    usage = gauges[:, 2]
    if np.isnan(usage).all():
        usage = gauges[:, 3] / gauges[:, 4]
    idle_for, stuck_for = _since(view, max(LONGEST, 2 * wanted, LOOKS * spacing))
    computed = prompt - (cached if cached == cached else 0.0)  # noqa: PLR0124 - NaN
    seen = _step_time(steps, span, running + waiting, mean_gap=itl / gaps if gaps > 0 else 0)
    known = seen if math.isnan(step_time) else step_time
    return Evidence(
        span=span,
        present=bool(len(running)) and not np.isnan(running[-1]),
        running=running,
        waiting=waiting,
        running_of_queue=_running_of_queue(view.last(min(since, QUEUE_SPAN))),
        kv_usage=usage,
        kv_capacity=float(gauges[-1, 4]),
        steps=steps,
        step_time=seen,
        prefill_per_step=max(0.0, computed) / steps if steps > 0 else float("nan"),
        decode_per_step=generated / steps if steps > 0 else float("nan"),
        generated=generated / span if span > 0 else float("nan"),
        preemptions=preemptions,
        idle_for=idle_for,
        stuck_for=stuck_for,
        time_to_first_token=first_tokens,
        inter_token_latency=observed(recent.histogram(engine.INTER_TOKEN_LATENCY)),
        queue_time=queue / queued if queued > 0 else float("nan"),
        prefill_time=prefill / prefilled if prefilled > 0 else float("nan"),
        prompt_tokens=mix[0] / mix[1] if mix[1] > 0 else float("nan"),
        generation_tokens=mix[2] / mix[3] if mix[3] > 0 else float("nan"),
        max_num_seqs=float(gauges[-1, 5]),
        max_num_batched_tokens=float(gauges[-1, 6]),
        patience=patience(known, pauses, spacing),
        resumed=span >= since,
    )


def is_held(view: View) -> bool:
    """Return whether the last row repeats a page: the looks since it have failed.

    Such a page stays in frames for a while, as the best that is known. A count that stands still in
    it says nothing about the engine.
    """
    return bool(view[agent.ENGINE_UP][-1] == 0.0) and not np.isnan(
        view[engine.REQUESTS_RUNNING][-1]
    )


def after_restart(view: View) -> View:
    """Return the rows since the engine's counters last fell: a restart is a new engine."""
    tokens = view[engine.GENERATION_TOKENS]
    fell = np.flatnonzero(tokens[1:] < tokens[:-1])
    return view.rows(int(fell[-1]) + 1, len(view)) if len(fell) else view


def _seen(view: View) -> View:
    """Return the rows from the first that has the engine: before that nothing is known of it."""
    seen = np.flatnonzero(~np.isnan(view[engine.REQUESTS_RUNNING]))
    return view.rows(int(seen[0]), len(view)) if len(seen) else view


def _spacing(times: Column, pauses: Column) -> float:
    """Return the seconds from one look that shows progress to the next, the median.

    A page that is looked at every 15 s stands still between: that is neither a stall nor a rate.
    """
    if len(times) < 2:  # noqa: PLR2004 - there is nothing between
        return 0.0
    ticks = median(times[1:] - times[:-1])
    return max(ticks, median(pauses)) if len(pauses) else ticks


def _running_of_queue(view: View) -> Column:
    """Return the running requests at those ticks of the last minutes at which others waited.

    A tick without progress shows the same batch again, which says nothing about a limit on it.
    """
    since = after_restart(view)
    minutes = since.table(WORK)
    _work, progress = work_and_progress(since)
    return np.asarray(minutes[progress & (minutes[:, 1] >= 1), 0])


def _grown(counters: Column) -> Column:
    """Return by how much each column grew from its first known value to its last."""
    if len(counters) < 2:  # noqa: PLR2004 - growth needs two rows
        return np.full(counters.shape[1], np.nan)
    first, last = counters[0], counters[-1]
    if np.isnan(first + last).any():
        known = ~np.isnan(counters)
        some = known.any(axis=0)
        places = np.arange(counters.shape[1])
        first = np.where(some, counters[known.argmax(axis=0), places], np.nan)
        last = np.where(
            some, counters[len(counters) - 1 - known[::-1].argmax(axis=0), places], np.nan
        )
    return np.asarray(last - first)


def _step_time(steps: float, span: float, work: Column, *, mean_gap: float) -> float:
    """Return seconds a step.

    Wall time by steps while there is work at every tick; else the mean time between two tokens of
    a request, each of which takes one step.
    """
    if steps >= FEWEST_STEPS and bool((work > 0).all()):
        return span / steps
    if mean_gap > 0:
        return mean_gap
    return span / steps if steps >= FEWEST_STEPS else float("nan")


def _since(view: View, limit: float) -> tuple[float, float]:
    """Return seconds since there was work or progress, and seconds of work without progress.

    Args:
        view: all that is known.
        limit: seconds beyond which it does not matter how long.
    """
    recent = _seen(view.last(limit))
    work, progress = work_and_progress(recent)
    times = recent.times
    if np.isnan(recent.table(PROGRESS)).all():  # it counts nothing that could stand still
        return _ago(times, work), 0.0
    return _ago(times, work | progress), _ago(times, ~work | progress)


def _ago(times: Column, when: NDArray[np.bool_]) -> float:
    """Return how many seconds ago something was last so; all of them if it never was."""
    found = np.flatnonzero(when)
    return float(times[-1] - times[found[-1] if len(found) else 0])
