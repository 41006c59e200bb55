"""What truly bound a simulated engine, second by second. The agent never sees it.

The cause of a second is found in this order, over the last seconds so that one step more or less
decides nothing:

1. `stalled`: requests are there and no step begins;
2. `idle`: no request in the engine;
3. `power_thermal`, `co_tenant`, `host_cpu`: the engine suffers, and would not have but for the
   disturbance that lengthens its steps by a quarter or more (host: by as much as the GPU works);
4. `sequence_limit`, `kv_memory`, `token_budget`: what refused the next waiting request. Where the
   budget refused, but twice the budget would not speed prompts up, arithmetic is short, not the
   budget: `prefill_compute`;
5. `prefill_compute`, `decode_bandwidth`: nothing was refused, but a target is missed;
6. `healthy`.

A second is *scored* where the cause has stood for a while, by a clear margin.
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from typing import Final

from tests.simulator.engine import Engine
from tests.simulator.limits import Hold, Spent
from tests.simulator.meter import FINE


class Cause(StrEnum):
    """Why an engine is not faster, by the names that verdicts have."""

    IDLE = "idle"
    HEALTHY = "healthy"
    SEQUENCE_LIMIT = "sequence_limit"
    KV_MEMORY = "kv_memory"
    PREFILL_COMPUTE = "prefill_compute"
    DECODE_BANDWIDTH = "decode_bandwidth"
    TOKEN_BUDGET = "token_budget"
    HOST_CPU = "host_cpu"
    POWER_THERMAL = "power_thermal"
    CO_TENANT = "co_tenant"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What 95 of 100 should not exceed, in seconds."""

    first_token: float = 1.0
    inter_token: float = 0.066


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One second of one engine.

    Attributes:
        time: seconds since the beginning, at the end of the second.
        cause: what bound it.
        scored: whether a monitor can be expected to know.
        held: what kept the next waiting request out for most of the time, whatever the root.
        first_token: 95th percentile of the last half minute in seconds, NaN without requests.
        inter_token: likewise.
        running: requests in the batch.
        waiting: requests that wait.
        kv_tokens: tokens that requests have in the KV cache.
        kv_free: tokens for which there are free blocks.
        lengthening: how much longer steps took than undisturbed ones; 1 is not at all.
    """

    time: float
    cause: Cause
    scored: bool
    held: Hold
    first_token: float
    inter_token: float
    running: int
    waiting: int
    kv_tokens: int
    kv_free: int
    lengthening: float


_LATENCY_SPAN: Final = 30
_HOLD_SPAN: Final = 15
_SETTLED: Final = 45
_CLEAR: Final = 0.75
_LONGER: Final = 1.25
_UNDISTURBED: Final = 1.10
_GAIN: Final = (1.15, 1.35)
_MARGIN: Final = 1.15
_HALF: Final = 0.5
_MOST: Final = 0.6
_NOT_ONE: Final = 0.999
_RESERVE: Final = 0.1
_ROOM: Final = (Cause.SEQUENCE_LIMIT, Cause.KV_MEMORY)
_LIMITS: Final = (Hold.SEQUENCES, Hold.BLOCKS, Hold.TOKENS)


class _Trailing:
    """The observations of a fine histogram over the last seconds."""

    def __init__(self, span: int) -> None:
        self._seen: deque[list[int]] = deque(maxlen=span + 1)

    def p95(self, counts: Sequence[int]) -> float:
        """Take over the totals of now and return the 95th percentile since the span began."""
        self._seen.append([*counts])
        before = self._seen[0]
        together = list(accumulate(map(int.__sub__, self._seen[-1], before)))
        if not together[-1]:
            return math.nan
        at = min(bisect_left(together, 0.95 * together[-1]), len(FINE) - 1)
        return math.sqrt(FINE[at] * FINE[max(0, at - 1)])


@dataclass(slots=True)
class _Second:
    """What one second was made of, and whether two limits were short at its end."""

    holds: dict[Hold, float]
    spent: Spent
    both: bool


@dataclass(slots=True)
class Judge:
    """Says the truth of one engine, second after second.

    Attributes:
        targets: what is fast enough.
        disturbance: which cause a lengthening of steps has now, None while nothing disturbs.
    """

    targets: Targets
    disturbance: Cause | None = None
    _first: _Trailing = field(default_factory=lambda: _Trailing(_LATENCY_SPAN))
    _inter: _Trailing = field(default_factory=lambda: _Trailing(_LATENCY_SPAN))
    _seconds: deque[_Second] = field(default_factory=lambda: deque(maxlen=_HOLD_SPAN))
    _cause: Cause | None = None
    _stood: int = 0
    _gain: float = 1.0

    def judge(self, engine: Engine) -> Truth:
        """Return the truth of the second that has just ended."""
        spent, holds = engine.ledger.look(engine.now)
        self._seconds.append(_Second(holds, spent, _both_short(engine)))
        first = self._first.p95(engine.meter.first_token.counts)
        inter = self._inter.p95(engine.meter.inter_token.counts)
        shares: dict[Hold, float] = {}
        for second in self._seconds:
            for hold, seconds in second.holds.items():
                shares[hold] = shares.get(hold, 0.0) + seconds / len(self._seconds)
        gpu, host, normal = (
            sum(getattr(second.spent, name) for second in self._seconds)
            for name in ("gpu", "host", "normal")
        )
        lengthening = (gpu + host) / normal if normal else 1.0
        held = max(shares, key=lambda hold: shares[hold], default=Hold.IDLE)
        cause, clear = self._cause_of(shares, lengthening, host / gpu if gpu else 0.0, first, inter)
        both = any(second.both for second in self._seconds)
        clear = clear and not (cause in _ROOM and both)
        self._stood = self._stood + 1 if cause is self._cause else 0
        self._cause = cause
        return Truth(
            time=engine.now,
            cause=cause,
            scored=clear and self._stood >= _SETTLED,
            held=held,
            first_token=first,
            inter_token=inter,
            running=engine.running,
            waiting=engine.waiting,
            kv_tokens=engine.held_tokens,
            kv_free=engine.free_blocks * engine.limits.block_size,
            lengthening=lengthening,
        )

    def _cause_of(
        self,
        shares: dict[Hold, float],
        lengthening: float,
        host: float,
        first: float,
        inter: float,
    ) -> tuple[Cause, bool]:
        """Return the cause, and whether it is clear."""
        stalled, idle = shares.get(Hold.STALLED, 0.0), shares.get(Hold.IDLE, 0.0)
        if stalled > 1.0 - _CLEAR:
            return Cause.STALLED, stalled > _CLEAR
        if idle > _CLEAR:
            return Cause.IDLE, idle > _NOT_ONE
        busy = max(1e-9, 1.0 - idle - stalled)
        hold = max(_LIMITS, key=lambda one: shares.get(one, 0.0))
        refused = shares.get(hold, 0.0) / busy
        late = max(_over(first, self.targets.first_token), _over(inter, self.targets.inter_token))
        clear = stalled == 0.0 and idle < 1.0 - _CLEAR
        if self.disturbance is not None and lengthening > _UNDISTURBED:
            if refused <= _HALF and late <= 1.0:
                return Cause.HEALTHY, clear and late < 1.0 / _MARGIN
            longer = host > 1.0 if self.disturbance is Cause.HOST_CPU else lengthening > _LONGER
            sure = late > _MARGIN or refused > _CLEAR
            return self.disturbance, clear and longer and sure
        if refused > _HALF:
            return self._limit(hold, clear=clear and refused > _CLEAR)
        return self._latency(first, inter, clear=clear and refused < 1.0 - _CLEAR)

    def _limit(self, hold: Hold, *, clear: bool) -> tuple[Cause, bool]:
        """Return which limit is short, by the one that refuses."""
        if hold is Hold.TOKENS:
            return self._budget(clear=clear)
        return Cause(hold.value), clear

    def _budget(self, *, clear: bool) -> tuple[Cause, bool]:
        """Return which of budget and arithmetic is short while the budget refuses."""
        full = sum(second.spent.budget for second in self._seconds)
        if full:
            self._gain = sum(second.spent.gain for second in self._seconds) / full
        gain = self._gain
        low, high = _GAIN
        if gain > math.sqrt(low * high):
            return Cause.TOKEN_BUDGET, clear and gain > high
        return Cause.PREFILL_COMPUTE, clear and gain < low

    def _latency(self, first: float, inter: float, *, clear: bool) -> tuple[Cause, bool]:
        """Return what is slow where nothing is refused, if something is."""
        late_first = _over(first, self.targets.first_token)
        late_inter = _over(inter, self.targets.inter_token)
        late = max(late_first, late_inter)
        if late <= 1.0:
            return Cause.HEALTHY, clear and late < 1.0 / _MARGIN
        clear = clear and late > _MARGIN
        spent = [second.spent for second in self._seconds]
        whole = sum(one.gpu + one.host for one in spent)
        share = sum(one.prefill for one in spent) / whole if whole else 0.0
        if late_first > 1.0 >= late_inter or share > _HALF:
            return Cause.PREFILL_COMPUTE, clear and share > _MOST
        return Cause.DECODE_BANDWIDTH, clear and share < 1.0 - _MOST


def _both_short(engine: Engine) -> bool:
    """Return whether sequences and blocks are all but used up, so that either might refuse."""
    limits = engine.limits
    full = engine.free_blocks < _RESERVE * limits.num_blocks
    return full and engine.running >= (1.0 - _RESERVE) * limits.max_num_seqs


def _over(value: float, target: float) -> float:
    """Return a latency against its target; 0 while it is not known."""
    return 0.0 if math.isnan(value) else value / target
