"""What bounds a batch: seats, tokens of a step, and a KV cache that requests fill unevenly."""

from math import inf, pi, sqrt
from typing import Final, NamedTuple

import numpy as np

from agent.analysis.window import Column

AGAIN: Final = 0.5
"""Tokens that are computed again, for each that is generated while the KV cache is full.

Each of these needs the room of another, and whoever gives way is computed again; what ends leaves
room beside that. The share of the two was measured on simulated engines.
"""

FURTHEST: Final = 2.5
"""Standard deviations of what fits, beyond which nothing is reckoned."""


class Room(NamedTuple):
    """What bounds a step.

    Attributes:
        seats: requests in the batch.
        budget: tokens.
        memory: requests that fit into the KV cache, on average.
    """

    seats: float
    budget: float
    memory: float = inf

    def spread(self, scatter: float) -> float:
        """Return the standard deviation of the requests that fit into the KV cache.

        Args:
            scatter: variance of what a request holds against the square of its mean.
        """
        if self.memory == inf:
            return 0.0
        return max(sqrt(self.memory * max(scatter, 0.0)), 1e-3 * self.memory)


class Fitting(NamedTuple):
    """How many requests run of those that there are, where they differ in what they hold.

    Attributes:
        running: requests in the batch, mean, of each number.
        full: chance that the KV cache is full, of each.
    """

    running: Column
    full: Column

    @classmethod
    def of(cls, room: Room, there: Column, *, scatter: float) -> "Fitting":
        """Return it for numbers of requests in the engine.

        How many fit is taken as normally distributed.

        Args:
            room: of the engine.
            there: requests, none above the seats.
            scatter: variance of what a request holds against the square of its mean.
        """
        spread = room.spread(scatter)
        if not spread:
            return cls(there, np.zeros(len(there)))
        beyond = (there - room.memory) / spread
        full = _normal_share(beyond)
        density = np.exp(-0.5 * beyond**2) / sqrt(2.0 * pi)
        running = there - spread * (beyond * full + density)
        return cls(np.maximum(running, np.minimum(there, 1.0)), full)


def _normal_share(x: Column) -> Column:
    """Return the share of the normal distribution below, within 2e-4 (Bowling et al. 2009)."""
    x = np.clip(x, -6.0, 6.0)
    return np.asarray(1.0 / (1.0 + np.exp(-x * (1.5976 + 0.070566 * x * x))))
