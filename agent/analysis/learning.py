"""What is learned of engines over restarts of the agent, and while they stay what they are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.analysis.capacities import Capacities
from agent.analysis.fingerprint import Fingerprint
from agent.analysis.limits import by_metric
from agent.analysis.replica_state import ReplicaState
from agent.analysis.replicas import GpuKey, Replica
from agent.analysis.retention import NOTHING, Retention, Saved
from agent.analysis.window import View
from agent.model import Event

VERSION: Final = 1
"""Of the form in which it is saved."""

FORGOTTEN: Final = 7 * 86_400.0
"""Seconds after which what was learned of an engine that never came back is dropped."""

_MOST: Final = 256
"""Replicas of which it is kept."""


@dataclass(slots=True)
class _Followed:
    """A replica, and when it was last judged, Unix seconds."""

    state: ReplicaState
    retention: Retention
    time: float

    def saved(self) -> Saved:
        """Return what was learned of it so far."""
        return self.retention.pending or Saved(
            fingerprint=self.retention.fingerprint, time=self.time, models=self.state.learned()
        )


class Learning:
    """Follows all replicas.

    Args:
        capacities: keeps what the run before had learned, and the money.
    """

    def __init__(self, capacities: Capacities) -> None:
        self._capacities = capacities
        self._followed: dict[Replica, _Followed] = {}

    def follow(self, state: ReplicaState, view: View, gpus: Sequence[GpuKey]) -> Sequence[Event]:
        """Have a replica take up what was learned of it, or drop what holds no more.

        Args:
            state: of the replica.
            view: of it, at least one row.
            gpus: that it runs on.
        """
        replica, time = state.replica, float(view.times[-1])
        known = self._followed.get(replica)
        if known is None or known.state is not state:
            # One that went for a while and came back takes up what was known of it.
            saved = self._capacities.take(replica) if known is None else known.saved()
            known = _Followed(state, Retention(saved), time)
            self._forget(time)
            self._followed[replica] = known
        known.time = time
        told = by_metric(self._capacities.terms.limits(replica))
        fingerprint = self._capacities.facts.fingerprint(replica, view, gpus, told=told)
        decision = known.retention.decide(fingerprint, time=time)
        if decision is NOTHING:
            return ()
        return [*_done(state, decision.restore, decision.why, time)]

    def _forget(self, time: float) -> None:
        """Let go of replicas that are gone for long, or too many; those of now come anew."""
        kept = sorted(self._followed.items(), key=lambda item: item[1].time)[-_MOST:]
        self._followed = {replica: one for replica, one in kept if time - one.time < FORGOTTEN}

    def replicas(self) -> Sequence[Replica]:
        """Return all of which there is something to keep."""
        return [*self._followed]

    def saved(self, replica: Replica) -> dict[str, Any] | None:
        """Return what was learned of one as what JSON can hold, None where that is nothing.

        To ask for one at a time spreads the work: there may be hundreds of stretches.
        """
        known = self._followed.get(replica)
        return None if known is None else _as_json(replica, known.saved())

    def document(self, learned: Iterable[Mapping[str, Any]], *, time: float) -> dict[str, Any]:
        """Return all that is to be kept, with what was learned of those that were not seen."""
        absent = [
            _as_json(replica, saved)
            for replica, saved in self._capacities.saved().items()
            if time - saved.time < FORGOTTEN
        ]
        return {
            "version": VERSION,
            "replicas": [*learned, *absent],
            "spent": self._capacities.spent(),
        }

    def restore(self, document: Any) -> int:
        """Take over what `document` gave; return of how many replicas.

        Raises:
            ValueError: it is no such document.
        """
        try:
            if document["version"] != VERSION:
                raise ValueError(f"it is of version {document['version']!r}")
            found = {
                Replica(*map(str, one["replica"])): Saved(
                    fingerprint=_fingerprint(one["fingerprint"]),
                    time=float(one["time"]),
                    models=dict(one["models"]),
                )
                for one in document["replicas"]
            }
            self._capacities.restore(found, document["spent"])
        except (LookupError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"it makes no sense: {error!r}") from error
        return len(found)


def _done(state: ReplicaState, restore: Saved | None, why: str, time: float) -> Iterator[Event]:
    """Do what was decided and yield what to tell of it."""
    name, labels = state.replica.instance_name, state.replica._asdict()
    if restore is None:
        state.relearn(None)
        sentence = f"what was learned of {name} is dropped: {why}"
        yield Event(time, "models_dropped", "analysis", labels, sentence)
        return
    try:
        state.relearn(restore.models)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        state.relearn(None)
        sentence = f"what was learned of {name} cannot be used and is dropped: {error!r}"
        yield Event(time, "models_dropped", "analysis", labels, sentence)
        return
    age = max(0.0, time - restore.time)
    sentence = f"what was learned of {name} until {age / 60.0:.0f} min ago is taken up again"
    yield Event(time, "models_restored", "analysis", labels, sentence)


def _fingerprint(given: Mapping[str, Any]) -> Fingerprint:
    """Return a fingerprint from JSON."""
    return {
        str(name): value if isinstance(value, str) else float(value)
        for name, value in given.items()
    }


def _as_json(replica: Replica, saved: Saved) -> dict[str, Any]:
    """Return what was learned of a replica as what JSON can hold."""
    return {
        "replica": [*replica],
        "fingerprint": dict(saved.fingerprint),
        "time": saved.time,
        "models": saved.models,
    }
