"""Intervals from the errors that forecasts have made so far."""

from typing import Final

import numpy as np

from agent.analysis.window import Column

SHARE: Final = 0.05
"""What should lie beyond either end."""

FEWEST: Final = 30
"""Errors from which on there is an interval."""

_KEPT: Final = 1440  # errors: a day of minutes
_SORTED: Final = 10  # errors after which the order is made anew
_STEP: Final = 0.004
_BOUNDS: Final = (0.003, 0.2)


class Errors:
    """Empirical quantiles of the errors of the last day, for some horizons.

    Errors are differences of square roots, so that the interval widens with the demand as its
    scatter does. The share that is asked for follows what lay outside lately (adaptive conformal
    inference, Gibbs and Candès 2021): where errors of yesterday are too small for today, the ends
    move out until they are right.

    Args:
        horizons: how many.
    """

    def __init__(self, horizons: int) -> None:
        self._ring = np.full((horizons, _KEPT), np.nan)
        self._many = np.zeros(horizons, dtype=np.intp)
        self._rows = np.arange(horizons)
        self._ordered = np.full((horizons, _KEPT), np.nan)
        self._since = _SORTED
        self._shares = np.full((horizons, 2), SHARE)

    def take(self, said: Column, low: Column, high: Column, value: float) -> None:
        """Learn from what had been said about a value, NaN where nothing had been.

        Args:
            said: estimates by horizon.
            low: lower ends.
            high: upper ends.
            value: what came.
        """
        due = np.isfinite(said)
        rows = self._rows[due]
        self._ring[rows, self._many[rows] % _KEPT] = np.sqrt(value) - np.sqrt(said[due])
        self._many[rows] += 1
        for side, beyond in enumerate((value < low, value > high)):
            known = np.isfinite(low)
            moved = self._shares[known, side] + _STEP * (SHARE - beyond[known])
            self._shares[known, side] = np.clip(moved, *_BOUNDS)
        self._since += 1

    def around(self, said: Column) -> tuple[Column, Column]:
        """Return the ends of the intervals about estimates; NaN where too few errors are known."""
        if self._since >= _SORTED:
            self._ordered = np.sort(self._ring, axis=1)  # NaN last
            self._since = 0
        many = np.minimum(np.isfinite(self._ordered).sum(axis=1), _KEPT)
        roots = np.sqrt(said)
        ends = []
        for side in (0, 1):
            share = self._shares[:, side]
            at = np.where(side == 0, share, 1.0 - share) * (many - 1.0)
            place = np.clip(np.rint(at).astype(np.intp), 0, _KEPT - 1)
            end = np.maximum(roots + self._ordered[self._rows, place], 0.0) ** 2
            ends.append(np.where(many >= FEWEST, end, np.nan))
        return np.minimum(ends[0], said), np.maximum(ends[1], said)
