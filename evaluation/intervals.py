"""How far a share or a rate that was counted may lie from the truth: bounds of 95 %."""

from collections.abc import Sequence
from math import comb, exp, fsum, inf, lgamma, log, nan
from typing import Final

Bounds = tuple[float, float]
"""Lower and upper, both NaN of nothing."""

_NORMAL: Final = 1.959964  # the two-sided 95 % quantile
_TAIL: Final = 0.025
_HALVINGS: Final = 50


def share(good: float, many: float) -> Bounds:
    """Return the bounds of a share by Wilson's score interval (1927).

    Args:
        good: how many were.
        many: of how many, each by chance of its own; need not be whole.
    """
    if not many > 0:
        return nan, nan
    found, square = good / many, _NORMAL * _NORMAL
    middle = (found + 0.5 * square / many) / (1.0 + square / many)
    error = (found * (1.0 - found) / many + 0.25 * square / (many * many)) ** 0.5
    half = _NORMAL * max(error, 0.0) / (1.0 + square / many)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def share_of_runs(runs: Sequence[tuple[int, int]]) -> Bounds:
    """Return the bounds of a share of what was counted in several runs.

    The seconds of a run are right and wrong together. So they count as only as many as would, each
    by chance of its own, scatter the share as much as it scatters from run to run (the linearised
    variance of a ratio against that of a binomial share), and as no more than there were.

    Args:
        runs: of each how many were, and of how many.
    """
    many = sum(of for _good, of in runs)
    if not many:
        return nan, nan
    found = sum(good for good, _of in runs) / many
    counted = [(good, of) for good, of in runs if of]
    alone = float(len(counted))
    square = sum((good - found * of) ** 2 for good, of in counted)
    variance = square / (many * many) * alone / max(alone - 1.0, 1.0)
    # Where no run differs, nothing but their number says how sure that is.
    worth = found * (1.0 - found) / variance if variance > 0 else alone
    worth = min(worth, float(many))
    return share(found * worth, worth)


def rate(many: int, over: float) -> Bounds:
    """Return the exact bounds of the rate of a Poisson process (Garwood 1936).

    Args:
        many: events.
        over: how long, in the unit of the rate.
    """
    if not over > 0:
        return nan, nan
    low = _mean(many - 1, 1.0 - _TAIL) if many else 0.0
    return low / over, _mean(many, _TAIL) / over


def quantile(values: Sequence[float], at: float) -> Bounds:
    """Return the bounds of a quantile, whatever the distribution: two of them.

    How many of the values are below the true quantile is binomial. Where even the least or the
    largest of them does not bound it with 97.5 %, that side is infinite.

    Args:
        values: each by chance of its own.
        at: share of the distribution that is below the quantile.
    """
    if not values:
        return nan, nan
    ordered, many = sorted(values), len(values)
    below = 0.0
    low, high = -inf, inf
    for count in range(many + 1):
        if below <= _TAIL and count:
            low = ordered[count - 1]
        below += comb(many, count) * at**count * (1.0 - at) ** (many - count)
        if below >= 1.0 - _TAIL:
            high = ordered[count] if count < many else inf
            break
    return low, high


def _mean(many: int, chance: float) -> float:
    """Return the mean of which so many events or fewer come with a probability, by bisection."""
    low, high = 0.0, 2.0 * many + 10.0
    for _halving in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _at_most(many, middle) > chance else (low, middle)
    return 0.5 * (low + high)


def _at_most(many: int, mean: float) -> float:
    """Return the probability of so many events or fewer where so many are expected."""
    return fsum(exp(k * log(mean) - mean - lgamma(k + 1.0)) for k in range(many + 1))
