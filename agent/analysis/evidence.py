"""What the last seconds say of one replica: the numbers that a verdict rests on."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.quantiles import Observed, observed_in
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

_RECENT: Final = (
    (engine.REQUESTS_RUNNING, ""),
    (engine.REQUESTS_WAITING, ""),
    (engine.KV_CACHE_USAGE, ""),
    (engine.KV_CACHE_USED, ""),
    (engine.KV_CACHE_CAPACITY, ""),
    (engine.MAX_NUM_SEQS, ""),
    (engine.MAX_NUM_BATCHED_TOKENS, ""),
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
)
_TOKENS: Final = 3  # which column of work and progress counts the generated ones
_COUNTERS: Final = 7  # from where on those columns are counters
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
    times, rows = view.times, view.table((*WORK, *PROGRESS))
    work, progress = work_and_progress(rows)
    pauses = pauses_of(times, work, progress)
    spacing = _spacing(times, pauses)
    shortest = max(SHORTEST, LOOKS * spacing)
    usual = patience(step_time, pauses, spacing)
    # A stall is over when it is over: its seconds are those of no step that came after.
    since = moved_again(times, work, progress, usual)
    restart = _restart(rows[:, _TOKENS])
    first = max(view.first(min(since, max(shortest, min(LONGEST, wanted)))), restart)
    recent = view.rows(_seen(rows, first), len(view))
    table = recent.table(_RECENT)
    grown = _grown(table[:, _COUNTERS:])
    steps, generated, prompt, cached, preemptions, itl, gaps, queue, queued = grown[:9]
    prefill, prefilled = grown[9:]
    span = float(recent.times[-1] - recent.times[0])
    running, waiting = table[:, 0], table[:, 1]
    first_tokens = observed_in(recent, engine.TIME_TO_FIRST_TOKEN)
    if first_tokens.count < ENOUGH:
        minute = view.rows(max(view.first(LATENCY_SPAN), restart), len(view))
        first_tokens = observed_in(minute, engine.TIME_TO_FIRST_TOKEN)
    prompts, prompted, answers, answered = _grown(view.rows(restart, len(view)).table(_MIX))
    usage = table[:, 2]
    if np.isnan(usage).all():
        usage = table[:, 3] / table[:, 4]
    looked = _seen(rows, view.first(max(LONGEST, 2 * wanted, LOOKS * spacing)))
    idle_for, stuck_for = _since(times[looked:], rows[looked:], work[looked:], progress[looked:])
    queue_from = max(view.first(min(since, QUEUE_SPAN)), restart)
    computed = prompt - (cached if cached == cached else 0.0)  # noqa: PLR0124 - NaN
    seen = _step_time(steps, span, running + waiting, mean_gap=itl / gaps if gaps > 0 else 0)
    return Evidence(
        span=span,
        present=bool(len(running)) and not np.isnan(running[-1]),
        running=running,
        waiting=waiting,
        running_of_queue=_running_of_queue(rows[queue_from:], progress[queue_from:]),
        kv_usage=usage,
        kv_capacity=float(table[-1, 4]),
        steps=steps,
        step_time=seen,
        prefill_per_step=max(0.0, computed) / steps if steps > 0 else float("nan"),
        decode_per_step=generated / steps if steps > 0 else float("nan"),
        generated=generated / span if span > 0 else float("nan"),
        preemptions=preemptions,
        idle_for=idle_for,
        stuck_for=stuck_for,
        time_to_first_token=first_tokens,
        inter_token_latency=observed_in(recent, engine.INTER_TOKEN_LATENCY),
        queue_time=queue / queued if queued > 0 else float("nan"),
        prefill_time=prefill / prefilled if prefilled > 0 else float("nan"),
        prompt_tokens=prompts / prompted if prompted > 0 else float("nan"),
        generation_tokens=answers / answered if answered > 0 else float("nan"),
        max_num_seqs=float(table[-1, 5]),
        max_num_batched_tokens=float(table[-1, 6]),
        patience=patience(seen, pauses, spacing) if math.isnan(step_time) else usual,
        resumed=span >= since,
    )


def is_held(view: View) -> bool:
    """Return whether the last row repeats a page: the looks since it have failed.

    Such a page stays in frames for a while, as the best that is known. A count that stands still in
    it says nothing about the engine.
    """
    return view.now(agent.ENGINE_UP) == 0.0 and not math.isnan(view.now(engine.REQUESTS_RUNNING))


def _restart(tokens: Column) -> int:
    """Return the row at which the engine's counters last fell: a restart is a new engine."""
    fell = (tokens[1:] < tokens[:-1]).nonzero()[0]
    return int(fell[-1]) + 1 if len(fell) else 0


def _seen(rows: Column, first: int) -> int:
    """Return the first row that has the engine: before that nothing is known of it.

    Args:
        rows: see `work_and_progress`.
        first: from which on to look; it is returned where none has it.
    """
    if not math.isnan(rows[first, 0]):
        return first
    seen = (~np.isnan(rows[first:, 0])).nonzero()[0]
    return first + int(seen[0]) if len(seen) else first


def _spacing(times: Column, pauses: Column) -> float:
    """Return the seconds from one look that shows progress to the next, the median.

    A page that is looked at every 15 s stands still between: that is neither a stall nor a rate.
    """
    if len(times) < 2:  # noqa: PLR2004 - there is nothing between
        return 0.0
    ticks = median(times[1:] - times[:-1])
    return max(ticks, median(pauses)) if len(pauses) else ticks


def _running_of_queue(rows: Column, progress: NDArray[np.bool_]) -> Column:
    """Return the running requests at those ticks of the last minutes at which others waited.

    A tick without progress shows the same batch again, which says nothing about a limit on it.

    Args:
        rows: see `work_and_progress`; of the first it does not count whether it shows progress.
        progress: likewise.
    """
    here = progress & (rows[:, 1] >= 1)
    here[0] = False
    return np.asarray(rows[here, 0])


def _grown(counters: Column) -> list[float]:
    """Return by how much each column grew from its first known value to its last."""
    if len(counters) < 2:  # noqa: PLR2004 - growth needs two rows
        return [math.nan] * counters.shape[1]
    ends = zip(counters[0].tolist(), counters[-1].tolist(), strict=True)
    found = [last - first for first, last in ends]
    for place, grown in enumerate(found):
        if grown != grown:  # noqa: PLR0124 - NaN
            known = counters[:, place]
            known = known[~np.isnan(known)]
            found[place] = float(known[-1] - known[0]) if len(known) else math.nan
    return found


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


def _since(
    times: Column, rows: Column, work: NDArray[np.bool_], progress: NDArray[np.bool_]
) -> tuple[float, float]:
    """Return seconds since there was work or progress, and seconds of work without progress.

    Args:
        times: of the rows that are looked at, Unix seconds.
        rows: see `work_and_progress`; of the first it does not count whether it shows progress.
        work: likewise.
        progress: likewise.
    """
    moved = progress.copy()
    moved[0] = False
    if np.isnan(rows[:, len(WORK) :]).all():  # it counts nothing that could stand still
        return _ago(times, work), 0.0
    return _ago(times, work | moved), _ago(times, ~work | moved)


def _ago(times: Column, when: NDArray[np.bool_]) -> float:
    """Return how many seconds ago something was last so; all of them if it never was."""
    if when[-1]:
        return 0.0
    found = when.nonzero()[0]
    return float(times[-1] - times[found[-1] if len(found) else 0])
