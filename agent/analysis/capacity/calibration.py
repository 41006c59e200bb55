"""What was seen at loads that were there, against what is reckoned for them."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, log, sqrt
from typing import Any, Final, NamedTuple

from agent.analysis.capacity.bound import System, clamped
from agent.analysis.capacity.queueing import TAIL
from agent.analysis.capacity.slot import Slot, together

ENOUGH: Final = 20.0
"""Requests that a percentile is compared by."""

_KEPT: Final = 30
_AGE: Final = 3600.0
_SLOTS: Final = 4
_DOUBT: Final = 60.0  # requests that count as if a full engine had done as reckoned
_PRIOR: Final = 25.0  # weight, among minutes, of what was reckoned: that of 70 requests at 0.6
_MOST: Final = log(1.5)
_MOST_SATURATED: Final = log(1.6)
_APART: Final = 0.12  # logarithm of the mean gap up to which the law is taken to be right
_STEADY: Final = 0.1  # scatter of the load within a minute, relative, that matters for nothing
_CHANCE: Final = 1.5  # or as many times that of a Poisson process
_LEAST_LOAD: Final = 0.05
_MOST_LOAD: Final = 0.97  # of the stability limit, beyond which a percentile is chance
_ALWAYS: Final = 0.97  # of the looks, at which requests wait while an engine is saturated


class Compared(NamedTuple):
    """A minute: Unix seconds, logarithms of seen against reckoned, and their weight.

    `first` and `inter` are the percentiles, `gap` is the mean time between two tokens.
    """

    time: float
    first: float
    inter: float
    gap: float
    weight: float


class Saturated(NamedTuple):
    """Time in which requests waited all along: Unix seconds, requests, seconds."""

    time: float
    requests: float
    seconds: float


@dataclass(slots=True)
class Calibration:
    """Follows one replica while its mix and its law stay as they are."""

    compared: deque[Compared]
    saturated: deque[Saturated]
    since: float

    @classmethod
    def new(cls) -> "Calibration":
        """Return one that knows nothing."""
        return cls(deque(maxlen=_KEPT), deque(maxlen=_KEPT), float("-inf"))

    def forget(self, before: float) -> None:
        """Forget what was seen before a time."""
        for kept in (self.compared, self.saturated):
            while kept and kept[0].time < before:
                kept.popleft()

    def take(self, slots: Sequence[Slot], system: System) -> None:
        """Take the newest minute, if it was not taken yet.

        Args:
            slots: since the mix changed.
            system: as it is reckoned, without any factors.
        """
        if slots and slots[-1].end < self.since:
            self._set_back(slots[-1].end)
        fresh = [slot for slot in slots if slot.begin >= self.since]
        if len(fresh) < _SLOTS:
            return
        begin, end = fresh[0].begin, fresh[-1].end
        self.since = end
        self.forget(end - _AGE)
        requests = sum(slot.requests for slot in fresh)
        looks = sum(slot.queued[1] for slot in fresh)
        waited = sum(slot.queued[0] for slot in fresh)
        if waited >= _ALWAYS * looks > 0:
            if not isnan(requests):  # as of an engine that counts none
                self.saturated.append(Saturated(end, requests, end - begin))
            return
        if not _steady(fresh):
            return
        rate = requests / max(end - begin, 1e-9)
        load = rate / system.stability
        firsts, each = (together([slot.times[at] for slot in fresh]) for at in (0, 1))
        if firsts is None or each is None or not _LEAST_LOAD < load < _MOST_LOAD:
            return
        count = min(firsts.count, each.count)
        if count < ENOUGH:
            return
        seconds, gaps = (sum(slot.gaps[at] for slot in fresh) for at in (0, 1))
        reckoned = system.latencies(rate)
        if not 0.0 < reckoned.first_token < float("inf"):
            return
        self.compared.append(
            Compared(
                end,
                log(max(firsts.quantile(TAIL), 1e-9) / reckoned.first_token),
                log(max(each.quantile(TAIL), 1e-9) / reckoned.inter_token),
                log(seconds / gaps / reckoned.gap) if seconds > 0.0 and gaps > 0.0 else 0.0,
                count * load**2,
            )
        )

    def _set_back(self, time: float) -> None:
        """Forget what lies in the future of a clock that was set back."""
        self.compared = deque((one for one in self.compared if one.time <= time), maxlen=_KEPT)
        self.saturated = deque((one for one in self.saturated if one.time <= time), maxlen=_KEPT)
        self.since = float("-inf")

    def factors(self) -> tuple[float, float]:
        """Return seen against reckoned times to first token and per output token.

        That is, against what is reckoned with steps that are corrected by `pace`.
        """
        pace = log(self.pace())
        return (
            clamped(self._middle("first") - pace, _MOST),
            clamped(self._middle("inter") - pace, _MOST),
        )

    def pace(self) -> float:
        """Return the seen against the reckoned time between tokens where that is far shorter.

        Where an engine is idle between two looks, its steps may have been taken for longer ones.
        """
        found = self._middle("gap")
        return clamped(found, _MOST) if found < -_APART else 1.0

    def _middle(self, what: str) -> float:
        """Return the weighted median of a logarithm, drawn towards zero where it rests on little.

        The median: a percentile of the few requests of a minute that was disturbed can be anything,
        and a minute decides alone only if it has more than half of the weight.
        """
        known = [(float(getattr(one, what)), one.weight) for one in self.compared]
        known = sorted([*known, (0.0, _PRIOR)])
        half = 0.5 * sum(weight for _value, weight in known)
        reached = 0.0
        for value, weight in known:
            reached += weight
            if reached >= half:
                return value
        return 0.0

    def speed(self, stability: float) -> float:
        """Return the seen against the reckoned stability limit; 1 where it was never reached."""
        requests = sum(one.requests for one in self.saturated)
        seconds = sum(one.seconds for one in self.saturated)
        if not (requests >= ENOUGH and seconds > 0.0):
            return 1.0
        seen = log(requests / seconds / stability)
        return clamped(seen * requests / (requests + _DOUBT), _MOST_SATURATED)

    def state(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {
            "compared": [[*one] for one in self.compared],
            "saturated": [[*one] for one in self.saturated],
            "since": self.since if self.since > float("-inf") else None,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "Calibration":
        """Return the one that `state` was taken of."""
        found = cls.new()
        found.compared.extend(Compared(*map(float, one)) for one in state["compared"])
        found.saturated.extend(Saturated(*map(float, one)) for one in state["saturated"])
        since = state["since"]
        found.since = float("-inf") if since is None else float(since)
        return found


def _steady(slots: Sequence[Slot]) -> bool:
    """Return whether the load stayed the same: under one that moves percentiles are a mixture's."""
    counts = [slot.requests for slot in slots]
    mean = sum(counts) / len(counts)
    scatter = sqrt(sum((count - mean) ** 2 for count in counts) / (len(counts) - 1))
    return scatter <= max(_CHANCE * sqrt(mean), _STEADY * mean)
