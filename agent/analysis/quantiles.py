"""Quantiles of what a histogram observed during a view, finer than its buckets.

A histogram says in which bucket an observation fell and what all of them add up to. Interpolating
within a bucket spreads the observations evenly over it, which is far off where they lie close
together: at a constant 60 ms between tokens, all in the bucket from 50 to 75 ms, the interpolated
95th percentile is 74 ms. But the sum is known for every second. Most observations of one second
fall into one bucket, and what the sum leaves for that bucket is their mean.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.analysis.window import Column, Histogram, View
from agent.model import Metric

_PLACES: Final = np.array([0.125, 0.375, 0.625, 0.875])
_OPEN: Final = 1.5  # where in the last, unbounded bucket a value is taken to lie, as a multiple


@dataclass(frozen=True, slots=True)
class Observed:
    """The observations of a stretch of time, each second's in a bucket taken for one point.

    Attributes:
        values: ascending.
        weights: how many observations stand at each.
        mean: of all of them; exact.
        count: of all of them.
    """

    values: Column
    weights: Column
    mean: float
    count: float

    def quantile(self, share: float) -> float | None:
        """Return the value that this share of the observations does not exceed; None of none."""
        if not self.count:
            return None
        reached = np.cumsum(self.weights)
        place = int(np.searchsorted(reached, share * reached[-1] - 1e-9))
        return float(self.values[min(place, len(self.values) - 1)])

    def share_above(self, value: float) -> float | None:
        """Return the share of the observations above a value; None of none."""
        if not self.count:
            return None
        total = self.weights.sum()
        if not total > 0:  # a page that counts what none of its buckets holds
            return None
        place = int(np.searchsorted(self.values, value, side="right"))
        return float(self.weights[place:].sum() / total)


NOTHING: Final = Observed(np.empty(0), np.empty(0), float("nan"), 0.0)


def observed_in(view: View, metric: Metric) -> Observed:
    """Return what a histogram observed during a view; where nothing came, no bucket is read."""
    count = view.of(metric, suffix="_count")
    # What is not known compares as neither: then it is looked at closely.
    if np.logical_and.reduce(count[1:] <= count[:-1]):
        return NOTHING
    return observed(view.histogram(metric))


def observed(histogram: Histogram | None) -> Observed:
    """Return what a histogram observed from its first row to its last.

    A row at which the count fell, after a restart, begins anew; rows that the engine did not give
    are bridged.
    """
    if histogram is None or len(histogram.count) < 2:  # noqa: PLR2004 - a delta has two ends
        return NOTHING
    number, total, counts = histogram.count, histogram.sum, histogram.counts
    if np.isnan(number.sum() + total.sum() + counts.sum()):
        known = ~np.isnan(number) & ~np.isnan(total) & ~np.isnan(counts).any(axis=1)
        number, total, counts = number[known], total[known], counts[known]
    grown = (number[1:] > number[:-1]).nonzero()[0]
    if not grown.size:
        return NOTHING
    count = float((number[grown + 1] - number[grown]).sum())
    total = total[grown + 1] - total[grown]
    total_sum = total.sum()
    each = counts[grown + 1] - counts[grown]
    each[:, 1:] -= each[:, :-1].copy()
    np.maximum(each, 0.0, out=each)
    bounds = histogram.bounds
    low = np.concatenate(((0.0,), bounds[:-1]))
    open_ended = np.isinf(bounds)
    middle = np.where(open_ended, low * _OPEN, (low + np.where(open_ended, low, bounds)) / 2)
    rows = np.arange(len(each))
    main = each.argmax(axis=1)
    held = np.maximum(each[rows, main], 1e-9)
    rest = each @ middle - held * middle[main]
    mean = np.minimum(np.maximum((total - rest) / held, low[main]), bounds[main])
    here = each[rows, main]
    each[rows, main] = 0.0
    # What lies in another bucket than most of its second is spread over that bucket.
    others = each.sum(axis=0)
    spread = low + (middle - low) * 2 * _PLACES[:, None]
    values = np.concatenate((mean, spread.ravel()))
    weights = np.concatenate((here, *[others / len(_PLACES)] * len(_PLACES)))
    order = values.argsort(kind="stable")
    return Observed(values[order], weights[order], float(total_sum) / count, count)
