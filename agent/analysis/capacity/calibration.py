"""What was seen at loads that were there, against what is reckoned for them."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan, log
from typing import Any, Final, NamedTuple

import numpy as np

from agent.analysis.capacity.bound import System, clamped
from agent.analysis.capacity.compared import Compared, beyond, factor, unsure, usual_gap
from agent.analysis.capacity.queueing import TAIL, Latencies
from agent.analysis.capacity.slot import Slot
from agent.analysis.capacity.waits import together
from agent.analysis.median import quantile
from agent.analysis.window import Column
from agent.steps import Steps, at_once

ENOUGH: Final = 20.0
"""Requests by which a load is known well enough to be compared."""

_KEPT: Final = 60
_AGE: Final = 3600.0
_SLOTS: Final = 4
_MOST_SLOTS: Final = 40  # in which few requests are gathered
_LONGEST_SLOT: Final = 60.0
_FIRST: Final = 24  # slots that are compared at once, where the law was not known before
_DOUBT: Final = 60.0  # requests that count as if a full engine had done as reckoned
_MOST: Final = log(1.5)
_MOST_SATURATED: Final = log(1.6)
_APART: Final = 0.12  # logarithm of the mean gap up to which the law is taken to be right
_ALIKE: Final = 0.03  # logarithm by which a step changes before latencies are reckoned anew
_RECKONED: Final = 2  # minutes at a time
_AS_FITTED: Final = 1.08  # mean time of a step against the law's where nothing disturbs
_MOVES: Final = 0.6  # share of the variance within a minute from which on a load moves
_LEAST_LOAD: Final = 0.05
_PACED: Final = 0.6  # of the stability limit, up to which gaps tell whether steps are shorter
_MOST_LOAD: Final = 0.97  # of the stability limit, beyond which a percentile is chance
_ALWAYS: Final = 0.97  # of the looks, at which requests wait while an engine is saturated


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
        """Take the newest minutes that were not taken yet.

        Args:
            slots: since the mix changed.
            system: as it is reckoned, without any factors.
        """
        at_once(self.in_steps(slots, system))

    def in_steps(self, slots: Sequence[Slot], system: System) -> Steps[None]:
        """Do what `take` does, minute by minute; between two steps a minute is taken or is not."""
        if slots and slots[-1].end < self.since:
            self._set_back(slots[-1].end)
        # After a restart of the agent there are slots that stand for many minutes, and before the
        # law was known for an hour in all: neither is a minute.
        fresh = [
            slot
            for slot in slots
            if slot.begin >= self.since and slot.end - slot.begin <= _LONGEST_SLOT
        ]
        yield from self._follow(system)
        some: list[Slot] = []
        for slot in fresh[-_FIRST:]:
            some.append(slot)
            enough = sum(one.requests for one in some) >= ENOUGH or len(some) >= _MOST_SLOTS
            if len(some) >= _SLOTS and enough:
                yield
                self._take_minute(some, system)
                some = []

    def _follow(self, system: System) -> Steps[None]:
        """Hold what was seen against the law of now: it is learned while minutes are compared.

        Those of which the law has changed most come first, a few at a time.
        """
        then = [
            (at, one.reckoned.batch, one.steps)
            for at, one in enumerate(self.compared)
            if one.reckoned is not None and min(one.steps) > 0.0
        ]
        if not then:
            return
        places, batches, steps = zip(*then, strict=True)
        now = _steps(system, np.array(batches))
        changed = np.abs(np.log(now / np.array(steps))).max(axis=1)
        for which in np.argsort(-changed)[:_RECKONED].tolist():
            if changed[which] < _ALIKE:
                break
            yield
            one = self.compared[places[which]]
            reckoned = system.latencies(one.rate)
            # By a law under which it could not be borne it stays as it is.
            self.compared[places[which]] = (
                one.against(reckoned, _at(system, reckoned))
                if 0.0 < reckoned.first_token < inf
                else one._replace(steps=(float(now[which, 0]), float(now[which, 1])))
            )

    def _take_minute(self, fresh: Sequence[Slot], system: System) -> None:
        """Take the slots of one minute, or of as many as it takes for a few requests to come."""
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
        rate = requests / max(end - begin, 1e-9)
        moved = _bursts(fresh)
        if moved > _MOVES:
            # Under a load that moves percentiles are a mixture's: those of its busiest part.
            fresh = [slot for slot in fresh if slot.requests * len(fresh) > requests]
            requests = sum(slot.requests for slot in fresh)
            seconds = sum(slot.end - slot.begin for slot in fresh)
            # That it is the busiest is chance as well.
            rate += moved * (requests / max(seconds, 1e-9) - rate)
        load = rate / system.stability
        firsts, each = (together([slot.times[at] for slot in fresh]) for at in (0, 1))
        if firsts is None or each is None or not _LEAST_LOAD < load < _MOST_LOAD:
            return
        spent, gaps = (sum(slot.gaps[at] for slot in fresh) for at in (0, 1))
        points = system.reckoned(rate)
        if points is None:
            return
        reckoned = points.latencies
        self.compared.append(
            Compared(
                end,
                rate,
                log(spent / gaps / reckoned.gap) if spent > 0.0 and gaps > 0.0 else 0.0,
                beyond(firsts, points.firsts, reckoned.first_token),
                beyond(each, points.inters, reckoned.inter_token),
                reckoned,
                _at(system, reckoned),
                load,
            )
        )

    def _set_back(self, time: float) -> None:
        """Forget what lies in the future of a clock that was set back."""
        self.compared = deque((one for one in self.compared if one.time <= time), maxlen=_KEPT)
        self.saturated = deque((one for one in self.saturated if one.time <= time), maxlen=_KEPT)
        self.since = float("-inf")

    def factors(self, bears: float | None = None, slowness: float = 1.0) -> tuple[float, float]:
        """Return seen against reckoned times to first token and per output token.

        That is, against what is reckoned with steps that are corrected by `pace`.

        Args:
            bears: requests a second for which they are asked.
            slowness: as of `pace`.
        """
        pace = log(self.pace(slowness))
        return (
            clamped(factor(self.compared, "first", bears) - pace, _MOST),
            clamped(factor(self.compared, "inter", bears) - pace, _MOST),
        )

    def doubts(self, bears: float | None = None) -> tuple[float, float]:
        """Return half widths of what these two factors may be off by, as logarithms.

        Args:
            bears: requests a second for which they are asked.
        """
        return unsure(self.compared, "first", bears), unsure(self.compared, "inter", bears)

    def pace(self, slowness: float = 1.0) -> float:
        """Return how long steps take against the law.

        Where an engine is idle between two looks, its steps may have been taken for longer ones:
        then it is the seen against the reckoned time between tokens that counts. Minutes of a high
        load tell nothing of it: a batch takes longer than a minute to become as large as reckoned.

        Args:
            slowness: mean time of a step against that of the law, as its stretches have it.
        """
        found = usual_gap(one for one in self.compared if one.load < _PACED)
        if found < -_APART:
            # Believed in part at first, so that it does not jump from one minute to the next.
            return clamped(found * min(-found / _APART - 1.0, 1.0), _MOST)
        return clamped(log(max(slowness / _AS_FITTED, 1.0)), _MOST)

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
            "compared": [one.state() for one in self.compared],
            "saturated": [[*one] for one in self.saturated],
            "since": self.since if self.since > float("-inf") else None,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "Calibration":
        """Return the one that `state` was taken of."""
        found = cls.new()
        found.compared.extend(Compared.restore(one) for one in state["compared"])
        found.saturated.extend(Saturated(*map(float, one)) for one in state["saturated"])
        since = state["since"]
        found.since = float("-inf") if since is None else float(since)
        return found


def _steps(system: System, batches: Column) -> Column:
    """Return the seconds of a step at some batches, shape (batches, 2).

    Without prompts, and with one that is longer than nineteen of twenty.
    """
    bare = system.law.without_prompts(batches)
    long = np.full(len(batches), quantile(system.shape.prompts, TAIL))
    return np.stack((bare, bare + system.law.prompts(long, batches)), axis=1)


def _at(system: System, reckoned: Latencies) -> tuple[float, float]:
    """Return the two at the batch of what was reckoned."""
    bare, with_prompt = _steps(system, np.array([reckoned.batch]))[0].tolist()
    return bare, with_prompt


def _bursts(slots: Sequence[Slot]) -> float:
    """Return the share of the variance of the slots' requests that is no chance.

    Of a Poisson process the variance is the mean; what is beyond that is a load that moves.
    """
    counts = [slot.requests for slot in slots]
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / (len(counts) - 1)
    return max(1.0 - mean / variance, 0.0) if variance > 0.0 else 0.0
