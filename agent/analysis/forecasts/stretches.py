"""Counts of requests in stretches of seconds: how well a level or a line explains them.

The seconds are those of a Poisson process, for which the likelihood of a rate that is level, or a
line, needs the sums of a stretch and of its parts alone: where bins would begin does not matter.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.window import Column

SCATTER: Final = 5
"""Seconds of the counts whose scatter is measured."""

RAREST: Final = 0.02
"""Requests a second: less is not told from it."""

_TOWERS: Final = 9.0
_HALF: Final = 0.5
_TINY: Final = 1e-9
_PARTS: Final = (np.arange(16) + 0.5) / 8.0 - 1.0
_STEEPEST: Final = 0.97  # 1 is a line through nothing at one end


class Stretches:
    """Sums and moments of stretches of seconds.

    Args:
        newest: requests in consecutive seconds, newest first.
    """

    def __init__(self, newest: Column) -> None:
        self.newest = newest
        self._total = np.concatenate(([0.0], np.cumsum(newest)))
        self._first = np.concatenate(([0.0], np.cumsum(newest * np.arange(len(newest)))))

    def of(self, begin: NDArray[np.intp], end: NDArray[np.intp]) -> tuple[Column, Column, Column]:
        """Return sum, first moment about the middle, and squares of that, from begin to end."""
        sums: Column = self._total[end] - self._total[begin]
        moments: Column = self._first[end] - self._first[begin] - 0.5 * (begin + end - 1) * sums
        long = end - begin
        spread: Column = np.maximum(long * (long * long - 1.0) / 12.0, _HALF)
        return sums, moments, spread

    def parts(self, begin: NDArray[np.intp], end: NDArray[np.intp]) -> Column:
        """Return the sums of equal parts of stretches, shape (stretches, parts)."""
        many = len(_PARTS)
        edges = begin[:, None] + (end - begin)[:, None] * (np.arange(many + 1) / many)
        total: Column = np.interp(edges, np.arange(len(self._total)), self._total)
        return np.diff(total, axis=1)


def deviance(
    sums: Stretches, begin: NDArray[np.intp], end: NDArray[np.intp]
) -> tuple[Column, Column]:
    """Return -2 log likelihood of a level and of a line through the seconds from begin to end.

    What does not depend on the stretch is left out. Of the line the slope is found by Newton's
    method from where least squares put it.
    """
    parts = sums.parts(begin, end)
    total = parts.sum(axis=1)
    flat = -2.0 * total * np.log(np.maximum(total, _HALF) / (end - begin))
    along = parts * _PARTS
    steep = along.sum(axis=1) / (np.maximum(total, _HALF) * float(_PARTS @ _PARTS) / len(_PARTS))
    for _step in range(2):
        steep = np.clip(steep, -_STEEPEST, _STEEPEST)
        pull = along / (1.0 + np.outer(steep, _PARTS))
        turn = (pull * pull / np.maximum(parts, _TINY)).sum(axis=1)
        steep = steep + pull.sum(axis=1) / np.maximum(turn, _TINY)
    steep = np.clip(steep, -_STEEPEST, _STEEPEST)
    gain = 2.0 * (parts * np.log1p(np.outer(steep, _PARTS))).sum(axis=1)
    return flat, flat - np.maximum(gain, 0.0)


def noise_of(newest: Column, stride: int) -> float:
    """Return the variance of the counts against that of a Poisson process.

    Square roots of Poisson counts all have the variance 1/4. Neighbours that a clump sets apart say
    nothing about all others, so their difference counts as one of three standard deviations.

    Args:
        newest: requests in consecutive seconds, newest first.
        stride: seconds from one look to the next: in between nothing was counted.
    """
    lag = -(-SCATTER // stride)
    roots = 2.0 * np.sqrt(_counts(newest, lag * stride)[::stride] + 0.375)
    steps = roots[lag:] - roots[:-lag]
    if not len(steps):
        return 1.0
    pairs = len(newest) / (lag * stride) - 1.0
    mean = float(np.minimum(steps * steps, _TOWERS).mean())
    return (_HALF * mean * pairs + 4.0) / (pairs + 4.0)


def dispersion(newest: Column, spans: NDArray[np.intp], total: Column, explained: Column) -> Column:
    """Return the variance of counts of some seconds about lines against that of a Poisson process.

    Args:
        newest: requests in consecutive seconds, newest first.
        spans: seconds of each line.
        total: requests in them.
        explained: squares of the counts of single seconds that the slope of the line explains.
    """
    bins = spans / SCATTER
    mean = np.maximum(total / bins, RAREST * SCATTER)
    counts = _counts(newest)
    squares = np.concatenate(([0.0], np.cumsum(counts * counts)))
    phases = np.clip(spans - SCATTER + 1, 0, len(counts))
    square = squares[phases] / np.maximum(phases, 1) * bins
    # The slope of counts of five seconds is 25 times as steep, over a 125th of the squares.
    off = square - total * total / bins - SCATTER * explained
    found: Column = (np.maximum(off, 0.0) / mean + 8.0) / (np.maximum(bins - 2.0, 0.0) + 8.0)
    return found


def _counts(newest: Column, width: int = SCATTER) -> Column:
    """Return the counts of each so many seconds next to each other, at all phases."""
    total = np.concatenate(([0.0], np.cumsum(newest)))
    found: Column = total[width:] - total[:-width]
    return found
