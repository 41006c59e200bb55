"""The median and other quantiles, without what others bring along.

`numpy.median`, `percentile` and `quantile` import `numpy.ma` when they are first called: a megabyte
of masked arrays, of which there are none here, and some 10 ms in the middle of a tick. `statistics`
imports fractions and decimals.
"""

import math
from collections.abc import Iterable

import numpy as np

from agent.analysis.window import Column


def median(values: Column) -> float:
    """Return the median, NaN of no values and where one is no number."""
    ordered = np.sort(values)
    # What is no number stands behind all others.
    if not len(ordered) or math.isnan(ordered[-1]):
        return math.nan
    middle = len(ordered) // 2
    return 0.5 * float(ordered[middle] + ordered[~middle])


def quantile(values: Column, share: float) -> float:
    """Return a quantile, between two values in proportion; NaN as for `median`.

    Args:
        values: of which it is.
        share: of them that are below, 0 to 1.
    """
    ordered = np.sort(values)
    if not len(ordered) or math.isnan(ordered[-1]):
        return math.nan
    place = share * (len(ordered) - 1)
    below = int(place)
    part = place - below
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    # From the nearer one, so that it never lies beyond it.
    return low + part * (high - low) if part < 0.5 else high - (1.0 - part) * (high - low)  # noqa: PLR2004


def median_of(values: Iterable[float]) -> float:
    """Return the median of a few numbers, of which there is at least one."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return 0.5 * (ordered[middle] + ordered[~middle])
