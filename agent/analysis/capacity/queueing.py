"""How long requests wait and how long their tokens take at a load, by queueing theory.

The batch at the load is that of `steady`. Percentiles come from a fixed set of evenly spread
points, each a request with its own chances: the same load always gives the same answer.
"""

from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.analysis.capacity.law import Adding, Law
from agent.analysis.capacity.points import (
    COUNT,
    MOST_COUNTED,
    NORMAL,
    PLACES,
    SMALLEST,
    THRESHOLDS,
    UNIFORM,
)
from agent.analysis.capacity.room import Room
from agent.analysis.capacity.steady import Shape, Steady, steady
from agent.analysis.window import Column

TAIL: Final = 0.95
"""The percentile that targets are about."""

_BESIDE: Final = 0.03  # share of the points on either side of a percentile that count for it
_TINY: Final = 1e-12
_LEFT: Final = 2
_OTHERS: Final = 4
_FITS: Final = 17
_STEPS: Final = (6, 14, 8)
_WHICH: Final = (10, 16, 11)
_EACH_PROMPTS: Final = 12
"""The axes of the points that stand for each chance, beside the first four."""


class Latencies(NamedTuple):
    """95th percentiles in seconds at a load; infinite where the queue grows without end.

    `batch` is the mean number of requests in the batch, `gap` the mean time between two tokens.
    """

    first_token: float
    inter_token: float
    batch: float
    gap: float


OVERLOADED: Final = Latencies(inf, inf, inf, inf)


@dataclass(frozen=True, slots=True)
class _Arrivals:
    """Requests that arrive at an engine, one a point.

    Attributes:
        law: of a step.
        shape: of the requests.
        room: that a step has.
        rate: requests a second.
        batch: what they find.
        found: requests in the engine; as many as there are places for, or more.
        at: place of the batch with the request itself.
        chunk: prompt tokens for which a step with that batch has room.
        own: prompt tokens of each.
        running: seconds of the step that is running; 0 where none is.
        left: prompt tokens for which that step had no room.
        others: prompt tokens of those that come in it.
        steps: until the first token, from the time of a seat.
        served: and the seconds of these.
    """

    law: Law
    shape: Shape
    room: Room
    rate: float
    batch: Steady
    found: NDArray[np.intp]
    at: NDArray[np.intp]
    chunk: Column
    own: Column
    running: Column
    left: Column
    others: Column
    steps: Column
    served: Column


def latencies(
    law: Law,
    shape: Shape,
    room: Room,
    rate: float,
    *,
    gaps: bool = False,
    factors: tuple[float, float] = (1.0, 1.0),
) -> Latencies:
    """Return the latencies at a load.

    Args:
        law: of a step.
        shape: of the requests.
        room: that a step has.
        rate: requests a second.
        gaps: whether single gaps between tokens count, not the mean gap of each request.
        factors: by which the time from a seat to the first token, and that between tokens, were
            seen to differ from what is reckoned.
    """
    come = _arrivals(law, shape, room, rate)
    if come is None:
        return OVERLOADED
    first = _percentile(_first_token(come, factors[0]))
    inter = _gap(come) if gaps else _percentile(_each(come))
    return Latencies(first, inter * factors[1], come.batch.mean, come.batch.gap)


class Reckoned(NamedTuple):
    """Latencies at a load, and those of the requests that stand for all, in seconds, ascending.

    The times between tokens are those of requests, whatever the criterion.
    """

    latencies: Latencies
    firsts: Column
    inters: Column


def reckoned(
    law: Law, shape: Shape, room: Room, rate: float, *, gaps: bool = False
) -> Reckoned | None:
    """Return what `latencies` rests on; None where the queue grows without end.

    Args:
        law: of a step.
        shape: of the requests.
        room: that a step has.
        rate: requests a second.
        gaps: as of `latencies`.
    """
    come = _arrivals(law, shape, room, rate)
    if come is None:
        return None
    firsts, inters = _first_token(come, 1.0), _each(come)
    inter = _gap(come) if gaps else _percentile(inters)
    found = Latencies(_percentile(firsts), inter, come.batch.mean, come.batch.gap)
    return Reckoned(found, np.sort(firsts), np.sort(inters))


def _arrivals(law: Law, shape: Shape, room: Room, rate: float) -> _Arrivals | None:
    """Return requests that arrive at a load; None where the queue grows without end.

    Prompts that arrive in one step are computed in the next, together.
    """
    batch = steady(law, shape, room, rate)
    if batch is None:
        return None
    found = np.searchsorted(batch.reached, UNIFORM[0])
    at = np.minimum(found, len(batch.batches) - 1)
    own = _drawn(shape.prompts, UNIFORM[1])
    adding = law.adding(batch.decode[at])
    running, left = _running(adding, shape, rate, batch, at, budget=room.budget)
    running, left = np.where(found > 0, running, 0.0), np.where(found > 0, left, 0.0)
    others = _arrived(shape, rate * running, _OTHERS)
    chunk = np.maximum(room.budget - batch.decode[at], 1.0)
    bare, part = batch.bare[at], UNIFORM[_LEFT]
    tokens = left + others * (1.0 - part) + own
    whole = np.floor(tokens / chunk)
    last = bare + adding(np.minimum(left + others + own, chunk))
    rest = np.where(whole > 0, bare + adding(tokens - whole * chunk), last)
    return _Arrivals(
        law=law,
        shape=shape,
        room=room,
        rate=rate,
        batch=batch,
        found=found,
        at=at,
        chunk=chunk,
        own=own,
        running=running,
        left=left,
        others=others,
        steps=np.where(found > 0, part, 0.0) + whole + 1.0,
        served=part * running + whole * batch.full[at] + rest,
    )


def _first_token(come: _Arrivals, factor: float) -> Column:
    """Return the times to first token.

    A request waits for a seat, then for the end of the running step, then for the steps that
    compute the prompts before it and its own.

    Args:
        come: the requests.
        factor: by which all but the wait for a seat is longer.
    """
    shape, batch, at = come.shape, come.batch, come.at
    u_state = UNIFORM[0]
    full_up = 1.0 - batch.reached[-2]
    waits = np.zeros(len(u_state))
    late = come.found >= len(batch.batches)
    if late.any():
        usual = (1.0 + shape.scatter) / 2.0 / batch.drain
        waits[late] = -usual * np.log((1.0 - u_state[late]) / full_up)
    if batch.spread:
        # Who is there may hold so much that the next does not fit, although on average it would.
        fits = np.maximum(come.room.memory + batch.spread * NORMAL[_FITS], 1.0)
        short = np.maximum(np.minimum(come.found, len(batch.batches)) + 1.0 - fits, 0.0)
        waits += short / np.interp(fits, batch.batches, batch.ends)
    part, chunk, most = UNIFORM[_LEFT], come.chunk, batch.full[at]
    load = np.minimum(come.rate * shape.prompt * most / chunk, 1.0 - 1e-6)
    mean = shape.prompt_square / (2.0 * shape.prompt * (1.0 - load))
    before = come.left + come.others * (1.0 - part)
    # What is ahead is at least what a queue would have that is served without steps; who finds
    # much of the one finds much of the other.
    order = np.argsort(part * come.running + before / chunk * most)
    above = np.empty(len(order))
    above[order] = (np.arange(len(order))[::-1] + 0.5) / len(order)
    backlog = -mean * np.log(np.maximum(np.minimum(above / np.maximum(load, _TINY), 1.0), _TINY))
    fluid = (backlog + come.own) / chunk * most
    return np.asarray(waits + factor * np.maximum(come.served, fluid))


def _running(
    adding: Adding,
    shape: Shape,
    rate: float,
    batch: Steady,
    at: NDArray[np.intp],
    *,
    budget: float,
) -> tuple[Column, Column]:
    """Return the seconds of the step that a request finds running, and what it has no room for.

    Long steps are found more often. A sum of prompts, taken as often as it is long, is one prompt
    taken as often as it is long, and an ordinary sum: so the step has one more prompt in as many
    cases as prompts take time. What came in one step is computed in the next, if that has room.
    """
    bare, most = batch.bare[at], batch.full[at]
    running, left = batch.step[at], np.zeros(len(at))
    room = np.maximum(budget - batch.decode[at], 1.0)
    chance = np.minimum(batch.busy[at] / max(1.0 - float(batch.reached[0]), _TINY), 1.0)
    longer = np.cumsum(shape.prompts)
    for axis, which in zip(_STEPS, _WHICH, strict=True):
        tokens = _arrived(shape, rate * running, axis)
        drawn = UNIFORM[which] / np.maximum(chance, _TINY)
        place = np.minimum(np.searchsorted(longer, drawn * longer[-1]), len(longer) - 1)
        tokens += left + np.where(drawn < 1.0, shape.prompts[place], 0.0)
        left = np.maximum(tokens - room, 0.0)
        running = np.minimum(bare + adding(tokens), most)
    return running, left


def _each(come: _Arrivals) -> Column:
    """Return the mean time per output token of the requests.

    A request sees the batch as it moves during its life, itself included, and the prompts that
    arrive meanwhile. What arrived while its own prompt was computed stands before its second token.
    """
    shape, found, rate = come.shape, come.batch, come.rate
    gaps = np.maximum(_drawn(shape.outputs, UNIFORM[3]) - 1.0, 1.0)
    counts = _begun(come)
    usual = float(np.interp(found.mean, found.batches, found.step))
    returns = np.interp(counts, found.batches, found.returns)
    span = np.maximum(returns * gaps * usual, 1e-3)
    stays = -np.expm1(-span) / span
    # What the batch does later, it does for what comes meanwhile: the prompts that come in between.
    later = np.sqrt(np.maximum(_averaged(span) - stays**2, 0.0) * found.variance)
    swing = NORMAL[_EACH_PROMPTS]
    others = found.mean + (counts - found.mean) * stays + later * swing
    batch = np.clip(others + 1.0, 1.0, found.batches[-1])
    step, full, busy = (
        np.interp(batch, found.batches, one) for one in (found.step, found.full, found.busy)
    )
    # Of those in the batch all decode in a step but whose prompts it computes.
    decode = np.maximum(batch - rate * step, 1.0)
    bare, adding = come.law.without_prompts(decode), come.law.adding(decode)
    window = gaps * bare + adding(np.minimum(come.own + come.others, come.room.budget))
    # Prompts take time in which further ones arrive.
    more = (1.0 - busy**gaps) / (1.0 - busy)
    scatter = (1.0 + shape.prompt_scatter) * more - 1.0
    tokens = _arrived(shape, rate * window, _EACH_PROMPTS, scatter=scatter) * more
    # None of them is computed before it has a seat: one that was free, or that another has left.
    left = (batch - 1.0) * gaps / shape.output
    seats = np.maximum(come.room.seats - 1.0 - counts, 0.0) + left + swing * np.sqrt(left)
    tokens = np.minimum(tokens, shape.prompt * np.maximum(seats, 0.0))
    arrivals = rate * bare / (1.0 - busy)
    size = shape.prompt * arrivals / np.maximum(-np.expm1(-arrivals), _TINY)  # in a step with any
    steps = np.clip(tokens / size, 1.0, gaps)
    each = bare + adding(tokens / steps) * steps / gaps
    return np.asarray(np.minimum(each, full))


def _begun(come: _Arrivals) -> Column:
    """Return how many others are in the batch when requests have their first token.

    While their prompts are computed, and those before them, others come; but steps are few, so
    hardly anybody ends.
    """
    found = come.batch
    counts = np.concatenate(((0.0,), found.batches))[np.minimum(come.found, len(found.batches))]
    ends = np.interp(counts, found.batches, found.ends, left=0.0)
    usual = come.steps * np.interp(counts, found.batches, found.step)
    came = come.rate * come.served - ends * np.minimum(usual, come.served)
    return np.clip(counts + came, 0.0, found.batches[-1])


def _gap(come: _Arrivals) -> float:
    """Return the 95th percentile of the time from one token to the next."""
    batch = come.batch
    at = np.clip(come.found, 1, len(batch.batches)) - 1
    tokens = _arrived(come.shape, come.rate * batch.step[at], _EACH_PROMPTS)
    times = batch.bare[at] + come.law.prompts(tokens, batch.decode[at])
    return _percentile(np.minimum(times, batch.full[at]), batch.decode[at])


def _averaged(spans: Column) -> Column:
    """Return by how much the variance of a process falls when it is averaged over a span.

    Args:
        spans: as multiples of the time in which its correlation falls to 1/e.
    """
    spans = np.maximum(spans, 1e-3)
    return np.asarray(2.0 * (np.expm1(-spans) + spans) / spans**2)


def _arrived(shape: Shape, mean: Column, axis: int, *, scatter: Column | None = None) -> Column:
    """Return the prompt tokens of so many requests as a Poisson process brings.

    Args:
        shape: of the requests.
        mean: requests that come on average, at each point.
        axis: the first of the two axes of the points that are used.
        scatter: of the tokens that each of them brings, variance against the square of the mean;
            that of the prompts if None.
    """
    most = int(np.searchsorted(SMALLEST, mean.max(), side="right"))
    few = (mean >= THRESHOLDS[:most].take(PLACES[axis], axis=1)).sum(axis=0)
    count = np.where(
        mean < MOST_COUNTED, few, np.maximum(np.rint(mean + NORMAL[axis] * np.sqrt(mean)), 0.0)
    )
    some = np.maximum(count, 1.0)
    # Sums of lengths as gamma distributed (Wilson & Hilferty 1931).
    ninth = (shape.prompt_scatter if scatter is None else scatter) / (9.0 * some)
    size = np.maximum(1.0 - ninth + NORMAL[axis + 1] * np.sqrt(ninth), 0.0) ** 3
    return np.asarray(count * shape.prompt * size)


def _drawn(quantiles: Column, chance: Column) -> Column:
    """Return the values of a distribution, told at the middles of equal shares, at some shares."""
    return np.interp(chance * len(quantiles) - 0.5, np.arange(len(quantiles)), quantiles)


def _percentile(values: Column, weights: Column | None = None) -> float:
    """Return the 95th percentile of values, which may count differently.

    Of a few hundred values a single one is chance, and load after load another one: it is the mean
    of those about it.
    """
    if weights is None:
        first = len(values) - len(_ABOUT)
        return float(_ABOUT @ np.sort(np.partition(values, first)[first:]))
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    middle = (reached - 0.5 * weights[order]) / reached[-1]
    return float(np.interp(TAIL, middle, values[order]))


def _about() -> Column:
    """Return the weights of the last of the points, in their order, in the percentile."""
    shares = (np.arange(COUNT) + 0.5) / COUNT
    weights = np.maximum(1.0 - np.abs(shares - TAIL) / _BESIDE, 0.0)
    weights = weights[np.flatnonzero(weights)[0] :]
    return np.asarray(weights / weights.sum())


_ABOUT: Final[Column] = _about()
