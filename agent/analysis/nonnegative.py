"""Least squares with coefficients that cannot be negative, exact, many small problems at once."""

from functools import cache
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.window import Column

_ROUNDING: Final = -1e-12
_COLLINEAR: Final = 1e-7  # share of a column that the columns before it leave unexplained


@cache
def _subsets(count: int) -> NDArray[np.bool_]:
    """Return which coefficients each subset lets differ from zero, shape (2**count, count)."""
    return np.array(list(product((False, True), repeat=count)))


def solve(gram: Column, moment: Column, *, allowed: NDArray[np.bool_] | None = None) -> Column:
    """Return the x >= 0 that minimises x'Gx - 2 m'x, for each problem of a batch.

    The minimum is that of one of the faces x_S > 0, x_rest = 0. With five unknowns there are 32 of
    them, so all are solved by elimination and the best feasible one is taken: no iteration that may
    not end, and no dependence on where it began. Faces with collinear columns are left out: what
    they reach, one of their own faces reaches too.

    Args:
        gram: X'WX, shape (batch, k, k).
        moment: X'Wy, shape (batch, k).
        allowed: which coefficients may differ from zero, shape (k,); all unless told.

    Returns:
        Shape (batch, k).
    """
    count = moment.shape[-1]
    subsets = _subsets(count)
    if allowed is not None:
        subsets = subsets[~(subsets & ~allowed).any(axis=1)]
    scale = np.sqrt(np.maximum(np.einsum("bii->bi", gram), 1e-300))
    system = np.empty((len(gram), len(subsets), count, count + 1))
    pair = subsets[:, :, None] & subsets[:, None, :]
    system[..., :count] = np.where(
        pair, (gram / (scale[:, :, None] * scale[:, None, :]))[:, None], np.eye(count)
    )
    reduced = moment / scale
    system[..., count] = np.where(subsets, reduced[:, None, :], 0.0)
    found, sound = _eliminate(system)
    gain = np.einsum("bsk,bk->bs", found, reduced)
    feasible = sound & (found >= _ROUNDING).all(axis=2)
    best = np.where(feasible, gain, -np.inf).argmax(axis=1)
    chosen = found[np.arange(len(gram)), best]
    return np.asarray(np.maximum(chosen, 0.0) / scale)


def _eliminate(system: Column) -> tuple[Column, NDArray[np.bool_]]:
    """Solve symmetric systems of unit diagonal, shape (…, k, k + 1), which are overwritten.

    Returns the solutions, and which of the systems are far enough from singular.
    """
    count = system.shape[-2]
    sound = np.ones(system.shape[:-2], dtype=bool)
    for index in range(count):
        pivot = system[..., index, index]
        sound &= pivot > _COLLINEAR
        row = system[..., index, :] / np.maximum(pivot, _COLLINEAR / 10)[..., None]
        system -= system[..., :, index, None] * row[..., None, :]
        system[..., index, :] = row
    return system[..., count], sound


def inverse(gram: Column) -> Column:
    """Return the inverse of a positive semidefinite matrix, shape (k, k).

    A ten-millionth of the diagonal is added, so that what no data tell apart comes out as very
    uncertain instead of as an error.
    """
    count = len(gram)
    scale = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    scaled = gram / np.outer(scale, scale) + _COLLINEAR * np.eye(count)
    system = np.empty((count, count, count + 1))
    system[..., :count] = scaled
    system[..., count] = np.eye(count)
    found, _sound = _eliminate(system)
    return np.asarray(found / np.outer(scale, scale))
