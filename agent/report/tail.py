"""Latencies against their targets: of histograms in windows, of the agent's own gauge in minutes.

Within a bucket observations are taken to be spread evenly, as PromQL's `histogram_quantile` does.
"""

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.catalog import engine, latency
from agent.catalog.latency import Quantity
from agent.model import Metric
from agent.report.answers import Answer, Answers
from agent.report.grid import Column, growth, unknown
from agent.report.scope import Choice, Fine, Key, Span, by_replica, with_one_before
from agent.store.five import Part

TAIL: Final = 0.95

Matrix = NDArray[np.float64]


class Timed(StrEnum):
    """What is timed: to the first token, between tokens, and between those of a request, mean."""

    TIME_TO_FIRST_TOKEN = "time_to_first_token"  # noqa: S105 - a latency, no secret
    INTER_TOKEN = "inter_token"  # noqa: S105 - likewise
    TIME_PER_OUTPUT_TOKEN = "time_per_output_token"  # noqa: S105 - likewise


_HISTOGRAMS: Final[dict[Timed, Metric]] = {
    Timed.TIME_TO_FIRST_TOKEN: engine.TIME_TO_FIRST_TOKEN,
    Timed.INTER_TOKEN: engine.INTER_TOKEN_LATENCY,
    Timed.TIME_PER_OUTPUT_TOKEN: engine.REQUEST_TIME_PER_OUTPUT_TOKEN,
}
_GAUGES: Final[dict[Timed, Quantity]] = {
    Timed.TIME_TO_FIRST_TOKEN: Quantity.TIME_TO_FIRST_TOKEN,
    Timed.INTER_TOKEN: Quantity.INTER_TOKEN,
}


@dataclass(frozen=True, slots=True)
class Tail:
    """How long something took over a window of time.

    Attributes:
        bounds: upper bounds of the buckets in seconds, ascending, the last infinite.
        each: observations of each bucket in each window of five minutes, shape (windows, buckets);
            NaN where that is not known.
        minute: 95th percentile of each minute, seconds.
    """

    bounds: Column
    each: Matrix
    minute: Column

    @property
    def counts(self) -> Column:
        """Observations of each window; NaN where that is not known."""
        total: Column = self.each.sum(axis=1)
        return total

    @property
    def p95(self) -> Fine:
        """95th percentile in seconds; NaN where nothing was observed."""
        return Fine(quantiles(self.bounds, self.each, TAIL), self.minute)

    def overall(self) -> tuple[float | None, float]:
        """Return the 95th percentile of all observations, None of none, and how many there are."""
        total = np.nansum(self.each, axis=0)
        found = float(quantiles(self.bounds, total[None, :], TAIL)[0])
        return (None if np.isnan(found) else found), float(total.sum())

    def share_over(self, limit: float) -> float | None:
        """Return the share of the observations above a limit; None without observations."""
        total = np.nansum(self.each, axis=0)
        if not total.sum() > 0:
            return None
        place = int(np.searchsorted(self.bounds, limit))
        low = 0.0 if place == 0 else float(self.bounds[place - 1])
        high = float(self.bounds[place])
        # Above the last bound nothing says where: all of it counts as over.
        part = 1.0 if np.isinf(high) else (high - limit) / (high - low)
        return float((total[place + 1 :].sum() + total[place] * part) / total.sum())


def quantiles(bounds: Column, each: Matrix, share: float) -> Column:
    """Return a quantile of each row; NaN where nothing was observed.

    What lies in the last, unbounded bucket is said to be at the bound before it.

    Args:
        bounds: upper bounds of the buckets, ascending, the last infinite.
        each: observations of each bucket, shape (rows, buckets).
        share: 0 to 1.
    """
    if len(bounds) < 2:  # noqa: PLR2004 - the unbounded bucket alone tells nothing
        return unknown(len(each))
    reached = np.cumsum(each, axis=1)
    total = reached[:, -1]
    rows = np.flatnonzero(total > 0)
    found = unknown(len(each))
    if not rows.size:
        return found
    rank = share * total[rows]
    place = (reached[rows] < rank[:, None] * (1 - 1e-12)).sum(axis=1)
    place = np.minimum(place, len(bounds) - 1)
    open_ended = place == len(bounds) - 1
    low = np.where(place > 0, bounds[np.maximum(place - 1, 0)], 0.0)
    high = np.where(open_ended, low, bounds[place])
    held = each[rows, place]
    before = reached[rows, place] - held
    within = np.divide(rank - before, held, out=np.zeros(len(rows)), where=held > 0)
    found[rows] = low + (high - low) * np.clip(within, 0.0, 1.0)
    return found


def added(tails: list[Tail]) -> Tail | None:
    """Return the latencies of several replicas together; None of none or of unlike buckets.

    A minute is as slow as the slowest of them: of minutes only percentiles are known.
    """
    if not tails:
        return None
    first = tails[0]
    if len(tails) == 1:
        return first
    if any(not np.array_equal(one.bounds, first.bounds) for one in tails):
        return None
    stacked = np.stack([one.each for one in tails])
    known = ~np.isnan(stacked)
    each = np.where(known.any(axis=0), np.where(known, stacked, 0.0).sum(axis=0), np.nan)
    minutes = np.stack([one.minute for one in tails])
    slowest = np.where(np.isnan(minutes), -np.inf, minutes).max(axis=0)
    return Tail(first.bounds, each, np.where(np.isinf(slowest), np.nan, slowest))


def read_tails(answers: Answers, choice: Choice, span: Span) -> dict[Key, dict[Timed, Tail]]:
    """Return the latencies of each replica that has any."""
    asked = answers.ask(choice.selector(latency.LATENCY_P95.name), span.minutes, Part.LAST)
    minutes = {(key, one.labels.get("quantity", "")): one.values for key, one in by_replica(asked)}
    nothing = unknown(span.minutes.count)
    found: defaultdict[Key, dict[Timed, Tail]] = defaultdict(dict)
    for timed, metric in _HISTOGRAMS.items():
        selector = choice.selector(f"{metric.name}_bucket")
        buckets: defaultdict[Key, dict[float, Answer]] = defaultdict(dict)
        for key, one in by_replica(answers.ask(selector, with_one_before(span.five))):
            buckets[key][float(one.labels["le"])] = one
        quantity = _GAUGES.get(timed, "")
        for key, by_bound in buckets.items():
            minute = minutes.get((key, quantity), nothing)
            found[key][timed] = _tail(by_bound, minute, span.five.step)
    return dict(found)


def _tail(by_bound: dict[float, Answer], minute: Column, step: float) -> Tail:
    """Return the latencies that cumulative buckets tell."""
    bounds = sorted(by_bound)
    rates = [growth(by_bound[bound].times, by_bound[bound].values) for bound in bounds]
    counted = np.stack(rates, axis=1) * step
    counted[:, 1:] -= counted[:, :-1].copy()
    # Buckets of one page are counted at one time; a restart may still leave a little below zero.
    each = np.where(counted < 0, 0.0, counted)
    return Tail(np.array(bounds), each, minute)
