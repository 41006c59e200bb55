"""The highest load that keeps the targets, and what keeps it from being higher."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import exp, inf, log
from typing import Final, NamedTuple

from agent.analysis.bottleneck import Targets
from agent.analysis.capacity.estimate import Binding, Criterion
from agent.analysis.capacity.law import Law
from agent.analysis.capacity.queueing import OVERLOADED, Latencies, Reckoned, latencies, reckoned
from agent.analysis.capacity.room import FURTHEST, Room
from agent.analysis.capacity.steady import Shape, saturation
from agent.steps import Steps, at_once

RUNGS: Final = (1.04, 1.12, 1.3, 1.7)
"""Loads, as multiples of what a replica bears, at which it is tried with a limit relaxed."""

PRECISION: Final = 0.006
"""Relative width at which the search ends."""

_NEAR: Final = 0.004  # logarithm of the lateness that is as good as none
_MOST_TRIALS: Final = 14
_CLIPPED: Final = 3.0  # logarithm of the lateness beyond which more says nothing
_LEAST: Final = 0.02  # of the stability limit: who is late at that is late at any load
_BESIDE: Final = 0.03  # first step to either side of what was found last


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A replica with its load, as queueing theory sees it.

    Attributes:
        law: of its step.
        shape: of its requests.
        seats: requests in the batch at most, by `max_num_seqs`.
        memory: requests that fit into the KV cache.
        budget: tokens of a step.
        targets: in seconds.
        factors: seen against reckoned times to first token and per output token.
        criterion: what the target between tokens is about.
    """

    law: Law
    shape: Shape
    seats: float
    memory: float
    budget: float
    targets: Targets
    factors: tuple[float, float] = (1.0, 1.0)
    criterion: Criterion = "request"

    @property
    def room(self) -> Room:
        """What bounds a step."""
        room = Room(max(1.0, self.seats), self.budget, max(1.0, self.memory))
        fits = room.memory - FURTHEST * room.spread(self.shape.held_scatter)
        return room if fits < room.seats else room._replace(memory=inf)

    @property
    def stability(self) -> float:
        """The requests a second at which the queue begins to grow without end."""
        return saturation(self.law, self.shape, self.room)

    def latencies(self, rate: float) -> Latencies:
        """Return the latencies at a load."""
        gaps = self.criterion == "gap"
        return latencies(self.law, self.shape, self.room, rate, gaps=gaps, factors=self.factors)

    def reckoned(self, rate: float) -> Reckoned | None:
        """Return the latencies at a load without any factors; None where it cannot be borne."""
        return reckoned(self.law, self.shape, self.room, rate, gaps=self.criterion == "gap")

    def lateness(self, found: Latencies) -> float:
        """Return the logarithm of the worse latency against its target, clipped."""
        if found.first_token == inf:
            return _CLIPPED
        late = max(
            found.first_token / self.targets.time_to_first_token,
            found.inter_token / self.targets.inter_token_latency,
        )
        return min(max(log(max(late, 1e-9)), -_CLIPPED), _CLIPPED)

    def slower(self, factor: float) -> "System":
        """Return it with steps that take so many times as long."""
        return replace(self, law=self.law.times(factor))

    def relaxed(self) -> Mapping[Binding, "System"]:
        """Return it with each target removed or limit doubled alone."""
        first, inter = self.targets.time_to_first_token, self.targets.inter_token_latency
        no_inter = Targets(time_to_first_token=first, inter_token_latency=inf)
        no_first = Targets(time_to_first_token=inf, inter_token_latency=inter)
        return {
            Binding.INTER_TOKEN: replace(self, targets=no_inter),
            Binding.TIME_TO_FIRST_TOKEN: replace(self, targets=no_first),
            Binding.KV_MEMORY: replace(self, memory=2.0 * self.memory),
            Binding.SEQUENCE_LIMIT: replace(self, seats=2.0 * self.seats),
            Binding.TOKEN_BUDGET: replace(self, budget=2.0 * self.budget),
        }


class Borne(NamedTuple):
    """The most requests a second that keep both targets, 0 where none does, and what they get."""

    rate: float
    latencies: Latencies | None


def highest(system: System, *, guess: float | None = None, precision: float = PRECISION) -> float:
    """Return the most requests a second that keep both targets; 0 where none does.

    Args:
        system: the replica.
        guess: what it may be.
        precision: relative width at which the search ends.
    """
    return at_once(highest_in_steps(system, guess=guess, precision=precision)).rate


def highest_in_steps(
    system: System, *, guess: float | None = None, precision: float = PRECISION
) -> Steps[Borne]:
    """Do what `highest` does, load by load.

    Regula falsi on the logarithm of the lateness (Illinois variant), from around a guess.
    """
    limit = system.stability
    low, high = 0.0, limit
    kept: Latencies | None = None
    late_low, late_high = -_CLIPPED, _CLIPPED
    rate = min(guess, 0.98 * limit) if guess else 0.7 * limit
    step = 1.0 + _BESIDE
    before = 0.0
    for _ in range(_MOST_TRIALS):
        yield
        found = system.latencies(rate)
        late = system.lateness(found)
        # An end that stays where it is counts half: else the other one only creeps (Illinois).
        again = late * before > 0.0
        if late > 0.0:
            high, late_high = rate, late
            late_low *= 0.5 if again else 1.0
        else:
            low, late_low, kept = rate, late, found
            late_high *= 0.5 if again else 1.0
        before = late
        if high <= _LEAST * limit:
            return Borne(0.0, None)
        if high - low <= precision * high or -_NEAR < late <= 0.0:
            break
        if low == 0.0:
            rate = high / step if guess else 0.5 * high
        elif high == limit and guess and low * step < limit:
            rate = low * step
        else:
            share = late_low / (late_low - late_high)
            rate = low + min(max(share, 0.05), 0.95) * (high - low)
        step *= step
    return Borne(low, kept)


def binding(system: System, rate: float) -> Binding:
    """Return what keeps a system from bearing more than a rate.

    The last of those relaxed alone that keeps the targets while the load rises.
    """
    return at_once(binding_in_steps(system, rate))


def binding_in_steps(system: System, rate: float) -> Steps[Binding]:
    """Do what `binding` does, load by load."""
    left = dict(system.relaxed())
    late = dict.fromkeys(left, 0.0)
    for rung in RUNGS:
        # What changes nothing about a step changes no latency.
        known: dict[Room, Latencies] = {}
        for name, one in left.items():
            room = one.room
            if room not in known:
                yield
                bears = rung * rate < one.stability
                known[room] = one.latencies(rung * rate) if bears else OVERLOADED
            late[name] = one.lateness(known[room])
        met = {name: one for name, one in left.items() if late[name] <= 0.0}
        if not met:
            if rung == RUNGS[0]:
                return Binding.STABILITY
            return min(left, key=late.__getitem__)
        left = met
        if len(left) == 1:
            break
    return min(left, key=late.__getitem__)


def clamped(logarithm: float, most: float) -> float:
    """Return the factor of a logarithm, at most so far from 1."""
    return exp(min(max(logarithm, -most), most))
