"""Tokens a minute that many independent users ask for, over weeks.

A shape is a rate by the minute; requests come by a Poisson process of that rate and have lengths of
a gamma distribution, so that the tokens of a minute are a compound Poisson sum. The rate itself
wanders about its shape, as that of real users does: by `WANDER` and for half an hour at a time,
unless a shape says otherwise.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Minutes: TypeAlias = NDArray[np.float64]
"""One number a minute."""

START: Final = 1_798_416_000.0
"""Unix seconds of a Monday, midnight UTC: the beginning of every run."""

DAY: Final = 1440
WEEK: Final = 7 * DAY
WANDER: Final = 0.08
"""Standard deviation of the logarithm of the rate about its shape."""

_TOKENS: Final = 900.0  # of a request, mean
_VARIETY: Final = 0.7  # shape of the gamma distribution of lengths


@dataclass(frozen=True, slots=True)
class Load:
    """What came.

    Attributes:
        times: Unix seconds of the ends of the minutes.
        tokens: tokens of each minute.
        rate: what was to be expected of each, in tokens a minute.
    """

    times: Minutes
    tokens: Minutes
    rate: Minutes


def diurnal(minutes: Minutes, _dice: np.random.Generator) -> Minutes:
    """Swing between a fifth and the whole over a day, a little less on weekends."""
    day = 0.6 - 0.4 * np.cos(2.0 * np.pi * (minutes / DAY - 0.15))
    return day * np.where(_weekend(minutes), 0.85, 1.0)


def office(minutes: Minutes, _dice: np.random.Generator) -> Minutes:
    """Begin within half an hour in the morning, pause at noon, end in the evening; no weekends."""
    hour = (minutes % DAY) / 60.0
    busy = _step(hour, 8.75, 0.12) - _step(hour, 17.5, 0.35)
    busy -= 0.35 * (_step(hour, 11.9, 0.1) - _step(hour, 13.0, 0.1))
    return 0.03 + busy * np.where(_weekend(minutes), 0.06, 1.0)


def bursts(minutes: Minutes, dice: np.random.Generator) -> Minutes:
    """Change at random between a calm and a fourfold rate (an MMPP), minutes to half hours each."""
    rate = np.empty(len(minutes))
    at, busy = 0, False
    while at < len(rate):
        lasts = 1 + int(dice.exponential(12.0 if busy else 30.0))
        rate[at : at + lasts] = 1.0 if busy else 0.25
        at, busy = at + lasts, not busy
    return rate


def growth(minutes: Minutes, dice: np.random.Generator) -> Minutes:
    """Swing over the day and grow in a straight line, by 4 to 12 % of its beginning a week."""
    return diurnal(minutes, dice) * (0.5 + 0.5 * dice.uniform(0.04, 0.12) * minutes / WEEK)


def step(minutes: Minutes, dice: np.random.Generator) -> Minutes:
    """Swing over the day; from the middle of the last but one day on there is 1.8 times as much."""
    at = minutes[-1] - 2 * DAY + dice.uniform(0.3, 0.7) * DAY
    return diurnal(minutes, dice) * np.where(minutes < at, 0.55, 1.0)


def jobs(minutes: Minutes, dice: np.random.Generator) -> Minutes:
    """Have a job start at a fixed time each night, for 40 minutes, beside a swing over the day."""
    begins = float(dice.integers(0, 5 * 12)) * 5.0
    within = (minutes % DAY >= begins) & (minutes % DAY < begins + 40.0)
    return 0.6 * diurnal(minutes, dice) + 0.8 * within


def flat(minutes: Minutes, _dice: np.random.Generator) -> Minutes:
    """Stay: nothing is to be foreseen but the mean."""
    return np.full(len(minutes), 0.5)


def walk(minutes: Minutes, dice: np.random.Generator) -> Minutes:
    """Wander without a memory: the newest value is the best forecast."""
    moves = dice.normal(0.0, 0.02, len(minutes))
    path = np.empty(len(minutes))
    at = 0.0
    for place, move in enumerate(moves):
        at += float(move)
        at = 2.4 - at if at > 1.2 else -2.4 - at if at < -1.2 else at
        path[place] = at
    return 0.4 * np.exp(path)


Shape: TypeAlias = Callable[[Minutes, np.random.Generator], Minutes]

SHAPES: Final[dict[str, Shape]] = {
    shape.__name__: shape for shape in (diurnal, office, bursts, growth, step, jobs, flat, walk)
}
"""Rate by the minute as a share of the busiest; the minutes count from `START`."""

_STILL: Final = frozenset({"flat", "walk"})


def load(name: str, *, seed: int, days: float, requests: float | None = None) -> Load:
    """Return the demand of a run.

    Args:
        name: of the shape.
        seed: of all its chance.
        days: how long.
        requests: a minute when it is busiest; drawn between 40 and 600 by default.
    """
    dice = np.random.default_rng((seed, zlib.crc32(name.encode())))
    minutes = np.arange(1.0, round(days * DAY) + 1.0)
    busiest = float(np.exp(dice.uniform(np.log(40.0), np.log(600.0))))
    rate = (requests or busiest) * SHAPES[name](minutes, dice)
    if name not in _STILL:
        rate = rate * np.exp(_wander(len(minutes), dice))
    count = dice.poisson(rate)
    tokens = dice.gamma(np.maximum(count, 1e-12) * _VARIETY, _TOKENS / _VARIETY)
    return Load(START + 60.0 * minutes, np.where(count > 0, tokens, 0.0), rate * _TOKENS)


def _wander(many: int, dice: np.random.Generator, *, lasts: float = 30.0) -> Minutes:
    """Return an Ornstein-Uhlenbeck process by the minute."""
    keep = float(np.exp(-1.0 / lasts))
    shocks = dice.normal(0.0, WANDER * (1.0 - keep * keep) ** 0.5, many)
    path = np.empty(many)
    at = float(dice.normal(0.0, WANDER))
    for place, shock in enumerate(shocks):
        at = keep * at + float(shock)
        path[place] = at
    return path


def _weekend(minutes: Minutes) -> NDArray[np.bool_]:
    """Return which minutes are of a Saturday or Sunday."""
    return minutes % WEEK >= 5 * DAY


def _step(hour: Minutes, at: float, width: float) -> Minutes:
    """Return a smooth step from 0 to 1."""
    return 1.0 / (1.0 + np.exp(-(hour - at) / width))
