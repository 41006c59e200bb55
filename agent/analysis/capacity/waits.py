"""Latencies that an engine counted, as exactly as its page tells them.

A bucket of a histogram is wide: what lies in it is not spread evenly, and a percentile that is read
off it may be wrong by half. But how many lie beyond its bound is exact, so is the mean of all, and
so is each latency that is the only one of its second. Within a bucket requests are taken to be
spread as they are reckoned to be, all of them longer or shorter by as much as their mean is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Final

import numpy as np

from agent.analysis.window import Column, Histogram

_TINY: Final = 1e-9
_FURTHEST: Final = 0.6  # logarithm of a mean against what is reckoned


@dataclass(slots=True)
class Waits:
    """Latencies of some requests.

    Attributes:
        bounds: upper bounds of the engine's buckets, the last infinite.
        counts: requests by bucket, of seconds that had several.
        alone: seconds of each request that was the only one of its second.
        total: seconds of all of them.
    """

    bounds: Column
    counts: Column
    alone: Column
    total: float

    @property
    def count(self) -> float:
        """How many requests there are."""
        return float(self.counts.sum()) + len(self.alone)

    def beyond(self, reckoned: Column, times: Column) -> Column:
        """Return how many took longer than each of some times.

        Args:
            reckoned: latencies that stand for as many requests each, ascending.
            times: seconds.
        """
        alone = np.asarray((self.alone > times[:, None]).sum(axis=1), dtype=float)
        if not self.counts.any():
            return alone
        mean = self.total / max(self.count, 1.0)
        apart = log(max(mean, _TINY) / max(float(reckoned.mean()), _TINY))
        logs = np.log(np.maximum(reckoned, _TINY)) + min(max(apart, -_FURTHEST), _FURTHEST)
        shares = 1.0 - (np.arange(len(logs)) + 0.5) / len(logs)

        def longer(than: Column) -> Column:
            found = np.interp(np.log(np.maximum(than, _TINY)), logs, shares, left=1.0, right=0.0)
            return np.asarray(found)

        some = np.flatnonzero(self.counts)
        low = np.concatenate(((0.0,), self.bounds[:-1]))[some]
        high = self.bounds[some]
        inside = np.clip(times[:, None], low, high)
        above, whole = longer(inside) - longer(high), longer(low) - longer(high)
        # Where nobody is reckoned to be, they are spread evenly.
        ends = np.where(np.isinf(high), 4.0 * np.maximum(low, _TINY), high)
        even = np.clip((ends - times[:, None]) / (ends - low), 0.0, 1.0)
        share = np.where(whole > _TINY, above / np.maximum(whole, _TINY), even)
        return np.asarray(alone + share @ self.counts[some])


def waits_of(histogram: Histogram) -> Waits | None:
    """Return what a histogram counted from its first row on; None of nothing.

    Rows that the engine did not give, or at which it began anew, have nothing.
    """
    count, total = np.diff(histogram.count), np.diff(histogram.sum)
    each = np.diff(np.diff(histogram.counts, axis=0), axis=1, prepend=0.0)
    sound = (count > 0) & ~np.isnan(total) & (each >= 0).all(axis=1)
    if not sound.any():
        return None
    single = sound & (count == 1)
    return Waits(
        bounds=histogram.bounds,
        counts=each[sound & ~single].sum(axis=0),
        alone=total[single],
        total=float(total[sound].sum()),
    )


def together(some: Sequence[Waits | None]) -> Waits | None:
    """Return several as one; those with other buckets than the newest are left out."""
    known = [one for one in some if one is not None]
    if not known:
        return None
    alike = [one for one in known if np.array_equal(one.bounds, known[-1].bounds)]
    return Waits(
        bounds=known[-1].bounds,
        counts=np.sum([one.counts for one in alike], axis=0),
        alone=np.concatenate([one.alone for one in alike]),
        total=sum(one.total for one in alike),
    )
