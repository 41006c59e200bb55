"""How much load an engine truly bears, found by simulating it under ever other loads.

What keeps it from bearing more is found by counterfactual: each limit and each target is relaxed
alone, and the one whose relaxing lets it bear most binds.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from tests.simulator.disturb import Disturbance, surroundings
from tests.simulator.engine import Engine
from tests.simulator.law import StepLaw
from tests.simulator.limits import Limits
from tests.simulator.meter import Meter, quantile
from tests.simulator.request import Request
from tests.simulator.truth import Targets
from tests.simulator.workload import ClosedLoop, Mixes, OpenLoop, steady

Criterion: TypeAlias = Literal["request", "gap"]
"""Whose 95th percentile the target between tokens is about: requests' means, or single gaps."""

RUNGS: Final = (1.04, 1.12, 1.3, 1.7)
"""Loads, as multiples of what an engine bears, at which relaxed ones are tried."""

_LIKE: Final = 1.5  # rungs at which two that fail together are as good as each other
_FLAT: Final = 1e-9


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
        inter_token: likewise, by the criterion.
    """

    rate: float
    tokens: float
    first_token: float
    inter_token: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """An engine whose capacity is looked for.

    Attributes:
        law: how long its steps take.
        mix: what requests look like.
        limits: what it is started with.
        targets: what is fast enough.
        criterion: whose 95th percentile the target between tokens is about.
        disturbances: what happens to it all the time.
        seed: of the arrivals and lengths, the same for every load that is tried.
        requests: how many are simulated at each load, a quarter of them before anything counts.
        seconds: how long is simulated at least: a queue that is nearly unstable takes its time.
    """

    law: StepLaw
    mix: Mixes
    limits: Limits
    targets: Targets
    criterion: Criterion = "gap"
    disturbances: Sequence[Disturbance] = field(default=())
    seed: int = 0
    requests: int = 3000
    seconds: float = 0.0

    def late(self, found: Load) -> float:
        """Return the larger of both latencies against their targets."""
        return max(
            _over(found.first_token, self.targets.first_token),
            _over(found.inter_token, self.targets.inter_token),
        )

    def at(self, rate: float) -> Load:
        """Return what an open-loop load does to the engine."""
        dice = random.Random(self.seed)
        workload = OpenLoop(self.mix, steady(rate), highest=rate, dice=dice)
        engine = Engine(self.law, self.limits, workload, dice=random.Random(self.seed + 1))
        engine.meter = exact = Exact(self.limits.max_model_len)
        seconds = max(self.requests / rate, self.seconds)
        self._advance(engine, 0.25 * seconds)
        before = exact.look()
        self._advance(engine, seconds)
        return exact.since(before, 0.75 * seconds, engine.waiting, self.criterion)

    def saturated(self) -> Load:
        """Return what the engine does that always has another request waiting."""
        dice = random.Random(self.seed)
        clients = 2 * self.limits.max_num_seqs + 8
        workload = ClosedLoop(self.mix, [(0.0, clients)], dice=dice)
        engine = Engine(self.law, self.limits, workload, dice=random.Random(self.seed + 1))
        engine.meter = exact = Exact(self.limits.max_model_len)
        end = 1.0
        # The first batch begins and ends together; only after some turns does it mix.
        while engine.meter.counts[8] < max(0.5 * self.requests, 2.0 * clients):
            self._advance(engine, end)
            end *= 1.2
        before, begin = exact.look(), engine.now
        while engine.meter.counts[8] - before.counts[8] < self.requests:
            self._advance(engine, end)
            end *= 1.1
        return exact.since(before, engine.now - begin, 0, self.criterion)

    def _advance(self, engine: Engine, until: float) -> None:
        """Let time pass, second by second where something disturbs."""
        while self.disturbances and engine.now < until:
            second = math.floor(engine.now + 1e-9)
            engine.conditions = surroundings(self.disturbances, float(second)).conditions
            engine.advance(min(until, second + 1.0))
        engine.advance(until)

    def rate(self, most: float, *, precision: float = 0.01) -> tuple[float, Load | None]:
        """Return the highest rate that meets both targets, and what it does to the engine.

        Regula falsi on the logarithm of the lateness, which rises with the load.

        Args:
            most: no rate above it is tried.
            precision: relative width at which the search ends.
        """
        low, high = 0.0, most
        met: Load | None = None
        below = above = math.nan
        while high - low > precision * high and high > precision * most:
            middle = 0.5 * (low + high)
            if low > 0.0 and above - below > _FLAT:
                share = -below / (above - below)
                middle = low + min(max(share, 0.15), 0.85) * (high - low)
            found = self.at(middle)
            late = math.log(max(self.late(found), _FLAT))
            late = min(late, 3.0)
            if late > 0.0:
                high, above = middle, late
            else:
                low, below, met = middle, late, found
        return low, met

    def relaxed(self) -> Mapping[str, "Trial"]:
        """Return the engine with each target removed or limit doubled alone."""
        targets, limits = self.targets, self.limits
        wide = replace(limits, max_num_seqs=2 * limits.max_num_seqs)
        if wide.max_num_batched_tokens < wide.max_num_seqs:
            wide = replace(wide, max_num_batched_tokens=wide.max_num_seqs)
        return {
            "inter_token": replace(self, targets=replace(targets, inter_token=math.inf)),
            "time_to_first_token": replace(self, targets=replace(targets, first_token=math.inf)),
            "kv_memory": replace(self, limits=replace(limits, num_blocks=2 * limits.num_blocks)),
            "sequence_limit": replace(self, limits=wide),
            "token_budget": replace(
                self,
                limits=replace(limits, max_num_batched_tokens=2 * limits.max_num_batched_tokens),
            ),
        }

    def binding(self, rate: float, saturated: float) -> tuple[str, ...]:
        """Return what keeps the engine from bearing more than `rate`.

        The last of the relaxed ones to meet both targets as the load rises; `stability` where none
        bears a few per cent more. Several where they fail at the same load.
        """
        left = dict(self.relaxed())
        for rung in RUNGS:
            lates = {
                name: math.inf
                if name in _TARGETS and rung * rate > saturated
                else one.late(one.at(rung * rate))
                for name, one in left.items()
            }
            met = {name: left[name] for name, late in lates.items() if late <= 1.0}
            if not met:
                if rung == RUNGS[0]:
                    return ("stability",)
                best = min(lates.values())
                return tuple(n for n, late in lates.items() if late <= best * _LIKE)
            left = met
            if len(left) == 1:
                break
        return tuple(left)


_TARGETS: Final = ("inter_token", "time_to_first_token")


@dataclass(slots=True)
class _Seen:
    """Where an exact meter stood."""

    counts: list[float]
    first: int
    each: int
    gaps: list[int]


class Exact(Meter):
    """A meter that keeps the latencies of every request."""

    def __init__(self, longest: int) -> None:
        super().__init__(longest)
        self.firsts: list[float] = []
        self.each: list[float] = []

    def answered(self, request: Request, end: float) -> None:
        """Count the first token of a request."""
        super().answered(request, end)
        self.firsts.append(end - request.arrival)

    def finished(self, request: Request, end: float) -> None:
        """Count a request that has all its tokens."""
        super().finished(request, end)
        if request.output > 1:
            self.each.append((end - request.first) / (request.output - 1))

    def look(self) -> _Seen:
        """Return where it stands."""
        gaps = [*self.inter_token.counts]
        return _Seen(self.counts[:], len(self.firsts), len(self.each), gaps)

    def since(self, before: _Seen, span: float, waiting: int, criterion: Criterion) -> Load:
        """Return the load since a look, `waiting` requests being late besides."""
        counts = self.counts
        tokens = counts[3] - before.counts[3] + counts[6] - before.counts[6]
        if criterion == "request":
            inter = exact_quantile(self.each[before.each :], 0.95)
        else:
            gaps = zip(before.gaps, self.inter_token.counts, strict=True)
            inter = quantile([b - a for a, b in gaps], 0.95)
        # Who still waits has no first token yet, and will be late.
        firsts = self.firsts[before.first :] + [math.inf] * waiting
        return Load(
            rate=(counts[8] - before.counts[8]) / span,
            tokens=60.0 * tokens / span,
            first_token=exact_quantile(firsts, 0.95),
            inter_token=inter,
        )


def exact_quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that this share does not exceed; NaN of nothing."""
    if not values:
        return math.nan
    return sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


def _over(value: float, target: float) -> float:
    """Return a latency against its target; 0 while there is none."""
    return 0.0 if math.isnan(value) else value / target


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
    """Return what an engine bears, by its single gaps."""
    trial = Trial(law=law, mix=mix, limits=limits, targets=targets, seed=seed, requests=requests)
    full = trial.saturated()
    rate, best = trial.rate(full.rate, precision=precision)
    binding = "stability"
    if rate < (1.0 - precision) * full.rate:
        found = trial.at(min(full.rate, rate * (1.0 + 2.0 * precision)) or precision * full.rate)
        missed = [
            name
            for name in ("first_token", "inter_token")
            if not getattr(found, name) <= getattr(targets, name)
        ]
        binding = "both" if len(missed) > 1 else (missed or ["stability"])[0]
    return Capacity(
        rate=rate,
        saturated=full.rate,
        tokens=best.tokens if best else 0.0,
        saturated_tokens=full.tokens,
        binding=binding if best else "",
    )


def under(
    law: StepLaw, mix: Mixes, limits: Limits, rate: float, *, seed: int = 0, requests: int = 3000
) -> Load:
    """Return what an open-loop load does to an engine, by its single gaps."""
    trial = Trial(law=law, mix=mix, limits=limits, targets=_ANY, seed=seed, requests=requests)
    return trial.at(rate)


def saturation(
    law: StepLaw, mix: Mixes, limits: Limits, *, seed: int = 0, requests: int = 3000
) -> Load:
    """Return what an engine does that always has another request waiting."""
    trial = Trial(law=law, mix=mix, limits=limits, targets=_ANY, seed=seed, requests=requests)
    return trial.saturated()


_ANY: Final = Targets()
