"""What the signals of a replica follow from: numbers, each with the moment of which it is true."""

import math
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from agent.analysis.latency import LatencyResult
from agent.analysis.replica_capacity import CapacityResult
from agent.analysis.verdict import Verdict
from agent.analysis.window import View
from agent.catalog import engine
from agent.catalog.latency import Quantity
from agent.catalog.verdict import Cause
from agent.model import Metric

SILENT: Final = 15.0
"""Seconds without a page after which an engine is taken to be dying."""


class Timed(NamedTuple):
    """A number and the Unix seconds of which it is true."""

    value: float
    time: float


class Growth(NamedTuple):
    """What a demand becomes within the horizon, as multiples of what it is; 90 % between."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a replica; None is not known.

    Attributes:
        time: Unix seconds of now.
        demand: tokens a minute that are asked of it.
        carries: tokens a minute that it carries at least, learned or declared.
        stability: tokens a minute at which its queue begins to grow without end.
        queue: requests that wait.
        queue_wait: seconds that 95 of 100 requests of the last minute waited at most.
        first_token: likewise for the first token.
        kv: share of the KV cache in use.
        growth: what becomes of the demand on its model.
        page: of which its page was seen last.
        stalled: why no request makes progress; empty while some do.
    """

    time: float
    demand: Timed | None = None
    carries: Timed | None = None
    stability: Timed | None = None
    queue: Timed | None = None
    queue_wait: Timed | None = None
    first_token: Timed | None = None
    kv: Timed | None = None
    growth: Growth | None = None
    page: float | None = None
    stalled: str = ""

    @property
    def load(self) -> Timed | None:
        """Demand as a share of what it carries at least."""
        demand, carries = self.demand, self.carries
        if demand is None or carries is None or not carries.value > 0.0:
            return None
        return Timed(demand.value / carries.value, min(demand.time, carries.time))

    @property
    def stuck(self) -> str | None:
        """Why nothing comes of requests, empty while something does; None if never seen."""
        if self.page is None:
            return None
        silence = self.time - self.page
        return f"it has not answered for {silence:.0f} s" if silence > SILENT else self.stalled

    def fresh(self, stale_after: float) -> "Evidence":
        """Return what of it is young enough to be true."""

        def young(known: Timed | None) -> Timed | None:
            return known if known is None or self.time - known.time <= stale_after else None

        return replace(
            self,
            demand=young(self.demand),
            carries=young(self.carries),
            stability=young(self.stability),
            queue=young(self.queue),
            queue_wait=young(self.queue_wait),
            first_token=young(self.first_token),
            kv=young(self.kv),
            growth=None if young(self.demand) is None else self.growth,
        )


def gather(
    view: View,
    *,
    capacity: CapacityResult,
    latency: LatencyResult,
    verdict: Verdict,
    growth: Growth | None,
) -> Evidence:
    """Return what is known of a replica.

    Args:
        view: of it, at least one row.
        capacity: what it carries and what is asked of it.
        latency: how long things take.
        verdict: what holds it back.
        growth: what becomes of the demand on its model.
    """
    queue = _newest(view, engine.REQUESTS_WAITING)
    page = None if queue is None else queue.time
    asked = capacity.demand.tokens_per_minute
    known = capacity.capacity.known
    carries = capacity.declared if known is None else known.under_targets.tokens_per_minute.low
    stability = None if known is None else known.stability.tokens_per_minute.estimate
    return Evidence(
        time=float(view.times[-1]),
        # Both rest on the last page, however often they are worked out.
        demand=_at(asked, capacity.time, page),
        carries=_at(carries, capacity.time),
        stability=_at(stability, capacity.time),
        queue=queue,
        queue_wait=_p95(latency, Quantity.QUEUE, page),
        first_token=_p95(latency, Quantity.TIME_TO_FIRST_TOKEN, page),
        kv=_newest(view, engine.KV_CACHE_USAGE),
        growth=growth,
        page=page,
        stalled=verdict.sentence if verdict.cause is Cause.STALLED else "",
    )


def _newest(view: View, metric: Metric) -> Timed | None:
    """Return the newest value of a column, None where there is none."""
    column = view[metric]
    known = np.flatnonzero(~np.isnan(column))
    if not len(known):
        return None
    return Timed(float(column[known[-1]]), float(view.times[known[-1]]))


def _at(value: float | None, *times: float | None) -> Timed | None:
    """Return a number and the earliest of some moments, None where anything is not known."""
    known = [time for time in times if time is not None]
    if value is None or math.isnan(value) or len(known) < len(times):
        return None
    return Timed(value, min(known))


def _p95(latency: LatencyResult, quantity: Quantity, page: float | None) -> Timed | None:
    """Return a 95th percentile of the last minute."""
    tally = latency.recent.get(quantity)
    return None if tally is None else _at(tally.quantile(0.95), page)
