"""Who asks for what, and when.

A `Workload` hands out requests in the order of their arrival. An open one follows a rate; a closed
one is a number of clients of whom each asks again when it has its answer.
"""

import heapq
import math
import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from tests.simulator.request import Request

Rate: TypeAlias = Callable[[float], float]
"""Requests a second, by seconds since the beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """A distribution of token counts: lognormal about a median, or all alike for a spread of 0."""

    median: float
    spread: float = 0.0
    least: int = 1
    most: int = 1 << 20

    def draw(self, dice: random.Random) -> int:
        """Return a length."""
        if not self.spread:
            return round(self.median)
        value = round(self.median * math.exp(dice.gauss(0.0, self.spread)))
        return max(self.least, min(self.most, value))

    @property
    def mean(self) -> float:
        """Return the mean, limits aside."""
        return self.median * math.exp(0.5 * self.spread**2)


@dataclass(frozen=True, slots=True)
class Evenly:
    """Token counts from one number to another, each as likely."""

    least: int
    most: int

    def draw(self, dice: random.Random) -> int:
        """Return a length."""
        return dice.randint(self.least, self.most)

    @property
    def mean(self) -> float:
        """Return the mean."""
        return 0.5 * (self.least + self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """What requests look like.

    Attributes:
        prompt: tokens of the prompt beside a shared prefix.
        output: tokens generated.
        groups: number of prefixes that requests share, 0 for none.
        prefix: tokens of such a prefix.
        shared: share of the requests that have one.
        aborted: share of the requests that their client gives up.
        patience: mean seconds after which it does so.
    """

    prompt: Lengths | Evenly
    output: Lengths | Evenly
    groups: int = 0
    prefix: int = 0
    shared: float = 1.0
    aborted: float = 0.0
    patience: float = 5.0

    def draw(self, dice: random.Random, arrival: float) -> Request:
        """Return a request that arrives then."""
        group = -1
        prefix = 0
        if self.groups and dice.random() < self.shared:
            group, prefix = dice.randrange(self.groups), self.prefix
        abort = math.inf
        if self.aborted and dice.random() < self.aborted:
            abort = arrival + dice.expovariate(1.0 / self.patience)
        return Request(
            arrival,
            prefix + self.prompt.draw(dice),
            self.output.draw(dice),
            group=group,
            prefix=prefix,
            abort=abort,
        )


class Mixes(Protocol):
    """Something that makes requests."""

    def draw(self, dice: random.Random, arrival: float) -> Request:
        """Return a request that arrives then."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several mixes for each request.

    Attributes:
        parts: weight and mix.
    """

    parts: Sequence[tuple[float, Mixes]]

    def draw(self, dice: random.Random, arrival: float) -> Request:
        """Return a request that arrives then."""
        at = dice.random() * sum(weight for weight, _mix in self.parts)
        for weight, mix in self.parts[:-1]:
            at -= weight
            if at < 0.0:
                return mix.draw(dice, arrival)
        return self.parts[-1][1].draw(dice, arrival)


@dataclass(frozen=True, slots=True)
class Shift:
    """Another mix from a certain second on."""

    at: float
    before: Mixes
    after: Mixes

    def draw(self, dice: random.Random, arrival: float) -> Request:
        """Return a request that arrives then."""
        return (self.before if arrival < self.at else self.after).draw(dice, arrival)


class Workload(Protocol):
    """What an engine is asked.

    Attributes:
        next: when the next request arrives, seconds since the beginning; infinite for never.
    """

    next: float

    def pop(self) -> Request:
        """Return the next request."""
        ...

    def ended(self, request: Request, time: float) -> None:
        """Take note that a request is answered, or was given up."""
        ...


class OpenLoop:
    """Requests arrive by a rate whatever becomes of them: a Poisson process.

    Args:
        mix: what they look like.
        rate: requests a second by time.
        highest: what the rate never exceeds.
        dice: where chance comes from.
        until: no request arrives after this second.
    """

    def __init__(
        self,
        mix: Mixes,
        rate: Rate,
        *,
        highest: float,
        dice: random.Random,
        until: float = math.inf,
    ) -> None:
        self._mix = mix
        self._rate = rate
        self._highest = highest
        self._dice = dice
        self._until = until
        self.next = 0.0
        self._advance()

    def pop(self) -> Request:
        """Return the next request."""
        request = self._mix.draw(self._dice, self.next)
        self._advance()
        return request

    def ended(self, request: Request, time: float) -> None:
        """Do nothing: nobody waits for an answer before asking again."""

    def _advance(self) -> None:
        """Find the next arrival by thinning a process of the highest rate."""
        time, dice = self.next, self._dice
        if self._highest <= 0.0:
            time = math.inf
        while time < self._until:
            time += dice.expovariate(self._highest)
            if dice.random() * self._highest < self._rate(time):
                break
        self.next = time if time < self._until else math.inf


class ClosedLoop:
    """A number of clients, by time; each asks again when it has its answer.

    Args:
        mix: what they ask.
        clients: from which second on how many clients there are, ascending.
        dice: where chance comes from.
        think: mean seconds between an answer and the next question.
    """

    def __init__(
        self,
        mix: Mixes,
        clients: Sequence[tuple[float, int]],
        *,
        dice: random.Random,
        think: float = 0.0,
    ) -> None:
        self._mix = mix
        self._starts = [start for start, _count in clients]
        self._counts = [count for _start, count in clients]
        self._dice = dice
        self._think = think
        self._alive = 0
        self._due: list[tuple[float, bool]] = []
        before = 0
        for start, count in clients:
            for _ in range(count - before):
                heapq.heappush(self._due, (start, True))
            before = count
        self.next = math.inf
        self._next()

    def pop(self) -> Request:
        """Return the next request."""
        time, new = heapq.heappop(self._due)
        self._alive += new
        self._next()
        return self._mix.draw(self._dice, time)

    def ended(self, request: Request, time: float) -> None:  # noqa: ARG002 - all are alike
        """Let the client ask again, unless there are fewer clients by now."""
        at = max(0, bisect_right(self._starts, time) - 1)
        if self._alive > self._counts[at]:
            self._alive -= 1
            return
        think = self._dice.expovariate(1.0 / self._think) if self._think else 0.0
        heapq.heappush(self._due, (time + think, False))
        self._next()

    def _next(self) -> None:
        """Say when the next request arrives."""
        self.next = self._due[0][0] if self._due else math.inf


class Trains:
    """Requests that come many at a time, at fixed intervals.

    Args:
        mix: what they look like.
        period: seconds between two arrivals.
        count: requests at each.
        dice: where chance comes from.
        first: when the first ones come.
        times: how often they come.
    """

    def __init__(
        self,
        mix: Mixes,
        *,
        period: float,
        count: int,
        dice: random.Random,
        first: float = 5.0,
        times: int = 1 << 30,
    ) -> None:
        self._mix = mix
        self._period = period
        self._count = count
        self._dice = dice
        self._left = count
        self._times = times
        self.next = first

    def pop(self) -> Request:
        """Return the next request."""
        request = self._mix.draw(self._dice, self.next)
        self._left -= 1
        if not self._left:
            self._left = self._count
            self._times -= 1
            self.next = self.next + self._period if self._times else math.inf
        return request

    def ended(self, request: Request, time: float) -> None:
        """Do nothing: nobody waits for an answer before asking again."""


class Together:
    """Several workloads at one engine.

    Args:
        parts: the workloads; requests that end are told to none of them.
    """

    def __init__(self, *parts: Workload) -> None:
        self._parts = parts
        self.next = min(part.next for part in parts)

    def pop(self) -> Request:
        """Return the next request."""
        request = min(self._parts, key=lambda part: part.next).pop()
        self.next = min(part.next for part in self._parts)
        return request

    def ended(self, request: Request, time: float) -> None:
        """Do nothing."""


def steady(rate: float) -> Rate:
    """Return a rate that never changes."""
    return lambda _time: rate


def ramp(start: float, end: float, *, begin: float, length: float) -> Rate:
    """Return a rate that goes from one value to another in a straight line."""

    def rate(time: float) -> float:
        return start + (end - start) * min(1.0, max(0.0, (time - begin) / length))

    return rate


def steps(*parts: tuple[float, float]) -> Rate:
    """Return a rate that has each value from its second on; the first begins at 0."""
    starts = [start for start, _rate in parts]
    rates = [rate for _start, rate in parts]
    return lambda time: rates[max(0, bisect_right(starts, time) - 1)]


def bursts(calm: float, busy: float, *, calm_for: float, busy_for: float, seed: int) -> Rate:
    """Return a rate that changes between two at random, exponential times in each (an MMPP)."""
    dice = random.Random(seed)
    changes = [0.0]

    def rate(time: float) -> float:
        while changes[-1] <= time:
            mean = calm_for if len(changes) % 2 else busy_for
            changes.append(changes[-1] + dice.expovariate(1.0 / mean))
        return calm if bisect_right(changes, time) % 2 else busy

    return rate


def diurnal(low: float, high: float, *, day: float = 86_400.0) -> Rate:
    """Return a rate that swings between two values over a day, lowest at its beginning."""
    return lambda time: low + (high - low) * (0.5 - 0.5 * math.cos(2.0 * math.pi * time / day))
