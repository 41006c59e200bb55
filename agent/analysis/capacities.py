"""Capacity beyond one replica: what it rests on, sums over models, GPUs and the host, and money."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from agent.analysis import cost, spend
from agent.analysis.fingerprint import Facts
from agent.analysis.headroom import Headroom, Part, added, summed
from agent.analysis.replica_capacity import CapacityResult
from agent.analysis.replicas import GpuKey, Replica
from agent.analysis.retention import Saved
from agent.analysis.spend import Spend
from agent.analysis.terms import Terms
from agent.analysis.window import rounded
from agent.catalog import capacity as catalog
from agent.model import Frame, Metric

Sample: TypeAlias = tuple[Metric, tuple[str, ...], float]
_Key: TypeAlias = tuple[str, ...]
Placed: TypeAlias = Mapping[Replica, Sequence[GpuKey]]

EVERY: Final = 5.0
"""Seconds from one sum to the next."""

_HOST: Final = ()


class Capacities:
    """Follows all replicas of a host."""

    def __init__(self) -> None:
        self.terms = Terms()
        self.facts = Facts()
        self._spend = Spend()
        self._hourly: Mapping[Replica, float] = {}
        self._saved: dict[Replica, Saved] = {}
        self._due = -math.inf
        self._samples: list[Sample] = []
        self._sums: Mapping[str, Mapping[_Key, Headroom]] = {}
        self._asked: Mapping[str, Mapping[_Key, float]] = {}

    def due(self, frame: Frame) -> bool:
        """Return whether it is time to add up anew."""
        return not self._due - 2 * EVERY <= frame.time < self._due

    @property
    def said(self) -> Sequence[Sample]:
        """What stands of the host: metric, label values, value."""
        return self._samples

    def observe(
        self, frame: Frame, placed: Placed, results: Mapping[Replica, CapacityResult]
    ) -> Sequence[Sample]:
        """Add up anew and return what stands of the host.

        Args:
            frame: of this tick.
            placed: the GPUs of each replica, none where they are not known.
            results: what is known of each replica.
        """
        self._due = frame.time + EVERY
        prices = self.terms.prices
        names = {key[0]: facts.get("name", "") for key, facts in self.facts.gpus().items()}
        self._hourly = cost.hourly(placed, names, prices)
        each = [prices.of_gpu(name) for name in names.values()]
        known = [price for price in each if price is not None]
        rate = sum(known) if known and len(known) == len(each) else None
        self._spend.observe(frame.time, rate, currency=prices.currency)
        self._sums, self._asked = _sums(placed, results), _asked(placed, results)
        self._samples = [
            (metric, labels, rounded(value))
            for metric, labels, value in (
                *_said(self._sums, self._asked),
                *spend.samples(self._spend, prices.currency, prices.monthly_budget),
            )
        ]
        return self._samples

    def per_hour(self, replica: Replica) -> float | None:
        """Return what the GPUs of a replica cost an hour, None where that is not known."""
        return self._hourly.get(replica)

    def take(self, replica: Replica) -> Saved | None:
        """Return what the run before had learned of a replica; it is its own from now on."""
        return self._saved.pop(replica, None)

    def saved(self) -> Mapping[Replica, Saved]:
        """Return what the run before had learned of replicas that were not seen in this one."""
        return self._saved

    def restore(self, saved: Mapping[Replica, Saved], spent: Mapping[str, Any] | None) -> None:
        """Take over what the run before had learned and counted; errors as for `Spend.restore`."""
        if spent is not None:
            self._spend.restore(spent)
        self._saved = dict(saved)

    def spent(self) -> dict[str, Any]:
        """Return what was counted as what JSON can hold."""
        return self._spend.state()

    def as_json(self) -> dict[str, Any]:
        """Return the sums and the money; null is not known."""
        prices = self.terms.prices
        return {
            "models": [{"model_name": name, **total} for (name,), total in self._totals("model")],
            "gpus": [
                {"gpu": number, "uuid": uuid, "mig": mig, **total}
                for (number, uuid, mig), total in self._totals("gpu")
            ],
            "host": next((total for _key, total in self._totals("host")), _sum_json(None, None)),
            "spend": spend.as_json(self._spend, prices.currency, prices.monthly_budget),
        }

    def _totals(self, scope: str) -> Iterator[tuple[_Key, dict[str, Any]]]:
        """Yield the key of each sum of a scope and what is known of it."""
        sums, asked = self._sums.get(scope, {}), self._asked.get(scope, {})
        for key in {**sums, **asked}:
            yield key, _sum_json(sums.get(key), asked.get(key))


def _sums(
    placed: Placed, results: Mapping[Replica, CapacityResult]
) -> Mapping[str, Mapping[_Key, Headroom]]:
    """Return the headroom of each model, each GPU and the host."""
    everywhere = all(placed.get(replica) for replica in results)
    return {
        "model": summed(
            ((replica.model_name,), Part(result.headroom)) for replica, result in results.items()
        ),
        # A replica that runs nobody knows where may be on any of them.
        "gpu": summed(_shares(placed, results)) if everywhere else {},
        "host": summed((_HOST, Part(result.headroom)) for result in results.values()),
    }


def _asked(
    placed: Placed, results: Mapping[Replica, CapacityResult]
) -> Mapping[str, Mapping[_Key, float]]:
    """Return the demand on each model, each GPU and the host, known before any capacity is."""
    tokens = {replica: result.demand.tokens_per_minute for replica, result in results.items()}
    shares = (
        (tuple(key), None if asked is None else asked / len(placed[replica]))
        for replica, asked in tokens.items()
        for key in placed[replica]
    )
    return {
        "model": added((((replica.model_name,), asked) for replica, asked in tokens.items())),
        "gpu": added(shares) if all(placed.get(replica) for replica in results) else {},
        "host": added((_HOST, asked) for asked in tokens.values()),
    }


def _shares(
    placed: Placed, results: Mapping[Replica, CapacityResult]
) -> Iterator[tuple[tuple[str, ...], Part]]:
    """Yield the part of each replica in each of its GPUs."""
    for replica, result in results.items():
        gpus = placed[replica]
        for key in gpus:
            yield tuple(key), Part(result.headroom, 1.0 / len(gpus))


_METRICS: Final[Mapping[str, tuple[Metric, Metric, Metric]]] = {
    "model": (catalog.MODEL_DEMAND, catalog.MODEL_HEADROOM, catalog.MODEL_HEADROOM_RATIO),
    "gpu": (catalog.GPU_DEMAND, catalog.GPU_HEADROOM, catalog.GPU_HEADROOM_RATIO),
    "host": (catalog.HOST_DEMAND, catalog.HOST_HEADROOM, catalog.HOST_HEADROOM_RATIO),
}


def _said(
    sums: Mapping[str, Mapping[_Key, Headroom]], asked: Mapping[str, Mapping[_Key, float]]
) -> Iterable[Sample]:
    """Yield the sums."""
    for scope, (demand, headroom, ratio) in _METRICS.items():
        for labels, tokens in asked[scope].items():
            yield demand, labels, tokens
        for labels, total in sums[scope].items():
            yield headroom, labels, total.tokens_per_minute
            if total.ratio is not None:
                yield ratio, labels, total.ratio


def _sum_json(total: Headroom | None, asked: float | None) -> dict[str, Any]:
    """Return a sum, null where it is not known."""
    return {
        "source": total.source.value if total else None,
        "capacity_low_tokens_per_minute": total.carries if total else None,
        "demand_tokens_per_minute": asked,
        "headroom_tokens_per_minute": total.tokens_per_minute if total else None,
        "headroom_ratio": total.ratio if total else None,
    }
