"""What one replica can carry, what is asked of it, and what is left."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from agent.analysis.asked import Demand, demand_of, throughput
from agent.analysis.bottleneck import Targets
from agent.analysis.capacity.estimate import Capacity
from agent.analysis.capacity.learner import CapacityLearner
from agent.analysis.headroom import Headroom, headroom_of
from agent.analysis.limits import ReplicaLimits
from agent.analysis.replicas import Replica
from agent.analysis.step_time import StepTimeResult
from agent.analysis.terms import Terms
from agent.analysis.window import View
from agent.steps import Steps, at_once

EVERY: Final = 15.0
"""Seconds from one estimate to the next."""

_EARLY: Final = 1.0
"""Seconds that one may come early: replicas are judged every few ticks, which are not exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityResult:
    """What is known of a replica.

    Attributes:
        time: Unix seconds at which it was worked out, None before the first time.
        capacity: the learned one.
        declared: tokens a minute of the configuration, None where it says nothing.
        demand: what is asked.
        headroom: what is left, None where it is not known.
        throughput: prompt and generated tokens a minute of the last minutes.
    """

    time: float | None = None
    capacity: Capacity = field(default_factory=Capacity)
    declared: float | None = None
    demand: Demand = field(default_factory=Demand)
    headroom: Headroom | None = None
    throughput: tuple[float, float] | None = None


class ReplicaCapacity:
    """Follows one replica.

    Args:
        replica: which.
        offset: seconds by which its estimates are shifted against those of others.
    """

    def __init__(self, replica: Replica, *, offset: float = 0.0) -> None:
        self._replica = replica
        self._learner = CapacityLearner()
        self._limits = ReplicaLimits(replica)
        self._last: float | None = None
        self._offset = offset % EVERY
        self.result = CapacityResult()

    @property
    def due_at(self) -> float:
        """When the last estimate was due, Unix seconds; before all times if there was none."""
        return -inf if self._last is None else self._last

    def is_due(self, time: float, *, every: float = EVERY) -> bool:
        """Return whether it is time for an estimate, one each so many seconds."""
        last = self._last
        # Far before the last one the clock was set.
        return last is None or not last - every <= time < last + every - _EARLY

    def observe(
        self, view: View, *, step: StepTimeResult, targets: Targets, terms: Terms
    ) -> CapacityResult:
        """Take the newest rows and return what is known; call it when it is due.

        Args:
            view: of the replica, at least one row.
            step: the law of its step.
            targets: the latencies that its model should keep.
            terms: what the configuration says.
        """
        return at_once(self.in_steps(view, step=step, targets=targets, terms=terms))

    def in_steps(
        self, view: View, *, step: StepTimeResult, targets: Targets, terms: Terms
    ) -> Steps[CapacityResult]:
        """Do what `observe` does, in steps; `result` stays the one before until the last.

        The view must not get further rows meanwhile.
        """
        time = float(view.times[-1])
        self._note(time)
        self._learner.criterion = terms.criterion
        capacity = yield from self._learner.in_steps(
            view,
            step=step,
            limits=self._limits.of(view, terms.limits(self._replica)),
            targets=targets,
        )
        yield
        declared = terms.declared(self._replica)
        demand = demand_of(view, capacity.known.mix if capacity.known else None)
        self.result = CapacityResult(
            time=time,
            capacity=capacity,
            declared=declared,
            demand=demand,
            headroom=headroom_of(capacity, declared, demand),
            throughput=throughput(view),
        )
        return self.result

    def _note(self, time: float) -> None:
        """Note when there was an estimate; the one after the first comes early by the offset."""
        self._last = time - (self._offset if self._last is None else 0.0)

    def fail(self) -> None:
        """Know nothing: what it said before it failed may not hold."""
        self.result = CapacityResult(capacity=Capacity(reason="its analysis fails"))

    def state(self) -> dict[str, Any]:
        """Return what has been learned as what JSON can hold."""
        return self._learner.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave; errors as for `CapacityLearner.restore`."""
        self._learner.restore(state)
        self._last = None
