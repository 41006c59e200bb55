"""Where the demand of a subject is going: its usual week, its growth, the day capacity runs out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np

from agent.analysis.demand.forecaster import DemandForecaster
from agent.analysis.demand.growth import LONGEST
from agent.analysis.demand.growth import Growth as Line
from agent.model import SourceError
from agent.promql.errors import PromqlError
from agent.report.capacity import Room
from agent.report.grid import Column, Grid, together, unknown
from agent.report.scope import Key
from agent.report.subject import PER_MINUTE, Subject

HOURS: Final = 168
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0
_MONDAY: Final = 3 * 24  # Unix time began 72 hours after a Monday's midnight

K = TypeVar("K")

Bounds: TypeAlias = dict[str, float | None]
"""Estimate, low and high of what lies between low and high with 90 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What the whole history up to the end of a window says of a demand.

    Attributes:
        maturity: how much the history is long enough for, in one word.
        sentence: the same for people.
        share_per_week: growth a week as a share; None where it is not known.
        days: days until the busiest hour of a week reaches the capacity; None where not foreseen.
        why: why it is not.
        line: the growth itself; None where it is not known.
        end: Unix seconds from which the days count.
        week: mean tokens a minute of each hour of the week, Monday's first, UTC; NaN where unseen.
        past: tokens a minute of the busiest hour of each day, by the Unix seconds of its middle.
    """

    maturity: str
    sentence: str
    share_per_week: Bounds | None
    days: Bounds | None
    why: str
    line: Line | None
    end: float
    week: Column
    past: Sequence[tuple[float, float]]

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        estimate = None if self.days is None else self.days["estimate"]
        return {
            "maturity": self.maturity,
            "sentence": self.sentence,
            "share_per_week": self.share_per_week,
            "days_until_exhausted": self.days,
            "why_not_foreseen": self.why,
            "exhausted_timestamp_seconds": None if estimate is None else self.end + estimate * _DAY,
            "week_tokens_per_minute": [None if np.isnan(one) else float(one) for one in self.week],
        }


def past_or_why(
    read: Callable[[], Mapping[K, Column]], grid: Grid
) -> tuple[Mapping[K, Column], list[str]]:
    """Return the past that growth is worked out from; empty where a server refuses, and why.

    It is much longer than what is reported: servers limit that, and the rest is worth telling.

    Args:
        read: asks for it.
        grid: its windows.

    Returns:
        What was read, and sentences on what is missing.
    """
    try:
        return read(), []
    except (PromqlError, SourceError) as error:
        days = (grid.end - grid.start) / _DAY
        return {}, [f"the growth, from the {days:.0f} days before the end: {error}"]


def growth_of(subject: Subject, past: Mapping[Key, Column], grid: Grid, room: Room) -> Growth:
    """Return where the demand of a subject is going.

    Args:
        subject: what is reported.
        past: tokens a second of each replica in each window of five minutes.
        grid: those windows, up to the end of the report.
        room: what the subject could carry.
    """
    nothing = unknown(grid.count)
    tokens = together([past.get(one.key, nothing) for one in subject.replicas]) * PER_MINUTE
    learned = DemandForecaster()
    learned.learn_windows((grid.starts + grid.step).tolist(), tokens.tolist())
    line = learned.growth()
    days, why = _left(learned, line, room)
    share = None
    if line is not None:
        low, estimate, high = line.share
        share = _bounds(low, estimate, high)
    return Growth(
        maturity=learned.maturity.value,
        sentence=learned.explanation,
        share_per_week=share,
        days=days,
        why=why,
        line=line,
        end=grid.end,
        week=usual_week(tokens, grid),
        past=busiest_hours(tokens, grid),
    )


def _left(learned: DemandForecaster, line: Line | None, room: Room) -> tuple[Bounds | None, str]:
    """Return in how many days the busiest hour reaches the capacity, or why that is not known."""
    if line is None:
        return None, "growth is not known yet"
    band = room.targets
    seen = np.flatnonzero(~np.isnan(band.estimate))
    if not seen.size:
        return None, "the capacity is not known"
    last = int(seen[-1])
    level = (float(part[last]) for part in (band.low, band.estimate, band.high))
    found = learned.days_until(*level)
    if found is None:
        return None, (
            f"not foreseen within {LONGEST:.0f} days or four times the {line.weeks} weeks seen"
        )
    return _bounds(found.low / _DAY, found.estimate / _DAY, found.high / _DAY), ""


def _bounds(low: float, estimate: float, high: float) -> Bounds:
    """Return a value with its interval; what lies beyond the horizon is None."""
    pairs = (("estimate", estimate), ("low", low), ("high", high))
    return {name: value if np.isfinite(value) else None for name, value in pairs}


def usual_week(tokens: Column, grid: Grid) -> Column:
    """Return the mean of each hour of the week, Monday's first, UTC; NaN for hours never seen."""
    hours = (grid.starts // _HOUR + _MONDAY).astype(np.int64) % HOURS
    seen = ~np.isnan(tokens)
    totals = np.bincount(hours[seen], weights=tokens[seen], minlength=HOURS)
    counts = np.bincount(hours[seen], minlength=HOURS)
    found: Column = np.divide(totals, counts, out=unknown(HOURS), where=counts > 0)
    return found


def busiest_hours(tokens: Column, grid: Grid) -> list[tuple[float, float]]:
    """Return the mean of the busiest clock hour of each day (UTC), by its middle.

    Hours of which not every window is known are left out.
    """
    hours = (grid.starts // _HOUR).astype(np.int64)
    if not hours.size:
        return []
    places = hours - hours[0]
    seen = ~np.isnan(tokens)
    counts = np.bincount(places[seen], minlength=int(places[-1]) + 1)
    totals = np.bincount(places[seen], weights=tokens[seen], minlength=int(places[-1]) + 1)
    whole = counts >= round(_HOUR / grid.step)
    means = np.divide(totals, counts, out=unknown(len(totals)), where=whole)
    days = (np.arange(len(means)) + hours[0]) // 24
    found: list[tuple[float, float]] = []
    for day in np.unique(days[whole]):
        place = int(np.flatnonzero(days == day)[np.nanargmax(means[days == day])])
        found.append(((float(hours[0]) + place + 0.5) * _HOUR, float(means[place])))
    return found
