"""What is left of a capacity: its lower bound less the demand, for replicas and sums of them."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from agent.analysis.asked import Demand
from agent.analysis.capacity.estimate import Capacity
from agent.catalog.capacity import Source

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """What a replica, or several together, can take in addition.

    Attributes:
        source: where the capacity is known from; the worse of both in a sum.
        carries: tokens a minute that it carries at least.
        demand: tokens a minute that are asked of it.
        requests_per_minute: likewise what is left, None where requests are not counted.
    """

    source: Source
    carries: float
    demand: float
    requests_per_minute: float | None = None

    @property
    def tokens_per_minute(self) -> float:
        """What is left; negative where more is asked."""
        return self.carries - self.demand

    @property
    def ratio(self) -> float | None:
        """The same as a share of what it carries; None where it carries nothing."""
        return self.tokens_per_minute / self.carries if self.carries > 0.0 else None


def headroom_of(capacity: Capacity, declared: float | None, demand: Demand) -> Headroom | None:
    """Return the headroom of a replica, None where capacity or demand is not known.

    Args:
        capacity: that was learned.
        declared: tokens a minute that the configuration says; counts until one is learned.
        demand: what is asked.
    """
    tokens = demand.tokens_per_minute
    if tokens is None:
        return None
    known = capacity.known
    if known is None:
        if declared is None:
            return None
        return Headroom(source=Source.DECLARED, carries=declared, demand=tokens)
    requests, asked = known.under_targets.requests_per_minute, demand.requests_per_minute
    return Headroom(
        source=Source.LEARNED,
        carries=known.under_targets.tokens_per_minute.low,
        demand=tokens,
        requests_per_minute=None if requests is None or asked is None else requests.low - asked,
    )


class Part(NamedTuple):
    """The share of a replica's headroom that counts towards a sum; None where it is not known."""

    headroom: Headroom | None
    share: float = 1.0


def summed(parts: Iterable[tuple[K, Part]]) -> Mapping[K, Headroom]:
    """Return the sum of the parts of each key; a key with a part that is not known has none."""
    groups: dict[K, list[Part]] = {}
    for key, part in parts:
        groups.setdefault(key, []).append(part)
    return {key: total for key, each in groups.items() if (total := _sum(each)) is not None}


def _sum(parts: Iterable[Part]) -> Headroom | None:
    """Return a sum, None where a part is not known."""
    carries = demand = 0.0
    source = Source.LEARNED
    for headroom, share in parts:
        if headroom is None:
            return None
        carries += share * headroom.carries
        demand += share * headroom.demand
        if headroom.source is Source.DECLARED:
            source = Source.DECLARED
    return Headroom(source=source, carries=carries, demand=demand)


def added(parts: Iterable[tuple[K, float | None]]) -> Mapping[K, float]:
    """Return the sum of the numbers of each key; a key with one that is not known has none."""
    sums: dict[K, float] = {}
    unknown: set[K] = set()
    for key, part in parts:
        if part is None:
            unknown.add(key)
        else:
            sums[key] = sums.get(key, 0.0) + part
    return {key: total for key, total in sums.items() if key not in unknown}
