"""Whole numbers so small that they can be added in any order: no sum of them is rounded.

Requests, tokens and most of what counts something are.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Sums of so large integers, of as many as memory holds, are exact.
_EXACT: Final = 2.0**32


def is_exact(values: NDArray[np.float64]) -> bool:
    """Return whether all are such numbers."""
    return bool(((np.rint(values) == values) & (np.abs(values) < _EXACT)).all())


def are_exact(values: Sequence[float]) -> bool:
    """Return the same of a few numbers, for which numpy would cost more than what it does."""
    if not values:
        return True
    return all(map(float.is_integer, values)) and min(values) > -_EXACT and max(values) < _EXACT
