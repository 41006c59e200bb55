"""What is usual at a time of the week, and how far from it a demand usually is."""

from math import nan
from typing import Final

import numpy as np

from agent.analysis.demand.buckets import Buckets
from agent.analysis.demand.errors import SHARE
from agent.analysis.demand.profile import Profile, fit
from agent.analysis.demand.week import BUCKET, SLOTS, WEEK, place_of
from agent.analysis.window import Column

WEEKDAYS_SEEN: Final = 7.0
"""Days from which on every weekday has been seen, and errors say how unusual something is."""

USUAL: Final = 14.0
"""Days from which on something can be called unusual."""

JUDGED: Final = 4 * WEEK
"""Newest buckets whose errors are kept."""
_FEWEST: Final = 2 * SLOTS  # errors without which nothing is said of them
_BEYOND: Final = 0.002  # share of five minutes on either side of the band before it is widened
_WIDER: Final = 1.25
_LEAST: Final = 0.25  # of the mean demand
_RECENT: Final = 3 * SLOTS
_LEVEL_AGE: Final = 1.0  # days after which the level of now counts half
_HOUR: Final = 12  # buckets


class Season:
    """The profile of a demand, its level of now, and the errors of both.

    What is expected of a bucket is said before it is known: the profile is made at midnight (UTC)
    of what was before, the level at each full hour.
    """

    def __init__(self) -> None:
        self.buckets = Buckets()
        self.profile: Profile | None = None
        self.level = 0.0
        self._errors = np.full(JUDGED, np.nan, dtype=np.float32)
        self.fitted = 0
        """The day whose beginning the profile was made at, counted from 0 as Unix time does."""
        self._ends: dict[float, tuple[float, float]] = {}

    def put(self, bucket: int, value: float, *, judged: bool = True) -> None:
        """Take over a bucket, later than all before it.

        Args:
            bucket: its number.
            value: tokens a minute.
            judged: whether to say beforehand what is expected of it; if not, there is no profile
                either until one is that is.
        """
        if judged:
            self._prepare(bucket)
            self._judge(bucket, value)
        self.buckets.put(bucket, value)

    def expected(self, time: float) -> float | None:
        """Return the usual tokens a minute at a moment; None where there is no season yet."""
        return None if self.profile is None else self.level * self.profile.at(time)

    def band(self, time: float) -> tuple[float, float] | None:
        """Return between what the mean of five minutes usually is; None where too little is known.

        Outside is what lies a quarter further off than all but 2 in 1000 means of the last four
        weeks lay on that side; less than a quarter of the mean demand is never too much.
        """
        usual = self.expected(time)
        if usual is None or _BEYOND not in self._ends or self.days < USUAL:
            return None
        low, high = self._ends[_BEYOND]
        root = usual**0.5
        return (
            max(root + _WIDER * low, 0.0) ** 2,
            max((root + _WIDER * high) ** 2, _LEAST * self.level),
        )

    def spread(self) -> tuple[float, float] | None:
        """Return how far square roots are off what is usual, with 90 %; None if not yet known."""
        return self._ends.get(SHARE)

    @property
    def days(self) -> float:
        """How many days' worth of buckets are known."""
        return self.buckets.known / SLOTS

    def _prepare(self, bucket: int) -> None:
        """Make the profile and the level anew if a day or an hour began since."""
        day = bucket // SLOTS
        if day != self.fitted or (self.profile is None and bucket % _HOUR == 0):
            self.fitted = day
            week, values = self.buckets.weeks(min(bucket, day * SLOTS if self.profile else bucket))
            self.profile = fit(week, values) or self.profile
            self._renew(bucket)
        elif bucket % _HOUR == 0:
            self._renew(bucket)

    def _renew(self, bucket: int) -> None:
        """Find the level of the last days and the width of the band."""
        if self.profile is None:
            return
        begin = bucket - _RECENT
        values = self.buckets.between(begin, bucket)
        first = place_of(begin)
        shares = np.take(self.profile.roots, np.arange(first, first + _RECENT), mode="wrap") ** 2
        ages = (_RECENT - np.arange(_RECENT)) / SLOTS
        weights = np.where(np.isfinite(values), shares, 0.0) * 0.5 ** (ages / _LEVEL_AGE)
        if weights.sum() > 0:
            self.level = _weighted_median(values / np.maximum(shares, 1e-12), weights)
        elif self.level == 0.0:
            known = self.profile.levels[np.isfinite(self.profile.levels)]
            self.level = float(known[-1])
        known = np.sort(self._errors[np.isfinite(self._errors)].astype(np.float64))
        if len(known) >= _FEWEST:
            self._ends = {share: _ends(known, share) for share in (_BEYOND, SHARE)}

    def _judge(self, bucket: int, value: float) -> None:
        """Keep the error of what was expected of a bucket."""
        place = bucket % JUDGED
        if bucket >= self.buckets.end > 0:
            for gone in range(max(self.buckets.end, bucket + 1 - JUDGED), bucket + 1):
                self._errors[gone % JUDGED] = nan
        usual = self.expected((bucket + 0.5) * BUCKET)
        if usual is not None and self.days >= WEEKDAYS_SEEN:
            self._errors[place] = value**0.5 - usual**0.5


def _weighted_median(values: Column, weights: Column) -> float:
    """Return the value that half of the weight does not exceed."""
    chosen = weights > 0
    values, weights = values[chosen], weights[chosen]
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order[int(np.searchsorted(reached, 0.5 * reached[-1]))]])


def _ends(ordered: Column, beyond: float) -> tuple[float, float]:
    """Return the errors beyond which a share lies on either side, about zero."""
    least = int(beyond * len(ordered))
    return min(float(ordered[least]), 0.0), max(float(ordered[-1 - least]), 0.0)
