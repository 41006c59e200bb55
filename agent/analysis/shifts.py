"""When a latency shifts: what shifted with it, in the order of strength and timing.

The last minute is held against the minutes before. What is compared are means of ten seconds each:
of the latency, to see a shift and when it began, and of everything that may be behind it. A
companion is named if it left its own usual range, and only then; one that moved clearly after the
latency is listed behind those that moved before or with it. Nothing here claims a cause.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from agent.analysis.median import median
from agent.analysis.quantiles import observed
from agent.analysis.surroundings import SLOWING
from agent.analysis.window import Column, View, mean
from agent.catalog import engine, gpu, host
from agent.model import Metric

BLOCK: Final = 10.0
"""Seconds of which means are taken."""

RECENT: Final = 60.0
"""Seconds that are held against those before."""

RATIO: Final = 1.3
"""Factor from which on a percentile has shifted, in either direction."""

SHARE: Final = 0.95

_FEWEST: Final = 20  # observations on either side that a percentile needs
_FEWEST_BLOCKS: Final = 6
_STRONG: Final = 4.0  # in units of the usual spread
_FLOOR: Final = 0.05  # of the level: a spread below it is luck
_LATE: Final = 1.5 * BLOCK
_AFTERWARDS: Final = 0.25  # weight of what moved only after the latency

QUANTITIES: Final[dict[str, Metric]] = {
    "time_to_first_token": engine.TIME_TO_FIRST_TOKEN,
    "inter_token_latency": engine.INTER_TOKEN_LATENCY,
}


@dataclass(frozen=True, slots=True)
class Companion:
    """Something that moved with a latency.

    Attributes:
        name: what it is.
        before: its median before.
        after: its median now.
        strength: by how many of its usual spreads it moved.
        lead: seconds by which it moved before the latency; negative if after.
    """

    name: str
    before: float
    after: float
    strength: float
    lead: float


@dataclass(frozen=True, slots=True)
class Shift:
    """A latency that shifted.

    Attributes:
        quantity: which, as a key of `QUANTITIES`.
        began: Unix seconds.
        before: its 95th percentile before, seconds.
        after: its 95th percentile now.
        companions: what moved with it, first what is most likely to matter.
    """

    quantity: str
    began: float
    before: float
    after: float
    companions: tuple[Companion, ...]

    def sentence(self) -> str:
        """Return it for people, without the full stop."""
        name = self.quantity.replace("_", " ")
        said = f"p95 {name} went from {_shown(self.before)} s to {_shown(self.after)} s"
        if not self.companions:
            return f"{said}; nothing else that is measured moved with it"
        moved = [
            f"{one.name} ({_shown(one.before)} to {_shown(one.after)})" for one in self.companions
        ]
        return f"{said}; with it moved {', '.join(moved)}"


def _shown(value: float) -> str:
    """Return a number with three digits."""
    return f"{value:.3g}"


def find_shift(view: View, quantity: str) -> Shift | None:
    """Return the shift of a latency within a view, if there was one.

    Args:
        view: of a replica, cut at a restart or not.
        quantity: a key of `QUANTITIES`.
    """
    metric = QUANTITIES[quantity]
    split = int(view.times.searchsorted(view.times[-1] - RECENT))
    counted = view.of(metric, suffix="_count")
    if min(_at_most(counted[:split]), _at_most(counted[max(split - 1, 0) :])) < _FEWEST:
        return None
    before = observed(view.rows(0, split).histogram(metric)) if split > 1 else None
    after = observed(view.rows(max(split - 1, 0), len(view)).histogram(metric))
    if before is None or min(before.count, after.count) < _FEWEST:
        return None
    was, now = before.quantile(SHARE), after.quantile(SHARE)
    if not was or not now or max(now / was, was / now) < RATIO:
        return None
    edges = _edges(view.times)
    level = _ratio(view, edges, (metric, "_sum"), (metric, "_count"))
    onset = _onset(level)
    if onset is None:
        return None
    began = float(view.times[edges[onset]])
    found = [
        companion
        for name, values in _candidates(view, edges).items()
        if (companion := _companion(name, values, onset, lag=now)) is not None
    ]
    found.sort(key=_rank, reverse=True)
    return Shift(quantity, began, was, now, tuple(found))


def _at_most(counted: Column) -> float:
    """Return how many observations a counter has, at most: rows that lack others are left out."""
    known = counted[~np.isnan(counted)]
    return float(np.maximum(known[1:] - known[:-1], 0.0).sum())


def _rank(companion: Companion) -> float:
    """Return how much a companion matters: its strength, less if it moved too late to matter."""
    weight = 1.0 if companion.lead >= -_LATE else _AFTERWARDS
    return weight * math.log1p(companion.strength)


def _edges(times: Column) -> Sequence[int]:
    """Return the rows at which blocks begin, counted back from the last row, and the last row."""
    count = int((times[-1] - times[0]) // BLOCK)
    moments = times[-1] - BLOCK * np.arange(count, -1, -1)
    return [int(place) for place in np.searchsorted(times, moments - 1e-6)]


def _onset(blocks: Column) -> int | None:
    """Return the block at which a series left its level: where the sum of deviations turns."""
    known = np.flatnonzero(~np.isnan(blocks))
    if len(known) < _FEWEST_BLOCKS:
        return None
    values = blocks[known]
    departed = np.abs(np.cumsum(values - values.mean()))
    return int(known[min(int(departed[:-1].argmax()) + 1, len(known) - 1)])


def _companion(name: str, blocks: Column, onset: int, *, lag: float) -> Companion | None:
    """Return a series as a companion of a shift that began at a block, if it moved.

    Args:
        name: of the series.
        blocks: its means.
        onset: at which block the latency shifted.
        lag: seconds for which the latency tells of the past: who is served late came early.
    """
    own = _onset(blocks)
    lead = (onset - own) * BLOCK if own is not None else 0.0
    # What moved before the latency did is held against its own past.
    split = own if own is not None and _LATE < lead <= _LATE + lag else onset
    before, after = blocks[:split], blocks[split:]
    before, after = before[~np.isnan(before)], after[~np.isnan(after)]
    if len(before) < 2 or not len(after):  # noqa: PLR2004 - two make a spread
        return None
    was, now = median(before), median(after)
    spread = 1.4826 * median(np.abs(before - was))
    scale = max(spread, _FLOOR * max(abs(was), abs(now)))
    if scale == 0 or abs(now - was) < _STRONG * scale:
        return None
    return Companion(name, was, now, abs(now - was) / scale, lead)


def _means(column: Column, edges: Sequence[int]) -> Column:
    """Return the mean of each block; NaN where a block has no value."""
    if np.isnan(column).any():
        return np.array([mean(column[first:end]) for first, end in pairwise(edges)])
    return np.array(
        [
            float(np.add.reduce(column[first:end])) / (end - first) if end > first else math.nan
            for first, end in pairwise(edges)
        ]
    )


def _deltas(view: View, edges: Sequence[int], metric: Metric, *further: str) -> Column:
    """Return by how much a counter grew in each block; NaN across a restart or a gap."""
    suffix, labels = (further[0], further[1:]) if further else ("", ())
    grown = np.diff(view.of(metric, *labels, suffix=suffix)[list(edges)])
    return np.where(grown < 0, np.nan, grown)


def _ratio(
    view: View, edges: Sequence[int], above: tuple[Any, ...], below: tuple[Any, ...]
) -> Column:
    """Return the quotient of two counters' growth in each block."""
    top, bottom = _deltas(view, edges, *above), _deltas(view, edges, *below)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bottom > 0, top / bottom, np.nan)


def _gpu_means(view: View, edges: Sequence[int], metric: Metric, *labels: str) -> Column:
    """Return the means of a metric of the engine's GPUs, summed over them."""
    columns = view.gpu(metric, *labels)
    if not columns.size:
        return np.full(len(edges) - 1, np.nan)
    return _means(columns.sum(axis=1), edges)


def _clock(view: View, edges: Sequence[int]) -> Column:
    """Return the clock of the GPUs as a share of the highest."""
    with np.errstate(invalid="ignore"):
        return _gpu_means(view, edges, gpu.SM_CLOCK) / _gpu_means(view, edges, gpu.SM_CLOCK_MAX)


def _start(view: View, edges: Sequence[int]) -> Column:
    """Return when the engine was started, in seconds from the first start that is known."""
    started = view[engine.START_TIME]
    known = started[~np.isnan(started)]
    # Beside the seconds since 1970 no restart would be a change.
    return _means(started - known[0] if known.size else started, edges)


_Make = Callable[[View, Sequence[int]], Column]

_CANDIDATES: Final[dict[str, _Make]] = {
    "batch": lambda view, edges: _means(view[engine.REQUESTS_RUNNING], edges),
    "waiting requests": lambda view, edges: _means(view[engine.REQUESTS_WAITING], edges),
    "requests a second": lambda view, edges: (
        _deltas(view, edges, engine.TIME_TO_FIRST_TOKEN, "_count") / BLOCK
    ),
    "KV use": lambda view, edges: _means(view[engine.KV_CACHE_USAGE], edges),
    "prompt length": lambda view, edges: _ratio(
        view, edges, (engine.PROMPT_TOKENS,), (engine.TIME_TO_FIRST_TOKEN, "_count")
    ),
    "answer length": lambda view, edges: _ratio(
        view,
        edges,
        (engine.REQUEST_GENERATION_TOKENS, "_sum"),
        (engine.REQUEST_GENERATION_TOKENS, "_count"),
    ),
    "prefix-cache hit share": lambda view, edges: _ratio(
        view, edges, (engine.PREFIX_CACHE_HITS,), (engine.PREFIX_CACHE_QUERIES,)
    ),
    "preemptions a second": lambda view, edges: _deltas(view, edges, engine.PREEMPTIONS) / BLOCK,
    "SM clock": _clock,
    # Not what is in use: an engine that reserves nine tenths would hide whoever takes the rest.
    "free device memory": lambda view, edges: _gpu_means(view, edges, gpu.MEMORY_FREE),
    "CPU pressure of the host": lambda view, edges: (
        _deltas(view, edges, host.PRESSURE_SECONDS, "", "cpu", "some") / BLOCK
    ),
    "memory pressure of the host": lambda view, edges: (
        _deltas(view, edges, host.PRESSURE_SECONDS, "", "memory", "some") / BLOCK
    ),
    "engine start": _start,
    "max-num-seqs": lambda view, edges: _means(view[engine.MAX_NUM_SEQS], edges),
    "max-num-batched-tokens": lambda view, edges: _means(
        view[engine.MAX_NUM_BATCHED_TOKENS], edges
    ),
    "longest request": lambda view, edges: _means(view[engine.MAX_MODEL_LEN], edges),
    "KV capacity": lambda view, edges: _means(view[engine.KV_CACHE_CAPACITY], edges),
}


def _candidates(view: View, edges: Sequence[int]) -> dict[str, Column]:
    """Return what may have moved, each as means of blocks."""
    found = {name: make(view, edges) for name, make in _CANDIDATES.items()}
    for reason in SLOWING:
        name = f"{reason.replace('_', ' ')} of the GPU"
        found[name] = _gpu_means(view, edges, gpu.CLOCKS_EVENT_REASON, reason)
    return found
