"""The batch of an engine at a load: how many requests are in it, and how long its steps take.

An engine shares its steps among the requests in its batch, and its steps get longer with the batch:
a state-dependent processor-sharing queue. The distribution of the number of its requests depends
on their lengths only by the mean (Cohen 1979, The multiple phase service network with generalized
processor sharing): pi(n) is proportional to the product of rate · stay(j) / j over j up to n. What
is beyond the batch's limit waits, and the rate at which requests end stays as it is. Where the KV
cache limits it, requests run as far as they fit, which depends on what each of them holds.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np

from agent.analysis.capacity.law import Adding, Law
from agent.analysis.capacity.room import AGAIN, FURTHEST, Fitting, Room
from agent.analysis.window import Column

_TINY: Final = 1e-12
_DECODE_ROUNDS: Final = 2
_BUSY_ROUNDS: Final = 3
_GRID: Final = 20
_TRIED: Final = 11  # seats, where nobody tells them
_WIDEST: Final = 30.0
_BUSIEST: Final = 0.995  # of a step's time that prompts take; at all of it nothing else is done


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Lengths of requests.

    Attributes:
        prompts: prompt tokens that are computed: quantiles at the middles of equal shares.
        outputs: tokens generated, likewise.
        prompt: mean of the prompts.
        prompt_square: mean of their squares.
        output: mean of the outputs.
        prompt_scatter: variance of the prompts against the square of their mean.
        scatter: likewise of the outputs.
        held_scatter: likewise of the KV tokens that a request in the batch holds.
        overlap: mean of the shorter of two outputs, against the mean.
    """

    prompts: Column
    outputs: Column
    prompt: float
    prompt_square: float
    output: float
    prompt_scatter: float
    scatter: float
    held_scatter: float
    overlap: float

    @classmethod
    def of(cls, prompts: Column, outputs: Column) -> "Shape":
        """Return the shape of quantiles."""
        output = float(outputs.mean())
        # Who is in the batch has a long answer, of which a part is there, all parts alike.
        square = float((outputs**2).mean())
        part = square / (2.0 * output)
        parts = float((outputs**3).mean()) / (3.0 * output)
        held = (prompts.var() + parts - part**2) / (prompts.mean() + part) ** 2
        return cls(
            prompts=prompts,
            outputs=outputs,
            prompt=float(prompts.mean()),
            prompt_square=float((prompts**2).mean()),
            output=output,
            prompt_scatter=float(prompts.var() / np.maximum(prompts.mean(), 1.0) ** 2),
            scatter=float(outputs.var()) / max(output, 1.0) ** 2,
            held_scatter=float(held),
            overlap=_shorter(outputs) / output,
        )


@dataclass(frozen=True, slots=True)
class Steady:
    """The batch at a load.

    Attributes:
        batches: requests in the batch while 1, 2, … are there; fewer where not all of them fit.
        ends: requests a second that end, of each.
        spread: standard deviation of the requests that fit into the KV cache; 0 for any number.
        decode: sequences that decode, of each.
        bare: seconds of a step without prompts, of each.
        step: mean seconds of a step, of each.
        full: seconds of a step that is full of tokens, of each.
        reached: share of arrivals that find so many or fewer, beginning with none.
        busy: share of a step's time that prompts take, of each.
        drain: requests a second by which a full engine is faster than they come.
        mean: requests in the batch.
        gap: mean seconds between two tokens of a request.
        variance: of the requests in the batch.
        returns: how quickly it returns to its mean from each, a second.
    """

    batches: Column
    ends: Column
    spread: float
    decode: Column
    bare: Column
    step: Column
    full: Column
    reached: Column
    busy: Column
    drain: float
    mean: float
    gap: float
    variance: float
    returns: Column


def saturation(law: Law, shape: Shape, room: Room) -> float:
    """Return the requests a second at which the queue begins to grow without end.

    The batch is at its limit and each step computes the prompts of as many as leave, or, before
    that, every step is full of tokens.
    """
    fit = Fitting.of(room, np.array([room.seats]), scatter=shape.held_scatter)
    again = AGAIN * float(fit.full[0]) * shape.output
    each = shape.prompt + again + shape.output - 1.0
    decode = min(
        float(fit.running[0]) * (shape.output - 1.0) / shape.output,
        room.budget * (shape.output - 1.0) / each,
    )
    tokens = decode * each / (shape.output - 1.0)  # of a step, prompts of those that come in it
    come = np.array([decode / (shape.output - 1.0)])
    more = np.array(1.0 + again / shape.prompt)
    chunk = np.maximum(room.budget - np.array([decode]), 1.0)
    # As many come in each step as end in it, however long it takes.
    some = np.maximum(-np.expm1(-come), _TINY)
    adding = law.adding(np.array([decode]))
    added = _added(adding, shape, come, more, some=some, chunk=chunk)
    step = float(law.without_prompts(np.array(decode)) + added[0])
    return tokens / (each * step)


def most_served(law: Law, shape: Shape, room: Room) -> float:
    """Return the seats, of up to those of a room, with which a full engine serves most."""
    # Beyond what fits into the KV cache no seat changes anything.
    half = room._replace(seats=0.5 * min(room.seats, room.memory))
    if saturation(law, shape, room) >= saturation(law, shape, half):
        return room.seats
    seats = np.geomspace(1.0, room.seats, _TRIED)
    served = [saturation(law, shape, room._replace(seats=float(some))) for some in seats]
    return float(seats[int(np.argmax(served))])


def steady(law: Law, shape: Shape, room: Room, rate: float) -> Steady | None:
    """Return the batch at a load; None where the queue grows without end."""
    spread = room.spread(shape.held_scatter)
    seats = min(room.seats, room.memory + FURTHEST * spread)
    most = max(1, int(seats))
    there = np.arange(1.0, most + 1.0)
    there[-1] = max(1.0, seats)  # the last one stands for what is left of a seat too
    fit = Fitting.of(room, there, scatter=shape.held_scatter)
    # As `numpy.unique` of them, which imports `numpy.ma`.
    counted = np.geomspace(1.0, most, _GRID).astype(np.intp)
    at_grid = counted[np.append(True, counted[1:] > counted[:-1])] - 1
    grid, running = there[at_grid], fit.running[at_grid]
    more = 1.0 + AGAIN * fit.full[at_grid] * shape.output / shape.prompt
    free, wait = room.seats - grid, fit.full[at_grid]
    decode = running * ((shape.output - 1.0) / shape.output)
    stay = step = bare = full = busy = grid
    for _ in range(_DECODE_ROUNDS):
        bare, adding = law.without_prompts(decode), law.adding(decode)
        chunk = np.maximum(room.budget - decode, 1.0)
        full = bare + adding(chunk)
        busy, step, late = _busy(
            adding, shape, rate, bare, more, full=full, chunk=chunk, free=free, wait=wait
        )
        stay = _stay(shape, rate, busy, bare, step, more=more)
        # Where all are there in each step, each takes as many as it has tokens.
        stay += late * (shape.output * step - stay)
        decode = running * np.minimum((shape.output - 1.0) * step / stay, 1.0)
    # All of these are smooth in the batch.
    decode, bare, full, busy, step, stay = (
        np.interp(there, grid, one) for one in (decode, bare, full, busy, step, stay)
    )
    batches = fit.running
    load = rate * stay / batches
    # A number with the same drift that moves about more: by what groups add to its variance, as
    # many come besides as end besides. So as many end as come, at any load.
    wider = _wider(shape, busy, room.seats - there)
    ends = batches / stay  # requests that leave, a second
    besides = (wider - 1.0) * ends
    load = (rate + np.concatenate(((0.0,), besides[:-1]))) / (wider * ends)
    waiting = float((rate + besides[-1]) / (wider[-1] * ends[-1]))
    if waiting >= 1.0 or rate >= saturation(law, shape, room):
        return None
    logs = np.concatenate(((0.0,), np.cumsum(np.log(load))))
    weights = np.exp(logs - logs.max())
    tail = weights[-1] * waiting / (1.0 - waiting)
    total = weights.sum() + tail
    reached = np.cumsum(weights) / total
    counts = np.concatenate(((0.0,), batches))
    mean = float((weights @ counts + tail * batches[-1]) / total)
    square = float((weights @ counts**2 + tail * batches[-1] ** 2) / total)
    seen = np.append(weights[1:-1], weights[-1] + tail) * decode
    return Steady(
        batches=batches,
        ends=ends,
        spread=spread,
        decode=decode,
        bare=bare,
        step=step,
        full=full,
        reached=reached,
        busy=busy,
        drain=float(ends[-1]) - rate,
        mean=mean,
        gap=float(seen @ step / seen.sum()),
        variance=max(square - mean * mean, 0.0),
        returns=_returns(batches, ends, rate) * 2.0 / (1.0 + shape.scatter),
    )


def _returns(batches: Column, ends: Column, rate: float) -> Column:
    """Return how quickly a batch goes to where as many end as come, against how far that is.

    The more there are, the less is gained by one more, so a large batch takes its time.
    """
    at = int(np.argmax(ends >= rate))
    before, few = (float(batches[at - 1]), float(ends[at - 1])) if at else (0.0, 0.0)
    slope = (float(ends[at]) - few) / max(float(batches[at]) - before, _TINY)
    apart = batches - before - (rate - few) / slope
    there = np.abs(apart) < _TINY
    chord = (ends - rate) / np.where(there, 1.0, apart)
    return np.maximum(np.where(there, slope, chord), 0.0)


def _shorter(lengths: Column) -> float:
    """Return the mean of the shorter one of two lengths."""
    some, count = np.sort(lengths), len(lengths)
    return float(some @ (2.0 * np.arange(count)[::-1] + 1.0)) / count**2


def _wider(shape: Shape, busy: Column, free: Column) -> Column:
    """Return the variance of the number of requests, against that of some that come one by one.

    While a prompt is computed nobody gets on, but others come: to those that decode, requests come
    in groups X, as many as come in the busy period that one prompt begins (Borel 1942; here with
    prompts of different lengths). Those of a group are there together until one of them ends: the
    variance is 1 + overlap · E[X (X - 1)] / E[X] times as large (Holman, Chaudhry & Kashyap 1983,
    On the service system M^X/G/infinity).
    """
    group = busy * (2.0 - busy + shape.prompt_scatter * busy) / (1.0 - busy) ** 2
    return np.minimum(1.0 + shape.overlap * np.clip(group, 0.0, free), _WIDEST)


def _busy(
    adding: Adding,
    shape: Shape,
    rate: float,
    bare: Column,
    more: Column,
    *,
    full: Column,
    chunk: Column,
    free: Column,
    wait: Column,
) -> tuple[Column, Column, Column]:
    """Return the share of its time that a step spends on prompts, and its mean seconds.

    And the share of those that come who have to wait until another has ended.

    What prompts add depends on how many come in one step, and that on how long it takes. In a long
    step more come, which the next one computes: steps with prompts follow each other, are fewer
    than if all were as long as the mean one, and have more to compute.
    """
    step = long = bare
    busy = late = np.zeros(len(bare))
    after = -np.expm1(-rate * bare)
    for _ in range(_BUSY_ROUNDS):
        some = np.maximum(after / (after + np.exp(-rate * long)), _TINY)
        # Who finds no seat, or a full cache, is computed when another has ended.
        late = np.clip(1.0 - free / np.maximum(rate * long, _TINY), wait, 1.0)
        some += late * (-np.expm1(-rate * step) - some)
        added = _added(adding, shape, rate * step, more, some=some, chunk=chunk)
        busy = np.minimum(added / step, _BUSIEST)
        step = np.minimum(bare / (1.0 - busy), full)
        long = bare + (step - bare) / some
    return busy, step, late


def _added(
    adding: Adding, shape: Shape, come: Column, more: Column, *, some: Column, chunk: Column
) -> Column:
    """Return the mean seconds that prompts add to a step in which so many come on average.

    What a step has no room for is computed in further ones, of which each reads the weights anew:
    beside that reading a part of a prompt takes less than its share of the whole.

    Args:
        adding: seconds that prompt tokens add.
        shape: of the requests.
        come: on average.
        more: by how many times more tokens are computed than these have.
        some: share of the steps in which any come.
        chunk: tokens for which a step has room.
    """
    tokens = more * shape.prompt * come / some
    spread = sqrt(shape.prompt_scatter) / np.sqrt(np.maximum(come, 1.0))
    high, low = tokens * (1.0 + spread), tokens * np.maximum(1.0 - spread, 0.0)
    if (high <= chunk).all():
        return np.asarray(0.5 * some * (adding(low) + adding(high)))
    left, added = np.ones(len(chunk)), np.zeros(len(chunk))
    for each in (high, low):
        brought = 0.5 * some * each
        steps = np.minimum(np.maximum(0.5 * some, brought / chunk), left)
        left -= steps
        added += steps * adding(np.minimum(brought / np.maximum(steps, _TINY), chunk))
    return added


def _stay(
    shape: Shape, rate: float, busy: Column, bare: Column, step: Column, *, more: Column
) -> Column:
    """Return the mean seconds that a request is in a batch.

    The step that computes its prompt is longer than others by that prompt, and by those that came
    in the step before, which is likely a long one; what comes in it makes the next one longer too.
    """
    prompt = busy / (rate * shape.prompt * more)
    scatter = prompt**2 * rate * shape.prompt_square / (1.0 - busy**2)
    own = bare + prompt * shape.prompt * (1.0 + rate * (step + scatter))
    gaps = shape.output - 1.0
    longer = np.maximum(own - step, 0.0)
    return np.asarray(gaps * step + own + longer * busy * (1.0 - busy**gaps) / (1.0 - busy))
