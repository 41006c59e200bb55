"""Histograms that can be added up over hours and still tell quantiles finer than their buckets.

Each bucket of the engine is cut into sixteen bins. What the engine observed within one second falls
mostly into one bucket, and what the sum leaves for that bucket is the mean of those observations:
that is the bin they are put into. The rest is spread evenly over its bucket, as
Prometheus's histogram_quantile takes all of it to be.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from agent.analysis.window import Column, Histogram

CUTS: Final = 16
_OPEN: Final = 4.0  # where the last, unbounded bucket is taken to end, as a multiple of its start
_NO_EDGES: Final = np.zeros(1)


def edges(bounds: Column) -> Column:
    """Return the edges of all bins, ascending from 0, shape (buckets * CUTS + 1,).

    Args:
        bounds: upper bounds of the engine's buckets, the last infinite.
    """
    low, high = _ends(bounds)
    inner = low[:, None] + (high - low)[:, None] * (np.arange(CUTS) / CUTS)
    return np.append(inner.ravel(), high[-1])


def binned(histogram: Histogram) -> tuple[Column, Column]:
    """Return what was observed between one row and the next.

    Rows that the engine did not give, or at which it began anew, have nothing.

    Returns:
        Observations by bin, shape (rows - 1, buckets * CUTS), and their sum, shape (rows - 1,).
    """
    count = histogram.count[1:] - histogram.count[:-1]
    total = histogram.sum[1:] - histogram.sum[:-1]
    each = histogram.counts[1:] - histogram.counts[:-1]
    each[:, 1:] -= each[:, :-1].copy()
    sound = (count > 0) & ~np.isnan(total) & (each >= 0).all(axis=1)
    total = np.where(sound, total, 0.0)
    each = np.where(sound[:, None], each, 0.0)
    low, high = _ends(histogram.bounds)
    middle = (low + high) / 2
    rows = np.arange(len(each))
    main = each.argmax(axis=1)
    held = np.maximum(each[rows, main], 1.0)
    left = (total - each @ middle) / held + middle[main]
    place = (left - low[main]) / (high - low)[main] * CUTS
    found = np.repeat(each / CUTS, CUTS, axis=1).reshape(len(each), len(middle), CUTS)
    found[rows, main] = 0.0
    bins = np.minimum(np.fmax(place, 0), CUTS - 1).astype(np.intp)
    found[rows, main, bins] = each[rows, main]
    return found.reshape(len(each), -1), total


@dataclass(slots=True)
class Tally:
    """Observations added up.

    Attributes:
        edges: of the bins.
        weights: observations in each bin.
        sum: of all observations.
    """

    edges: Column = field(default_factory=lambda: _NO_EDGES)
    weights: Column = field(default_factory=lambda: np.zeros(0))
    sum: float = 0.0

    def add(self, edges: Column, weights: Column, total: float) -> None:
        """Add observations; with other buckets than before, it begins anew."""
        if len(edges) != len(self.edges):
            self.edges, self.weights, self.sum = edges, np.zeros(len(edges) - 1), 0.0
        self.weights += weights
        self.sum += total

    def fade(self, share: float) -> None:
        """Let what is there count less."""
        self.weights *= share
        self.sum *= share

    @property
    def count(self) -> float:
        """How many observations there are."""
        return float(self.weights.sum())

    @property
    def mean(self) -> float | None:
        """Their exact mean, None of none."""
        count = self.count
        return self.sum / count if count > _NOTHING else None

    def quantile(self, share: float) -> float | None:
        """Return the value that this share of the observations does not exceed; None of none."""
        reached = np.cumsum(self.weights)
        if not len(reached) or reached[-1] <= _NOTHING:
            return None
        rank = share * reached[-1]
        index = min(int(np.searchsorted(reached, rank)), len(reached) - 1)
        within = self.weights[index]
        before = reached[index] - within
        part = (rank - before) / within if within > 0 else 1.0
        low, high = self.edges[index], self.edges[index + 1]
        return float(low + (high - low) * min(max(part, 0.0), 1.0))

    def bucket(self, value: float) -> tuple[float, float | None]:
        """Return the engine's own bucket that a value lies in; no upper end in the last."""
        coarse = self.edges[::CUTS]
        index = int(np.searchsorted(coarse[1:-1], value))
        last = index == len(coarse) - 2
        return float(coarse[index]), None if last else float(coarse[index + 1])


_NOTHING: Final = 1e-6  # observations that have faded to less than this are none


def _ends(bounds: Column) -> tuple[Column, Column]:
    """Return where each bucket begins and ends, the last one as far as it is taken to reach."""
    low = np.concatenate(((0.0,), bounds[:-1]))
    return low, np.where(np.isinf(bounds), np.maximum(low, 1e-9) * _OPEN, bounds)
