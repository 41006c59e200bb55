"""A fixed set of points that fill a cube evenly, in place of chance.

A lattice of rank one (Korobov 1959): each axis has the same points, in another order. Its generator
is the one of all for which the projections on pairs of axes are the most even. The same points each
time make the same load give the same answer.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.window import Column

COUNT: Final = 509
"""Points; a prime number."""

MOST_COUNTED: Final = 8.0
"""Mean up to which a Poisson count is exact."""

_GENERATOR: Final = 110
_AXES: Final = 18
_COUNTS: Final = 24


def _normal(uniform: Column) -> Column:
    """Return quantiles of the normal distribution, within 5e-4 (Abramowitz & Stegun 26.2.23)."""
    tail = np.minimum(uniform, 1.0 - uniform)
    t = np.sqrt(-2.0 * np.log(tail))
    over = 2.515517 + t * (0.802853 + t * 0.010328)
    under = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    size = t - over / under
    return np.asarray(np.where(uniform < 0.5, -size, size))  # noqa: PLR2004 - the median


_ORDERS = np.array([pow(_GENERATOR, axis, COUNT) for axis in range(_AXES)])
PLACES: Final[NDArray[np.intp]] = np.outer(_ORDERS, np.arange(COUNT)) % COUNT
"""Where each point is on each axis, counted from 0, shape (axes, count)."""

UNIFORM: Final[Column] = (PLACES + 0.5) / COUNT
"""Points between 0 and 1, shape (axes, count)."""

NORMAL: Final[Column] = _normal(UNIFORM)
"""The same as quantiles of the normal distribution."""


def _thresholds(uniform: Column) -> Column:
    """Return the means from which on a Poisson count is at least 1, 2, … at each point.

    The chance of fewer than k falls as the mean rises; where it falls below the point, the count
    there is k at least.
    """
    means = 40.0 * np.linspace(0.0, 1.0, 600) ** 2
    term = np.exp(-means)
    fewer = term.copy()
    found = np.empty((_COUNTS, *uniform.shape))
    for count in range(_COUNTS):
        found[count] = np.interp(uniform, fewer[::-1], means[::-1])
        term = term * means / (count + 1.0)
        fewer += term
    return found


# Each axis has the same points: one table for all of them, instead of two megabytes.
THRESHOLDS: Final[Column] = _thresholds((np.arange(COUNT) + 0.5) / COUNT)
"""Means from which on a Poisson count is at least 1, 2, …, shape (counts, places)."""

SMALLEST: Final[Column] = THRESHOLDS.min(axis=1)
"""The smallest of these, shape (counts,): below it no point counts so many."""
