"""How much load an engine truly bears, found by simulating it under ever other loads."""

import math
import random
from dataclasses import dataclass

from tests.simulator.engine import Engine
from tests.simulator.law import StepLaw
from tests.simulator.limits import Limits
from tests.simulator.meter import quantile
from tests.simulator.truth import Targets
from tests.simulator.workload import ClosedLoop, Mixes, OpenLoop, steady


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What an engine bears.

    Attributes:
        rate: highest open-loop requests a second at which 95 of 100 meet both targets.
        saturated: requests a second when there is always another one waiting; at more than that
            the queue grows without end.
        tokens: prompt and output tokens a minute at `rate`.
        saturated_tokens: likewise at `saturated`.
        binding: the target that the next higher load misses: `first_token`, `inter_token` or
            `both`; `stability` where both are met up to saturation; empty where even the lowest
            load misses one.
    """

    rate: float
    saturated: float
    tokens: float
    saturated_tokens: float
    binding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a load did to an engine.

    Attributes:
        rate: requests finished a second.
        tokens: prompt and output tokens a minute.
        first_token: 95th percentile in seconds.
        inter_token: likewise.
    """

    rate: float
    tokens: float
    first_token: float
    inter_token: float


def capacity(
    law: StepLaw,
    mix: Mixes,
    limits: Limits,
    targets: Targets,
    *,
    seed: int = 0,
    requests: int = 3000,
    precision: float = 0.01,
) -> Capacity:
    """Return what an engine bears, by bisection.

    Args:
        law: how long its steps take.
        mix: what requests look like.
        limits: what it is started with.
        targets: what is fast enough.
        seed: of the arrivals and lengths, the same for every load that is tried.
        requests: how many are simulated at each load, a quarter of them before anything counts.
        precision: relative width at which the search ends.
    """
    full = saturation(law, mix, limits, seed=seed, requests=requests)
    low, high = 0.0, full.rate
    best: Load | None = None
    binding = "stability"
    while high - low > precision * full.rate:
        middle = 0.5 * (low + high)
        found = under(law, mix, limits, middle, seed=seed, requests=requests)
        missed = [
            name
            for name in ("first_token", "inter_token")
            if not getattr(found, name) <= getattr(targets, name)
        ]
        if missed:
            high, binding = middle, "both" if len(missed) > 1 else missed[0]
        else:
            low, best = middle, found
    return Capacity(
        rate=low,
        saturated=full.rate,
        tokens=best.tokens if best else 0.0,
        saturated_tokens=full.tokens,
        binding=binding if best else "",
    )


def under(
    law: StepLaw, mix: Mixes, limits: Limits, rate: float, *, seed: int = 0, requests: int = 3000
) -> Load:
    """Return what an open-loop load does to an engine."""
    dice = random.Random(seed)
    workload = OpenLoop(mix, steady(rate), highest=rate, dice=dice)
    engine = Engine(law, limits, workload, dice=random.Random(seed + 1))
    seconds = requests / rate
    return _measure(engine, 0.25 * seconds, seconds)


def saturation(
    law: StepLaw, mix: Mixes, limits: Limits, *, seed: int = 0, requests: int = 3000
) -> Load:
    """Return what an engine does that always has another request waiting."""
    dice = random.Random(seed)
    clients = 2 * limits.max_num_seqs + 8
    workload = ClosedLoop(mix, [(0.0, clients)], dice=dice)
    engine = Engine(law, limits, workload, dice=random.Random(seed + 1))
    end = 1.0
    # The first batch begins and ends together; only after some turns does it mix.
    while engine.meter.counts[8] < max(0.5 * requests, 2.0 * clients):
        engine.advance(end)
        end *= 1.2
    begin, before = engine.now, engine.meter.counts[:]
    while engine.meter.counts[8] - before[8] < requests:
        engine.advance(end)
        end *= 1.1
    return _load(engine, before, engine.now - begin, math.nan, math.nan)


def _measure(engine: Engine, begin: float, end: float) -> Load:
    """Return what an engine does between two moments."""
    engine.advance(begin)
    before = engine.meter.counts[:]
    first = [*engine.meter.first_token.counts]
    inter = [*engine.meter.inter_token.counts]
    engine.advance(end)
    # Who still waits has no first token yet, and will be late.
    new = [b - a for a, b in zip(first, engine.meter.first_token.counts, strict=True)]
    new[-1] += engine.waiting
    gaps = [b - a for a, b in zip(inter, engine.meter.inter_token.counts, strict=True)]
    return _load(engine, before, end - begin, quantile(new, 0.95), quantile(gaps, 0.95))


def _load(engine: Engine, before: list[float], span: float, first: float, inter: float) -> Load:
    """Return a load from counts."""
    counts = engine.meter.counts
    tokens = counts[3] - before[3] + counts[6] - before[6]
    return Load(
        rate=(counts[8] - before[8]) / span,
        tokens=60.0 * tokens / span,
        first_token=first,
        inter_token=inter,
    )
