"""Several replicas of one model behind a router, of which there can be more and fewer.

Requests go to the ready replica with the fewest of them. A replica that is ordered takes minutes to
start; one that has to go takes no more requests, finishes those it has, and is paid for until then.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf

from tests.simulator.engine import Engine
from tests.simulator.law import StepLaw
from tests.simulator.limits import Limits
from tests.simulator.meter import Meter
from tests.simulator.request import Request
from tests.simulator.truth import Targets
from tests.simulator.workload import Workload


class Assigned:
    """The requests that a router sends to one replica."""

    def __init__(self) -> None:
        self.coming: deque[Request] = deque()

    @property
    def next(self) -> float:
        """When the next one arrives."""
        return self.coming[0].arrival if self.coming else inf

    def pop(self) -> Request:
        """Return it."""
        return self.coming.popleft()

    def ended(self, request: Request, time: float) -> None:
        """Do nothing: nobody waits for an answer before asking again."""


class Judged(Meter):
    """A meter that knows which requests were served within their targets."""

    def __init__(self, longest: int, targets: Targets) -> None:
        super().__init__(longest)
        self._targets = targets
        self.good = 0
        self.done = 0

    def finished(self, request: Request, end: float) -> None:
        """Count a request that has all its tokens."""
        super().finished(request, end)
        self.done += 1
        each = (end - request.first) / max(1, request.output - 1)
        first = request.first - request.arrival
        self.good += first <= self._targets.first_token and each <= self._targets.inter_token


@dataclass(slots=True, eq=False)
class Member:
    """One replica.

    Attributes:
        number: counted from 0, never given twice.
        ready: second at which it serves.
        engine: that serves.
        meter: what it served.
        assigned: what the router sends it.
        leaves: whether it takes no more requests.
    """

    number: int
    ready: float
    engine: Engine
    meter: Judged
    assigned: Assigned
    leaves: bool = False

    @property
    def load(self) -> int:
        """Requests that it has."""
        return self.engine.running + self.engine.waiting + len(self.assigned.coming)


@dataclass(slots=True, kw_only=True)
class Fleet:
    """All replicas.

    Args:
        law: how long their steps take.
        limits: what each is started with.
        targets: what is fast enough.
        workload: what all of them are asked.
        start: seconds that a replica takes to start, from and to.
        seed: of chance.
        initial: replicas that serve from the beginning.

    Attributes:
        members: that are paid for.
        seconds: that were paid for so far.
        changes: how often their number was changed.
    """

    law: StepLaw
    limits: Limits
    targets: Targets
    workload: Workload
    start: tuple[float, float] = (180.0, 300.0)
    seed: int = 0
    initial: int = 1
    members: list[Member] = field(default_factory=list)
    seconds: float = 0.0
    changes: int = 0
    now: int = 0
    _gone: list[Member] = field(default_factory=list)
    _given: int = 0

    def __post_init__(self) -> None:
        """Begin with those that serve already."""
        for _ in range(self.initial):
            self._order(0.0)

    def serving(self) -> list[Member]:
        """Return the replicas that take requests."""
        return [one for one in self.members if one.ready <= self.now and not one.leaves]

    @property
    def wanted(self) -> int:
        """How many there are, or will be once all have started."""
        return sum(not one.leaves for one in self.members)

    def scale(self, replicas: int) -> None:
        """Have so many replicas; those go first that have not started, then the youngest."""
        change = max(1, replicas) - self.wanted
        self.changes += bool(change)
        dice = random.Random(f"{self.seed} {self._given}")
        for _ in range(change):
            self._order(self.now + dice.uniform(*self.start))
        staying = [one for one in self.members if not one.leaves]
        staying.sort(key=lambda one: (one.ready <= self.now, -one.number))
        for one in staying[: max(0, -change)]:
            one.leaves = True

    def step(self) -> None:
        """Let a second pass."""
        serving = self.serving()
        loads = {one: one.load for one in serving}
        while self.workload.next < self.now + 1.0:
            request = self.workload.pop()
            best = min(serving, key=lambda one: (loads[one], one.number))
            loads[best] += 1
            best.assigned.coming.append(request)
        self.now += 1
        for one in self.members:
            if one.ready < self.now:
                one.engine.advance(float(self.now))
        self.seconds += len(self.members)
        for one in [m for m in self.members if m.leaves and not m.load]:
            self.members.remove(one)
            self._gone.append(one)

    def meters(self) -> Iterator[Judged]:
        """Yield what each replica served, those that are gone included."""
        for one in (*self._gone, *self.members):
            yield one.meter

    @property
    def within_targets(self) -> float:
        """Share of all requests that were served within their targets; unserved ones were not."""
        left = sum(one.load for one in self.members)
        done = sum(meter.done for meter in self.meters())
        return sum(meter.good for meter in self.meters()) / max(1, done + left)

    def _order(self, ready: float) -> None:
        """Order a replica."""
        assigned = Assigned()
        dice = random.Random(self.seed * 1000 + self._given)
        engine = Engine(self.law, self.limits, assigned, dice=dice, begin=ready)
        meter = engine.meter = Judged(self.limits.max_model_len, self.targets)
        self.members.append(Member(self._given, ready, engine, meter, assigned))
        self._given += 1


Make = Callable[[], Fleet]
"""Makes a fleet anew, the same each time."""
