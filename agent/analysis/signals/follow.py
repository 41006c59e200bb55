"""The signals of all replicas of this host, every few seconds."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

from agent.analysis.bottleneck import Targets
from agent.analysis.guard import Guard
from agent.analysis.latency import LatencyResult
from agent.analysis.replica_capacity import CapacityResult
from agent.analysis.replicas import Replica
from agent.analysis.signals.evidence import Evidence, Growth, gather
from agent.analysis.signals.replica import ReplicaSignals, Signals
from agent.analysis.signals.said import SCHEMA, as_json, samples
from agent.analysis.signals.terms import Terms
from agent.analysis.verdict import Verdict
from agent.analysis.window import View, rounded
from agent.model import Frame, Reading
from agent.steps import Steps, at_once

EVERY: Final = 5.0
"""Seconds from one look at all replicas to the next."""


class Watched(Protocol):
    """What is concluded about a replica elsewhere."""

    @property
    def replica(self) -> Replica: ...  # noqa: D102

    @property
    def verdict(self) -> Verdict: ...  # noqa: D102

    @property
    def capacity(self) -> CapacityResult: ...  # noqa: D102

    @property
    def latencies(self) -> LatencyResult: ...  # noqa: D102


Foresee: TypeAlias = Callable[[str], Growth | None]
"""By name of a model: what becomes of the demand on it within the horizon."""


def unforeseen(_model: str) -> None:
    """Foresee nothing."""


class HostSignals:
    """Follows the replicas of a host.

    Args:
        watched: the replicas, and the view of each; asked once the analysis of a frame is done.
        targets: of a model by its name.
        foresee: what becomes of the demand on a model.
    """

    def __init__(
        self,
        watched: Callable[[], Iterable[tuple[Watched, View]]],
        *,
        targets: Callable[[str], Targets],
        foresee: Foresee = unforeseen,
    ) -> None:
        self.terms = Terms()
        self._watched = watched
        self._targets = targets
        self._foresee = foresee
        self._guard = Guard()
        self._replicas: dict[Replica, ReplicaSignals] = {}
        self._found: dict[Replica, Signals] = {}
        self._due = -math.inf
        self._ids: list[int] = []
        self._values: list[float] = []

    def observe(self, frame: Frame) -> Reading:
        """Return the signals as samples."""
        return at_once(self.in_steps(frame))

    def in_steps(self, frame: Frame) -> Steps[Reading]:
        """Do what `observe` does, in steps."""
        if self._due - 2 * EVERY <= frame.time < self._due:
            return Reading(self._ids, self._values)
        yield
        self._due = frame.time + EVERY
        self._look(frame.time)
        ids, values = self._samples(frame)
        failed = self._guard.reading(frame.table)
        ids += failed.ids
        self._values = [*values, *failed.values]
        if ids != self._ids:
            self._ids = ids
        return Reading(self._ids, self._values, failed.events)

    def _look(self, time: float) -> None:
        """Work out the signals of each replica anew; one that fails has none."""
        known: dict[Replica, Evidence] = {}
        for state, view in self._watched():
            about = state.replica._asdict()
            gathered = self._guard.run(
                "signals", partial(self._gather, state, view), time=time, about=about
            )
            if gathered is not None:
                known[state.replica] = gathered
        before = self._replicas
        self._replicas = {one: before.get(one) or ReplicaSignals(one) for one in known}
        self._found = {}
        for replica, own in known.items():
            ranks: list[Evidence] = []
            others: list[Evidence] = []
            for one, other in known.items():
                if one.model_name == replica.model_name and one != replica:
                    (ranks if one[:-1] == replica[:-1] else others).append(other)
            work = partial(
                self._replicas[replica].observe,
                own,
                others,
                self.terms,
                first_token=self._targets(replica.model_name).time_to_first_token,
                ranks=ranks,
            )
            found = self._guard.run("signals", work, time=time, about=replica._asdict())
            if found is not None:
                self._found[replica] = found

    def _gather(self, state: Watched, view: View) -> Evidence:
        """Return what is known of a replica."""
        return gather(
            view,
            capacity=state.capacity,
            latency=state.latencies,
            verdict=state.verdict,
            growth=self._foresee(state.replica.model_name),
        )

    def _samples(self, frame: Frame) -> tuple[list[int], list[float]]:
        """Return what stands."""
        ids: list[int] = []
        values: list[float] = []
        for replica, found in self._found.items():
            for metric, labels, value in samples(found):
                ids.append(frame.table.intern(metric, (*replica, *labels)))
                values.append(rounded(value))
        return ids, values

    def found(self) -> Sequence[Signals]:
        """Return the signals as they were worked out last."""
        return [*self._found.values()]

    def as_json(self, *, time: float) -> Mapping[str, Any]:
        """Return the signals that are young enough, for `/api/v1/signals`.

        Args:
            time: Unix seconds of now.
        """
        told = {
            replica: as_json(one, self.terms, time=time) for replica, one in self._found.items()
        }
        return {
            "schema": SCHEMA,
            "time": time,
            "horizon_seconds": self.terms.horizon,
            "replicas": [one for one in told.values() if one is not None],
            "stale": [replica._asdict() for replica, one in told.items() if one is None],
        }
