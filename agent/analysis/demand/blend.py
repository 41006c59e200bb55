"""Which of several forecasts to believe, learned from their own past errors.

ML-Poly with the absolute error (Gaillard, Stoltz and van Erven 2014): a forecast weighs by how much
better than the blend it has been so far, each at a rate of its own; there is nothing to be tuned.
With the gradient of the error, the blend does about as well as the best fixed weights would have.
What lies back counts ever less, so that weights follow a demand that changes its kind.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.window import Column

_MEMORY: Final = 720.0  # minutes after which an error counts half
_FORGET: Final = 0.5 ** (1.0 / _MEMORY)
_SCALE: Final = 0.01  # share by which the scale of the errors follows each


class Blend:
    """The weights for some horizons, and the forecasts that wait to be judged.

    Args:
        minutes: the horizons, whole minutes.
        prior: weights to begin with, shape (forecasts,), sum 1.
    """

    def __init__(self, minutes: Column, prior: Column) -> None:
        many = len(minutes)
        self._rows = np.arange(many)
        self._minutes = minutes.astype(np.intp)
        self._keep = int(minutes.max()) + 1
        self._prior = np.tile(prior, (many, 1))
        self._regret = np.zeros((many, len(prior)))
        self._energy = np.zeros((many, len(prior)))
        self._scale = np.zeros(many)
        self._waiting = np.full((many, self._keep, len(prior)), np.nan)
        self._blended = np.full((many, self._keep), np.nan)
        self._newest = -1
        self.weights = self._prior.copy()

    def forget(self) -> None:
        """Drop the forecasts that wait: the clock was set, and their minutes never come."""
        self._blended[:] = np.nan
        self._newest = -1

    def judge(self, minute: int, value: float) -> Column:
        """Learn from the forecasts that were made for a minute.

        Args:
            minute: its number; later than that of the last call.
            value: what came.

        Returns:
            What the blend had said at each horizon, NaN where it had said nothing.
        """
        skipped = np.arange(self._newest + 1, min(minute, self._newest + 1 + self._keep))
        self._blended[:, skipped % self._keep] = np.nan
        self._newest = minute
        places = (minute - self._minutes) % self._keep
        said = self._blended[self._rows, places]
        due = self._rows[np.isfinite(said)]
        if len(due):
            self._learn(due, said[due], self._waiting[due, places[due]], value)
        return said

    def _learn(self, due: NDArray[np.intp], said: Column, each: Column, value: float) -> None:
        """Move the weights of the horizons that are due."""
        off = np.abs(said - value)
        before = self._scale[due]
        self._scale[due] = np.where(before > 0, before + _SCALE * (off - before), off)
        scale = np.maximum(self._scale[due], 1e-9)[:, None]
        gain = np.sign(said - value)[:, None] * (said[:, None] - each) / scale
        regret = self._regret[due] * _FORGET + gain
        energy = self._energy[due] * _FORGET + gain * gain
        self._regret[due], self._energy[due] = regret, energy
        weights = np.maximum(regret, 0.0) / (1.0 + energy)
        total = weights.sum(axis=1, keepdims=True)
        self.weights[due] = np.where(
            total > 0, weights / np.maximum(total, 1e-300), self._prior[due]
        )

    def say(self, minute: int, each: Column) -> Column:
        """Return the blend of forecasts made at a minute, and keep them until they are due.

        Args:
            minute: its number, that of the last call of `judge`.
            each: shape (horizons, forecasts).
        """
        blended: Column = (self.weights * each).sum(axis=1)
        place = minute % self._keep
        self._waiting[:, place] = each
        self._blended[:, place] = blended
        return blended
