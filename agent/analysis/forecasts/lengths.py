"""How long requests generate, from the histogram of those that finished."""

from dataclasses import dataclass
from math import inf
from typing import Final

import numpy as np

from agent.analysis.window import Column, Histogram

BINS: Final = 64
_PRIOR: Final = 30.0
_TAIL: Final = 0.998
_ENOUGH: Final = 400.0
_LATE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Lengths:
    """Generated tokens of a request, as a survival function on an even grid.

    Attributes:
        step: tokens from one grid point to the next.
        survival: share of the requests that generate more than `step * j` tokens, shape (BINS,).
        mean: tokens.
    """

    step: float
    survival: Column
    mean: float


def lengths(histogram: Histogram | None, times: Column) -> Lengths | None:
    """Return the lengths of the requests that finished of late, those before as a prior.

    Of late is as long ago as it takes for a minute to have passed and four hundred to have ended,
    or what the rows hold: an engine with many short requests has forgotten a mix that is gone
    within a minute. All that finished since the engine started weighs as much as thirty requests:
    it carries an engine through a quiet window and yields to a mix that changed. Buckets are
    coarse, so the shape is taken from them and the mean from the sum, which is exact.

    Args:
        histogram: of generated tokens, one row a look.
        times: seconds of the rows, ascending.

    Returns:
        None where nothing has finished yet.
    """
    if histogram is None:
        return None
    known = np.flatnonzero(~np.isnan(histogram.count))
    if not len(known):
        return None
    first, last = int(known[0]), int(known[-1])
    total = float(histogram.count[last])
    if total <= 0:
        return None
    enough = (histogram.count <= total - _ENOUGH) & (times <= times[last] - _LATE)
    first = int(np.flatnonzero(enough)[-1]) if enough.any() else first
    weight = min(1.0, _PRIOR / total)
    counts = histogram.counts[last] * (1.0 + weight) - histogram.counts[first]
    count = total * (1.0 + weight) - float(histogram.count[first])
    mean = (float(histogram.sum[last]) * (1.0 + weight) - float(histogram.sum[first])) / count
    return shaped(histogram.bounds, counts / count, mean)


def shaped(bounds: Column, shares: Column, mean: float) -> Lengths | None:
    """Return lengths with this mean whose cumulative shares are given at upper bounds.

    Args:
        bounds: ascending, the last infinite.
        shares: shape as `bounds`, from 0 to 1.
        mean: tokens.

    Returns:
        None unless the mean is a positive number and every share is known.
    """
    if not 0.0 < mean < inf:
        return None
    edges = np.concatenate(([0.0], bounds))
    edges[-1] = 2.0 * edges[-2] if len(edges) > 2 else 2.0 * mean  # noqa: PLR2004 - one finite
    risen = np.concatenate(([0.0], np.maximum.accumulate(np.clip(shares, 0.0, 1.0))))
    risen[-1] = 1.0
    middle = float((np.diff(risen) * 0.5 * (edges[1:] + edges[:-1])).sum())
    if not middle > 0:
        return None
    edges *= mean / middle
    longest = float(np.interp(_TAIL, risen, edges))
    step = longest / (BINS - 1)
    survival = 1.0 - np.interp(np.arange(BINS) * step, edges, risen)
    return Lengths(step, survival, mean)


def spread(histogram: Histogram | None) -> float:
    """Return the variance of what a histogram holds as a share of its mean's square."""
    usual = 0.5
    if histogram is None or not histogram.count[-1] > 0:
        return usual
    bounds = histogram.bounds.copy()
    bounds[-1] = 2.0 * bounds[-2] if len(bounds) > 1 else 1.0
    shares = np.diff(histogram.counts[-1], prepend=0.0) / histogram.count[-1]
    middles = 0.5 * (bounds + np.concatenate(([0.0], bounds[:-1])))
    mean = float((shares * middles).sum())
    if not mean > 0:
        return usual
    return float(np.clip((shares * middles * middles).sum() / (mean * mean) - 1.0, 0.0, 5.0))
