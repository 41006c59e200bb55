"""The median, without what numpy's own brings along.

`numpy.median` imports `numpy.ma` when it is first called: a megabyte of masked arrays, of which
there are none here.
"""

import math

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
