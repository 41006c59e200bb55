"""Demands that are known exactly, for the tests of what is learned of them."""

import numpy as np

from agent.analysis.demand.week import SLOTS, WEEK, week_begin
from agent.analysis.window import Column

FIRST = 2973
"""A week, counted as Unix time does."""

BEGIN = week_begin(FIRST)
"""Its first bucket."""


def office(weeks: float, *, level: float = 1000.0) -> Column:
    """Return means of five minutes from Monday on: busy from 8 to 18 on workdays, never quite 0."""
    places = np.arange(round(weeks * WEEK)) % WEEK
    hours = places % SLOTS / 12.0
    busy = (hours >= 8.0) & (hours < 18.0) & (places < 5 * SLOTS)
    return level * np.where(busy, 1.0, 0.1)


def scattered(values: Column, *, share: float = 0.1, seed: int = 1) -> Column:
    """Return values with chance of a standard deviation in their square roots."""
    dice = np.random.default_rng(seed)
    roots = np.sqrt(values) + share * np.sqrt(values.mean()) * dice.standard_normal(len(values))
    return np.maximum(roots, 0.0) ** 2
