"""From the samples of all hosts to the replicas that each model needs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from agent.analysis.demand.forecaster import DemandForecaster
from agent.analysis.demand.week import MINUTE
from agent.analysis.signals.fleet import Fleet, FleetTerms, Load, Need
from agent.analysis.window import MOST
from agent.catalog import capacity, engine
from agent.catalog.latency import LATENCY_P95, Quantity

Labels: TypeAlias = Mapping[str, str]
Replica: TypeAlias = tuple[tuple[str, str], ...]
"""The labels of a replica, the target's included, sorted."""

_TOTAL: Final = {"phase": "total"}
FIELDS: Final[Mapping[str, tuple[str, Labels]]] = {
    "demand": (capacity.DEMAND.name, _TOTAL),
    "carries": (capacity.CAPACITY.name, {**_TOTAL, "bound": "low"}),
    "queue": (capacity.QUEUE.name, {}),
    "wait": (LATENCY_P95.name, {"quantity": Quantity.QUEUE.value}),
    "running": (engine.REQUESTS_RUNNING.name, {}),
}
"""What is asked for: the metric of each number and the labels that it must have."""

OWN: Final = frozenset({"__name__", "phase", "bound", "quantity"})
"""Labels that tell the numbers of a replica apart, and not the replicas."""

_MODEL: Final = "model_name"
_RANK: Final = "rank"
_GONE: Final = 7 * 86_400.0  # seconds after which a model that nobody serves is forgotten


@dataclass(frozen=True, slots=True)
class Sample:
    """A number of a replica.

    Attributes:
        labels: with the name of the metric.
        value: what it says.
        time: Unix seconds of which it is true.
    """

    labels: Labels
    value: float
    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is told of a model.

    Attributes:
        time: Unix seconds of which it is true.
        need: how many replicas it needs.
        replicas: that serve now, None where there may be more than are known.
        known: of how many of them the capacity is known.
        demand: tokens a minute that are asked of all of them, None where that of one is not known.
        foreseen: the same at the horizon, None where it is not.
        capacity: tokens a minute that a replica carries at least, None where it is not known.
        missing: sentences: why not all replicas are known; empty where they are.
    """

    time: float
    need: Need
    replicas: int | None
    known: int
    demand: float | None
    foreseen: float | None
    capacity: float | None
    missing: Sequence[str]


@dataclass(slots=True)
class _Model:
    """What is remembered of a model."""

    horizon: float
    fleet: Fleet = field(default_factory=Fleet)
    forecaster: DemandForecaster = field(init=False)
    minute: float = -1.0
    seen: float = 0.0

    def __post_init__(self) -> None:
        """Begin to learn."""
        self.forecaster = DemandForecaster(horizon=self.horizon)


class Models:
    """Follows every model that some replica serves.

    Args:
        terms: of a model by its name.
        stale_after: seconds after which a sample is not true any more.
    """

    def __init__(self, terms: Callable[[str], FleetTerms], *, stale_after: float) -> None:
        self._terms = terms
        self._stale_after = stale_after
        self._models: dict[str, _Model] = {}
        self._told: dict[str, Told] = {}

    def observe(
        self, time: float, samples: Iterable[Sample], *, missing: Sequence[str] = ()
    ) -> None:
        """Take what the hosts say now.

        Args:
            time: Unix seconds of now.
            samples: of the metrics of `FIELDS`, the newest of each series.
            missing: sentences: why these are not all; empty where they are.
        """
        for model_name, loads in loads_of(samples, time=time, stale=self._stale_after).items():
            terms = self._terms(model_name)
            known = self._models.get(model_name)
            if known is None:
                known = self._models[model_name] = _Model(terms.horizon)
            known.seen = time
            demand = None if missing else _sum(load.demand for load in loads)
            if demand is not None and time // MINUTE != known.minute:
                known.minute = time // MINUTE
                known.forecaster.learn((time // MINUTE * MINUTE,), (demand,))
            ahead = known.forecaster.forecast(time, terms.horizon)
            foreseen = None if ahead is None else ahead.estimate
            need = known.fleet.observe(time, loads, terms, foreseen=foreseen, partial=bool(missing))
            carries = [load.carries for load in loads if load.carries is not None]
            if need is not None:
                self._told[model_name] = Told(
                    time=time,
                    need=need,
                    replicas=None if missing else len(loads),
                    known=len(carries),
                    demand=demand,
                    foreseen=foreseen,
                    capacity=sum(carries) / len(carries) if carries else None,
                    missing=tuple(missing),
                )
        for name in [name for name, one in self._models.items() if time - one.seen > _GONE]:
            del self._models[name]
            self._told.pop(name, None)

    def told(self, model_name: str, *, time: float) -> Told | None:
        """Return what is told of a model, None where it is not young enough to be true.

        Args:
            model_name: its name.
            time: Unix seconds of now.
        """
        found = self._told.get(model_name)
        return found if found is not None and time - found.time <= self._stale_after else None

    def names(self) -> Sequence[str]:
        """Return the models that were seen, young enough or not."""
        return [*self._told]


def loads_of(samples: Iterable[Sample], *, time: float, stale: float) -> Mapping[str, list[Load]]:
    """Return what is known of each server, by model; one that says nothing new is not there.

    A server is what an autoscaler starts and ends; its ranks count together. A number that none
    can mean is as if it had not been said.
    """
    names = {(metric, *sorted(labels.items())): key for key, (metric, labels) in FIELDS.items()}
    replicas: dict[Replica, dict[str, float]] = {}
    for sample in samples:
        model_name = sample.labels.get(_MODEL)
        own = [(name, sample.labels[name]) for name in sorted(OWN) if name in sample.labels]
        key = names.get((own[0][1], *own[1:])) if own else None
        if not model_name or key is None or time - sample.time > stale:
            continue
        if not 0.0 <= sample.value < MOST:
            continue
        replica = tuple(sorted(one for one in sample.labels.items() if one[0] not in OWN))
        replicas.setdefault(replica, {})[key] = sample.value
    servers: dict[Replica, list[Load]] = {}
    for replica, values in replicas.items():
        server = tuple(one for one in replica if one[0] != _RANK)
        load = Load(*(values.get(name) for name in Load._fields))
        servers.setdefault(server, []).append(load)
    found: dict[str, list[Load]] = {}
    for server, ranks in servers.items():
        found.setdefault(dict(server)[_MODEL], []).append(_together(ranks))
    return found


def _together(ranks: Sequence[Load]) -> Load:
    """Return the load of a server by that of its ranks; a sum is unknown while a part is."""
    waits = [one.wait for one in ranks if one.wait is not None]
    return Load(
        demand=_sum(one.demand for one in ranks),
        carries=_sum(one.carries for one in ranks),
        queue=_sum(one.queue for one in ranks),
        wait=max(waits, default=None),
    )


def _sum(values: Iterable[float | None]) -> float | None:
    """Return a sum, None where a part is not known."""
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def as_json(model_name: str, told: Told, *, time: float) -> dict[str, Any]:
    """Return what is told of a model, for programs; null is not known.

    Args:
        model_name: its name.
        told: of it.
        time: Unix seconds of now.
    """
    return {
        "model_name": model_name,
        "replicas": told.need.replicas,
        "reason": told.need.reason,
        "replicas_now": told.replicas,
        "replicas_with_known_capacity": told.known,
        "demand_tokens_per_minute": told.demand,
        "predicted_demand_tokens_per_minute": told.foreseen,
        "capacity_tokens_per_minute_of_a_replica": told.capacity,
        "missing": [*told.missing],
        "age_seconds": max(0.0, time - told.time),
    }
