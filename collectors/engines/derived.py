"""What follows from a page, and from no single sample of it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.catalog import engine as catalog
from agent.model import Metric, SeriesTable
from collectors.engines.mapping import Plan
from collectors.engines.profile import Engine, Fact, SlotList


@dataclass(slots=True)
class _Given:
    """Requests that clients gave up at one rank, counted upwards through restarts."""

    base: float = 0.0
    best: float = 0.0
    last: float | None = None
    started: float = 0.0

    def observe(self, estimate: float, started: float) -> float:
        """Return the count so far.

        The parts of an estimate may come from different processes of the engine and differ by a
        moment, so only what two looks in a row agree on is counted.
        """
        if not math.isfinite(estimate):
            return self.base + self.best
        if started < self.started:
            self.restart()
        agreed = estimate if self.last is None else min(estimate, self.last)
        self.best = max(self.best, agreed)
        self.last, self.started = estimate, started
        return self.base + self.best

    def restart(self) -> None:
        """Go on from here with an engine that counts from zero."""
        self.base += self.best
        self.best, self.last, self.started = 0.0, None, 0.0


@dataclass(frozen=True, slots=True)
class _Rank:
    """Where the values of one model at one rank stand in a plan; None where there are none."""

    usage: int | None
    running: int | None
    waiting: int | None
    started: int | None
    finished: int | None
    counted: int | None
    capacity: float | None
    given: _Given
    capacity_id: int
    used_id: int
    abandoned_id: int


class Derived:
    """Adds KV tokens and requests given up to what stands on the pages of one instance."""

    def __init__(self, engine: Engine, instance_name: str, table: SeriesTable) -> None:
        self._engine = engine
        self._prefix = (engine.name, instance_name)
        self._table = table
        self._given: dict[tuple[str, str], _Given] = {}
        self._ranks: list[_Rank] = []

    def prepare(self, plan: Plan) -> None:
        """Look up once where the values of a new plan stand."""
        places = {
            (series.metric, series.suffix, series.labels): index
            for index, series in ((at, self._table[number]) for at, number in enumerate(plan.ids))
        }
        self._ranks = [
            self._rank(plan, places, model, rank)
            for metric, _, (_, _, model, rank, *_) in list(places)
            if metric is catalog.REQUESTS_RUNNING
        ]

    def restarted(self) -> None:
        """Take note that all counts of the engine begin again at zero."""
        for given in self._given.values():
            given.restart()

    def samples(self, values: Sequence[float]) -> Iterator[tuple[int, float]]:
        """Yield further series for the values of the plan."""
        for rank in self._ranks:
            if rank.capacity is not None:
                yield rank.capacity_id, rank.capacity
                used = math.nan if rank.usage is None else values[rank.usage] * rank.capacity
                if math.isfinite(used):
                    # The gauge is a share of whole blocks, so this is whole tokens.
                    yield rank.used_id, float(round(used))
            if rank.started is not None and rank.finished is not None:
                started = values[rank.started]
                estimate = started - values[rank.finished]
                for present in (rank.running, rank.waiting):
                    estimate -= 0.0 if present is None else values[present]
                estimate += 0.0 if rank.counted is None else values[rank.counted]
                yield rank.abandoned_id, rank.given.observe(estimate, started)

    def _rank(
        self,
        plan: Plan,
        places: Mapping[tuple[Metric, str, tuple[str, ...]], int],
        model: str,
        rank: str,
    ) -> _Rank:
        """Return where the values of one model and rank stand."""
        labels = (*self._prefix, model, rank)

        def at(metric: Metric, suffix: str = "", *own: str) -> int | None:
            return places.get((metric, suffix, (*labels, *own)))

        how = self._engine.abandoned
        return _Rank(
            usage=at(catalog.KV_CACHE_USAGE),
            running=at(catalog.REQUESTS_RUNNING),
            waiting=at(catalog.REQUESTS_WAITING),
            started=at(how.started, "_count") if how else None,
            finished=at(how.finished, "_count") if how else None,
            counted=at(catalog.REQUESTS_FINISHED, "", how.counted) if how else None,
            capacity=_capacity(plan.facts.get(rank, {}), ranks=len(plan.facts)),
            given=self._given.setdefault((model, rank), _Given()),
            capacity_id=self._table.intern(catalog.KV_CACHE_CAPACITY, labels),
            used_id=self._table.intern(catalog.KV_CACHE_USED, labels),
            abandoned_id=self._table.intern(catalog.REQUESTS_ABANDONED, labels),
        )


def _capacity(facts: Mapping[Fact, str], *, ranks: int) -> float | None:
    """Return the tokens that requests can have in the KV cache of one rank.

    One block of each rank is never given to a request. With several ranks vLLM writes the blocks
    of all of them at each, but the tokens of one, so the tokens are preferred where given.
    """
    try:
        block = int(facts[Fact.BLOCK_SIZE])
        if Fact.KV_TOKENS in facts:
            return float(int(facts[Fact.KV_TOKENS]) - block)
        return float((int(facts[Fact.KV_BLOCKS]) // ranks - 1) * block)
    except (KeyError, ValueError):
        return None


def slot_use(document: Any, slots: SlotList, *, unified: bool) -> tuple[float, float] | None:
    """Return tokens held by busy slots and the tokens that all slots can hold, if it says both.

    Args:
        document: the answer of the engine.
        slots: what its keys are called.
        unified: all slots share one cache, and each claims the whole of it.
    """
    if not isinstance(document, list) or not document:
        return None
    try:
        room = [float(slot[slots.capacity]) for slot in document]
        used = sum(float(slot[slots.used]) for slot in document if slot[slots.busy])
    except (KeyError, TypeError, ValueError):
        return None
    return used, max(room) if unified else sum(room)
