"""What requests look like now: lengths, cache hits, tokens held; as far back as nothing changed."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isnan, log1p, sqrt
from typing import Any, Final, NamedTuple

import numpy as np

from agent.analysis.capacity.slot import Slot, Spread, scatter_of, together
from agent.analysis.capacity.steady import Shape
from agent.analysis.window import Column

LONGEST: Final = 3600.0
"""Seconds after which requests are forgotten although nothing has changed."""

CHANGED: Final = 4.5
"""Standard errors by which new requests must differ from those before to be another mix."""

DIFFERENT: Final = 0.08
"""And by at least so much, as the logarithm of a length."""

FEWEST: Final = 30.0
"""Requests that a mix must rest on."""

_NEWEST: Final = (2, 4, 6, 8, 12, 16, 20)  # slots of which it is asked if they are another mix
_LEAST_SCATTER: Final = 0.1  # of the logarithm of a length
_FEW: Final = 12.0  # requests that these must have
_QUANTILES: Final = 64
_JOINED: Final = 600.0  # seconds that a slot has that is kept beyond a run
_WIDEST: Final = 12.0  # logarithm of the longest against the shortest
_ROUNDS: Final = 4
_TINY: Final = 1e-12
_SPREAD: Final = 0.5  # of lengths where no histogram tells it, against their mean
_SHARED: Final = 0.05  # of prompts found in the cache from which on requests may share


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the requests of one mix look like.

    Attributes:
        shape: lengths, prompts without what was found in the cache.
        prompt: mean tokens of a prompt, what was found in the cache included.
        cached: share of the prompt tokens that was found in the cache.
        held: KV tokens for each request in the batch; NaN where the engine does not say.
        shared: KV tokens that are held whatever the batch.
        counted: whether requests are counted; else lengths follow from what is held.
        requests: how many there were; of tokens where requests are not counted.
        error: relative standard error of the tokens of a request.
        since: Unix seconds of the oldest.
        rates: lowest and highest load, tokens a minute.
    """

    shape: Shape
    prompt: float
    cached: float
    held: float
    shared: float
    counted: bool
    requests: float
    error: float
    since: float
    rates: tuple[float, float]

    @property
    def tokens(self) -> float:
        """Prompt and generated tokens of a request."""
        return self.prompt + self.shape.output


class _Loads(NamedTuple):
    """Loads in tokens a minute that were seen until a time in Unix seconds."""

    until: float
    lowest: float
    highest: float


class MixTracker:
    """Follows the requests of one replica.

    Attributes:
        changed: Unix seconds since which the mix is another; None if it never changed.
    """

    def __init__(self) -> None:
        self._slots: deque[Slot] = deque()
        self._kept: _Loads | None = None
        self.changed: float | None = None

    def add(self, slot: Slot) -> None:
        """Take the newest seconds; forget what was before a change, is too old, or yet to come."""
        while self._slots and self._slots[-1].end > slot.end:  # the clock was set back
            self._slots.pop()
        if self.changed is not None and self.changed > slot.end:
            self.changed = None
        self._slots.append(slot)
        while self._slots[0].end < slot.end - LONGEST:
            self._slots.popleft()
        slots = [*self._slots]
        apart = {
            newest: _apart(slots[:-newest], slots[-newest:])
            for newest in _NEWEST
            if len(slots) > newest
        }
        newest = max(apart, key=lambda one: apart[one], default=0)
        if newest and apart[newest] > CHANGED:
            self.changed = slots[-newest].begin
            for _ in range(len(slots) - newest):
                self._slots.popleft()

    def slots(self) -> Sequence[Slot]:
        """Return the seconds since the last change."""
        return [*self._slots]

    def seen(self) -> Seen | None:
        """Return what requests look like; None while there are too few."""
        slots = self.slots()
        generated = _sum(slot.generated for slot in slots)
        prompt = _sum(slot.prompt for slot in slots)
        if not (slots and generated > 0 and prompt > 0):
            return None
        cached = min(max(_sum(slot.cached for slot in slots) / prompt, 0.0), 0.99)
        held, shared = _held(slots, cached)
        requests = _sum(slot.requests for slot in slots)
        counted = requests > 0
        prompts, outputs = (together([slot.lengths[at] for slot in slots]) for at in (0, 1))
        if counted:
            if requests < FEWEST:
                return None
            mean = prompt / requests
            output = _output(slots, generated, requests, outputs)
        else:
            # A request at work holds its prompt and half of its output, on average.
            output = held / (prompt / generated + 0.5)
            mean = output * prompt / generated
            requests = generated / output if output > 0 else 0.0
            if isnan(output) or requests < FEWEST:
                return None
        output = max(output, 1.05)
        some, others = (
            scatter_of(one) for one in sum((slot.sums for slot in slots), np.zeros((2, 4)))
        )
        shape = Shape.of(
            _scaled(prompts, mean * (1.0 - cached), some), _scaled(outputs, output, others)
        )
        if isnan(held):
            held = mean + output * (1.0 + shape.scatter) / 2.0
        spread = shape.prompt_scatter * shape.prompt**2 + shape.scatter * output**2
        return Seen(
            shape=shape,
            prompt=mean,
            cached=cached,
            held=held,
            shared=shared,
            counted=counted,
            requests=requests,
            error=sqrt(spread / requests) / (mean + output),
            since=slots[0].begin,
            rates=self._rates(slots),
        )

    def _rates(self, slots: Sequence[Slot]) -> tuple[float, float]:
        """Return the lowest and the highest load of half minutes, those of a former run included.

        What was kept of that run are slots of many minutes, whose load is a mean.
        """
        rates, kept = _rates(slots), self._kept
        if kept is None or slots[0].begin >= kept.until:
            return rates
        return min(rates[0] or kept.lowest, kept.lowest), max(rates[1], kept.highest)

    def state(self) -> dict[str, Any]:
        """Return what has been seen, in slots of ten minutes, as what JSON can hold."""
        loads = None
        if self._slots:
            loads = [self._slots[-1].end, *self._rates([*self._slots])]
        return {
            "changed": self.changed,
            "slots": [_kept(slot) for slot in _merged(self._slots)],
            "loads": loads,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave."""
        changed = state["changed"]
        # States of earlier versions have no loads.
        loads = state.get("loads")
        kept_loads = None if loads is None else _Loads(*map(float, loads))
        self._slots = deque(_restored(kept) for kept in state["slots"])
        self._kept = kept_loads
        self.changed = None if changed is None else float(changed)


def _apart(before: Sequence[Slot], after: Sequence[Slot]) -> float:
    """Return by how many standard errors the requests of some seconds differ from those before."""
    return max(_errors_apart(*(_lengths(slots, at) for slots in (before, after))) for at in (0, 1))


def _lengths(slots: Sequence[Slot], at: int) -> tuple[float, float, float]:
    """Return number, mean and variance of the logarithm of the lengths of prompts or outputs."""
    spread = together([slot.lengths[at] for slot in slots])
    if spread is None:
        return 0.0, 0.0, 0.0
    return (spread.count, *Spread(np.log(spread.middles), spread.weights).moments)


def _errors_apart(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """Return by how many standard errors two means differ, 0 where it is hardly at all."""
    count, mean, variance = one
    count_after, mean_after, variance_after = other
    apart = abs(mean_after - mean)
    if min(count, count_after) < _FEW or apart < DIFFERENT:
        return 0.0
    # A distribution that is seen for a minute may not have shown its tail: the larger variance.
    most = max(variance, variance_after, _LEAST_SCATTER**2)
    return apart / sqrt(most * (1.0 / count + 1.0 / count_after))


def _output(
    slots: Sequence[Slot], generated: float, requests: float, outputs: Spread | None
) -> float:
    """Return the mean tokens generated for a request that began in these seconds.

    What those running at the end will still get comes on top, what those at the beginning still
    got goes off: half an output each, more where lengths differ.
    """
    plain = generated / requests
    scatter = _SPREAD**2
    if outputs is not None:
        mean, variance = outputs.moments
        scatter = variance / max(mean, 1.0) ** 2
    more = slots[-1].running[1] - slots[0].running[0]
    return plain / max(0.5, 1.0 - 0.5 * (1.0 + scatter) * more / requests)


def _held(slots: Sequence[Slot], cached: float) -> tuple[float, float]:
    """Return the KV tokens of each request in the batch, and what is held besides."""
    looks, n, kv, squares, products = sum((slot.held for slot in slots), np.zeros(5)).tolist()
    if n <= 0:
        return float("nan"), 0.0
    ratio = kv / n
    spread = squares - n * n / looks
    if cached < _SHARED or spread <= looks:
        return ratio, 0.0
    each = (products - n * kv / looks) / spread
    each = min(max(each, ratio * (1.0 - cached)), ratio)
    return each, max(0.0, (kv - each * n) / looks)


def _scaled(spread: Spread | None, mean: float, scatter: float | None) -> Column:
    """Return quantiles with a certain mean, at least 1.

    A histogram tells the form of a distribution; how wide it is, the second by second counts tell
    better, which know nothing of buckets, and of prompts what was not found in the cache.

    Args:
        spread: as a histogram has it.
        mean: tokens.
        scatter: variance against the square of the mean; None if only the histogram tells it.
    """
    if spread is None:
        points = np.exp(_SPREAD * np.linspace(-2.0, 2.0, _QUANTILES))
    else:
        points = spread.quantiles(_QUANTILES)
    if scatter is not None:
        points = _spread_to(points, scatter)
    return np.asarray(np.maximum(points * (mean / points.mean()), 1.0))


def _spread_to(points: Column, scatter: float) -> Column:
    """Return quantiles that are drawn apart or together, in the logarithm, to a certain scatter."""
    logs = np.log(np.maximum(points, 1.0))
    if logs[-1] <= logs[0]:
        logs = np.linspace(-2.0, 2.0, len(points))
    logs = logs - logs.mean()
    power, most = 1.0, _WIDEST / float(logs[-1] - logs[0])
    found = np.exp(logs)
    for _ in range(_ROUNDS):
        # Exact where the logarithms are normally distributed.
        now = log1p(float(found.var()) / float(found.mean()) ** 2)
        power = min(power * sqrt(log1p(scatter) / max(now, _TINY)), most)
        found = np.exp(power * logs)
    return np.asarray(found)


def _rates(slots: Sequence[Slot]) -> tuple[float, float]:
    """Return the lowest and the highest load of half minutes, tokens a minute."""
    rates = [
        60.0 * (one.prompt + one.generated + two.prompt + two.generated) / (two.end - one.begin)
        for one, two in pairwise(slots)
        if two.end > one.begin
    ]
    known = [rate for rate in rates if not isnan(rate)]
    return (min(known), max(known)) if known else (0.0, 0.0)


def _sum(values: Iterator[float]) -> float:
    """Return a sum over what is known."""
    return sum(value for value in values if not isnan(value))


def _merged(slots: Sequence[Slot] | deque[Slot]) -> list[Slot]:
    """Return the slots joined to some of ten minutes."""
    groups: list[list[Slot]] = []
    for slot in slots:
        if groups and slot.end - groups[-1][0].begin <= _JOINED:
            groups[-1].append(slot)
        else:
            groups.append([slot])
    return [_joined(group) for group in groups]


def _joined(slots: Sequence[Slot]) -> Slot:
    """Return several slots as one."""
    first, last = slots[0], slots[-1]
    return Slot(
        begin=first.begin,
        end=last.end,
        requests=_sum(slot.requests for slot in slots),
        prompt=_sum(slot.prompt for slot in slots),
        cached=_sum(slot.cached for slot in slots),
        generated=_sum(slot.generated for slot in slots),
        running=(first.running[0], last.running[1]),
        held=sum((slot.held for slot in slots), np.zeros(5)),
        gaps=(0.0, 0.0),
        queued=(0.0, 0.0),
        plateau=0.0,
        usage=0.0,
        lengths=(
            together([slot.lengths[0] for slot in slots]),
            together([slot.lengths[1] for slot in slots]),
        ),
        times=(None, None),
        sums=sum((slot.sums for slot in slots), np.zeros((2, 4))),
    )


_NUMBERS: Final = ("begin", "end", "requests", "prompt", "cached", "generated")


def _kept(slot: Slot) -> dict[str, Any]:
    """Return a slot as what JSON can hold."""
    return {
        **{name: getattr(slot, name) for name in _NUMBERS},
        "running": [*slot.running],
        "held": slot.held.tolist(),
        "sums": slot.sums.tolist(),
        "lengths": [
            None if one is None else [one.middles.tolist(), one.weights.tolist()]
            for one in slot.lengths
        ],
    }


def _restored(kept: Mapping[str, Any]) -> Slot:
    """Return the slot that was kept."""
    begin, end = (float(value) for value in kept["running"])
    prompts, outputs = (_spread(one) for one in kept["lengths"])
    held = np.array(kept["held"], dtype=float)
    if held.shape != (5,):
        raise ValueError("expected five sums of tokens held")
    # States of earlier versions have no sums.
    sums = np.array(kept.get("sums", np.zeros((2, 4))), dtype=float)
    if sums.shape != (2, 4):
        raise ValueError("expected four sums of two lengths")
    first, last, requests, prompt, cached, generated = (float(kept[name]) for name in _NUMBERS)
    return Slot(
        begin=first,
        end=last,
        requests=requests,
        prompt=prompt,
        cached=cached,
        generated=generated,
        running=(begin, end),
        held=held,
        gaps=(0.0, 0.0),
        queued=(0.0, 0.0),
        plateau=0.0,
        usage=0.0,
        lengths=(prompts, outputs),
        times=(None, None),
        sums=sums,
    )


def _spread(kept: Any) -> Spread | None:
    """Return the observations that were kept."""
    if kept is None:
        return None
    middles, weights = (np.array(values, dtype=float) for values in kept)
    if middles.shape != weights.shape or middles.ndim != 1:
        raise ValueError("bins and weights do not belong together")
    return Spread(middles, weights)
