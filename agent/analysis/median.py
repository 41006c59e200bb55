"""The median, without what others bring along.

`numpy.median` imports `numpy.ma` when it is first called: a megabyte of masked arrays, of which
there are none here. `statistics` imports fractions and decimals.
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


def median_of(values: Iterable[float]) -> float:
    """Return the median of a few numbers, of which there is at least one."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return 0.5 * (ordered[middle] + ordered[~middle])
