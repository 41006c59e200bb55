"""The usual week of a demand, in slots of five minutes.

All of it in square roots, in which the scatter of a sum of requests is the same by day and by
night. A slot of one weekday is known by a few values only, so each level leans on the one above it:

    time of day, smoothed ◄─ time of day ◄─ … of workdays or weekends ◄─ … of this weekday

What differs from the level above is kept as far as it is more than chance explains: block
James-Stein shrinkage (T. Cai 1999) over blocks of 25 minutes. So a demand without weekdays has none
after a week either, and a job that begins at 02:00 stays sharp.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.analysis.demand.week import BUCKET, SLOTS, WEEK, place_of
from agent.analysis.median import median
from agent.analysis.window import Column

FEWEST_DAYS: Final = 2.0
"""Days that must have been seen."""

_AGE: Final = 4.0  # weeks after which values count half
_REACH: Final = 3.0  # standard deviations beyond which a value is cut
_SMOOTH: Final = 13  # slots: about an hour
_BLOCK: Final = 5
_WORKDAYS: Final = 5


@dataclass(frozen=True, slots=True)
class Profile:
    """The usual week, mean 1, and what the days were as multiples of it.

    Attributes:
        roots: square roots of the slots, Monday's first, shape (WEEK,).
        week: the first week that was seen.
        levels: of each day, NaN where nothing was seen, shape (weeks, 7).
        days: how many days' worth of slots were seen.
    """

    roots: Column
    week: int
    levels: Column
    days: float

    def at(self, time: float) -> float:
        """Return the profile at a moment in Unix seconds, between slots in a straight line."""
        slot, share = divmod(time / BUCKET - 0.5, 1.0)
        place = place_of(int(slot))
        before, after = float(self.roots[place]), float(self.roots[(place + 1) % WEEK])
        return (before + share * (after - before)) ** 2


class _Sums(NamedTuple):
    """Sums over values of the same slot: of weights, their squares, weighted values, squares."""

    weights: Column
    squared: Column
    values: Column
    squares: Column

    def over(self, days: slice) -> "_Sums":
        """Return the sums over some weekdays."""
        return _Sums(*(part[days].sum(axis=0) for part in self))

    @property
    def many(self) -> Column:
        """How many values of equal weight tell as much."""
        return self.weights * self.weights / np.maximum(self.squared, 1e-30)

    @property
    def mean(self) -> Column:
        """The weighted means."""
        return self.values / np.maximum(self.weights, 1e-30)

    @property
    def off(self) -> Column:
        """The weighted squares of what is off the mean."""
        return np.maximum(self.squares - self.values * self.mean, 0.0)


def fit(week: int, values: Column) -> Profile | None:
    """Return the profile of some weeks; None of less than two days.

    Args:
        week: the first one.
        values: means by week, weekday and slot, shape (weeks, 7, SLOTS), NaN for unknown.
    """
    seen = np.isfinite(values)
    days = float(seen.sum()) / SLOTS
    if days < FEWEST_DAYS:
        return None
    roots = np.sqrt(np.maximum(np.where(seen, values, 0.0), 0.0))
    ages = np.arange(len(values))[::-1]
    weights = seen * (0.5 ** (ages / _AGE))[:, None, None]
    start = max(float((weights * roots).sum() / weights.sum()), 1e-9)
    level = np.full((*values.shape[:2], 1), start)
    # The level of a day is known only by its profile, and the other way round.
    shape = _levels(roots / level, weights)
    ratios = _ratios(roots, weights, shape)
    level = _smoothed(ratios)[:, :, None]
    shape = _levels(_cut(roots / level, seen, shape), weights)
    ratios = _ratios(roots, weights, shape)
    mean = max(float((shape * shape).mean()), 1e-12)
    return Profile((shape / mean**0.5).reshape(-1), week, ratios * ratios * mean, days)


def _cut(roots: Column, seen: NDArray[np.bool_], shape: Column) -> Column:
    """Return the values without what stands out: an outage is no season."""
    off = np.where(seen, roots - shape, 0.0)
    reach = _REACH * 1.4826 * median(np.abs(off[seen]))
    cut: Column = np.clip(off, -reach, reach)
    cut += shape
    return cut


def _levels(roots: Column, weights: Column) -> Column:
    """Return the roots by weekday and slot, each level leaning on the one above it."""
    weighted = weights * roots
    sums = _Sums(
        weights.sum(axis=0),
        (weights * weights).sum(axis=0),
        weighted.sum(axis=0),
        (weighted * roots).sum(axis=0),
    )
    work, free = slice(0, _WORKDAYS), slice(_WORKDAYS, 7)
    groups = {(work.start, work.stop): sums.over(work), (free.start, free.stop): sums.over(free)}
    scatter = _scatter(sums, list(groups.values()))
    daily = sums.over(slice(0, 7))
    filled = _filled(daily.mean, daily.weights > 0)
    day = _lean(filled, _moving(filled, _SMOOTH), scatter, daily.many)
    shape = np.empty((7, SLOTS))
    for (begin, end), group in groups.items():
        above = _lean(group.mean, day, scatter, group.many)
        for weekday in range(begin, end):
            own = _Sums(*(part[weekday] for part in sums))
            shape[weekday] = _lean(own.mean, above, scatter, own.many)
    return shape


def _scatter(each: _Sums, groups: list[_Sums]) -> float:
    """Return the variance of the values of one slot, by the finest level that repeats.

    Weekdays that differ make the values of workdays together look scattered more than they are.
    """
    off, free = float(each.off.sum()), float((each.weights * (1.0 - _single(each.many))).sum())
    if free < SLOTS:
        off = float(sum(group.off.sum() for group in groups))
        free = float(sum((group.weights * (1.0 - _single(group.many))).sum() for group in groups))
    return off / max(free, 1e-9)


def _single(many: Column) -> Column:
    """Return the share of what values tell that their mean has used up."""
    return np.where(many > 0, 1.0 / np.maximum(many, 1.0), 1.0)


def _lean(own: Column, above: Column, scatter: float, many: Column) -> Column:
    """Return what is known of slots, leaning on the level above."""
    known = many > 0
    off = np.where(known, own - above, 0.0)
    chance = _moving(np.where(known, scatter / np.maximum(many, 1.0), 0.0), _BLOCK)
    kept = np.maximum(0.0, 1.0 - chance / np.maximum(_moving(off * off, _BLOCK), 1e-18))
    leaning: Column = above + kept * off
    return leaning


def _filled(values: Column, known: NDArray[np.bool_]) -> Column:
    """Return values with straight lines over the gaps; after the last slot comes the first."""
    if known.all() or not known.any():
        return values
    slots = np.arange(SLOTS)
    return np.interp(slots, slots[known], values[known], period=SLOTS)


def _moving(values: Column, width: int) -> Column:
    """Return the means over a width about each slot; after the last slot comes the first."""
    half = width // 2
    sums = np.cumsum(np.concatenate((np.zeros(1), values[-half:], values, values[:half])))
    means: Column = (sums[width:] - sums[:-width]) / width
    return means


def _ratios(roots: Column, weights: Column, shape: Column) -> Column:
    """Return what each day was as a multiple of the shape; NaN where nothing was seen."""
    seen = weights > 0
    below = (seen * (shape * shape)).sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios: Column = (roots * shape).sum(axis=2) / below
    return np.where(below > 0, ratios, np.nan)


def _smoothed(ratios: Column) -> Column:
    """Return the median of the week about each day."""
    line = ratios.reshape(-1)
    beside = np.full(3, np.nan)
    about = np.lib.stride_tricks.sliding_window_view(np.concatenate((beside, line, beside)), 7)
    ordered = np.sort(about, axis=1)  # NaN last
    many = np.isfinite(ordered).sum(axis=1)
    rows = np.arange(len(line))
    low, high = ordered[rows, np.maximum(many - 1, 0) // 2], ordered[rows, many // 2 % 7]
    middle = np.where(many % 2 == 1, low, 0.5 * (low + high))
    usual = median(line[np.isfinite(line)])
    level: Column = np.maximum(np.where(many > 0, middle, usual), 1e-9)
    return level.reshape(ratios.shape)
