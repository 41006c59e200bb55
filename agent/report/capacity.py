"""What replicas could have carried, window by window, and the headroom that was left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from agent.catalog import capacity as catalog
from agent.model import Metric
from agent.report.answers import Answers
from agent.report.grid import Column, Grid, complete, plain, unknown
from agent.report.scope import Choice, Key, by_replica
from agent.report.subject import Subject
from agent.store.five import Part

_BOUNDS: Final = ("estimate", "low", "high")
_TOTAL: Final = 'phase="total"'


@dataclass(frozen=True, slots=True)
class Band:
    """A value and its interval of 90 % in each window; NaN where it is not known."""

    estimate: Column
    low: Column
    high: Column


@dataclass(frozen=True, slots=True)
class Room:
    """What a replica, or several together, could carry and what was asked of them.

    Attributes:
        targets: the most tokens a minute within the targets.
        stability: the most tokens a minute without a queue that grows for ever.
        demand: tokens a minute that were asked for, those that wait included.
        binding: share of each window for which a limit was the tightest, by its name.
        declared: share of each window for which the capacity is the configured one.
    """

    targets: Band
    stability: Band
    demand: Column
    binding: Mapping[str, Column]
    declared: Column


def read_rooms(answers: Answers, choice: Choice, grid: Grid) -> dict[Key, Room]:
    """Return capacity and demand of each replica of which any is known."""
    reading = _Reading(answers, choice, grid)
    targets = reading.band(catalog.CAPACITY)
    stability = reading.band(catalog.STABILITY)
    asked = reading.by(catalog.DEMAND, "phase", _TOTAL)
    demand = {key: table["total"] for key, table in asked.items()}
    binding = reading.by(catalog.BINDING, "limit")
    source = reading.by(catalog.SOURCE, "source")
    nothing = unknown(grid.count)
    no_band = Band(nothing, nothing, nothing)
    return {
        key: Room(
            targets.get(key, no_band),
            stability.get(key, no_band),
            demand.get(key, nothing),
            binding.get(key, {}),
            source.get(key, {}).get(catalog.Source.DECLARED, nothing),
        )
        for key in sorted({*targets, *stability, *demand})
    }


@dataclass(frozen=True, slots=True)
class _Reading:
    """Asks for gauges of replicas in windows of five minutes, by their means."""

    answers: Answers
    choice: Choice
    grid: Grid

    def by(self, metric: Metric, label: str, *further: str) -> dict[Key, dict[str, Column]]:
        """Return a metric by replica and one label; the mean of a state is the share of it."""
        found: dict[Key, dict[str, Column]] = {}
        asked = self.answers.ask(self.choice.selector(metric.name, *further), self.grid, Part.MEAN)
        for key, one in by_replica(asked):
            found.setdefault(key, {})[one.labels.get(label, "")] = one.values
        return found

    def band(self, metric: Metric) -> dict[Key, Band]:
        """Return a value with its interval; a declared one has none and is as wide as a point."""
        found: dict[Key, Band] = {}
        for key, bounds in self.by(metric, "bound", _TOTAL).items():
            estimate = bounds.get("estimate")
            if estimate is not None:
                ends = (bounds.get(name, estimate) for name in _BOUNDS[1:])
                low, high = (np.where(np.isnan(end), estimate, end) for end in ends)
                found[key] = Band(estimate, low, high)
        return found


def room_of(subject: Subject, rooms: Mapping[Key, Room]) -> Room:
    """Return what a subject could carry: sums, unknown where a part that was there is unknown.

    The low ends of the parts add up to that of the whole as if all erred to one side at once.
    """
    nothing = unknown(subject.span.five.count)
    no_band = Band(nothing, nothing, nothing)
    missing = Room(no_band, no_band, nothing, {}, nothing)
    parts = [rooms.get(one.key, missing) for one in subject.replicas]
    limits = {name for one in parts for name in one.binding}
    return Room(
        _sum([one.targets for one in parts], subject),
        _sum([one.stability for one in parts], subject),
        complete([one.demand for one in parts], subject.present),
        {name: _mean([one.binding.get(name, nothing) for one in parts]) for name in sorted(limits)},
        _mean([one.declared for one in parts]),
    )


def _sum(bands: Sequence[Band], subject: Subject) -> Band:
    """Return the sum of bands."""
    return Band(
        *(
            complete([getattr(one, part) for one in bands], subject.present)
            for part in Band.__slots__
        )
    )


def _mean(columns: Sequence[Column]) -> Column:
    """Return the mean of those that are known."""
    stacked = np.stack(columns)
    there = ~np.isnan(stacked)
    mean: Column = np.divide(
        np.where(there, stacked, 0.0).sum(axis=0),
        there.sum(axis=0),
        out=unknown(stacked.shape[1]),
        where=there.any(axis=0),
    )
    return mean


def capacity(subject: Subject, room: Room) -> dict[str, Any]:
    """Return the capacity as it was last known in the window."""
    grid = subject.span.five
    seen = np.flatnonzero(~np.isnan(room.targets.estimate))
    held = {name: plain(column, grid).mean() for name, column in room.binding.items()}
    shares = {name: share for name, share in held.items() if share}
    if not seen.size:
        return {
            "known": False,
            "reason": "the load of this time did not tell it, and none is declared",
        }
    last = int(seen[-1])
    binding = {
        name: float(column[last]) for name, column in room.binding.items() if column[last] > 0
    }
    there = ~np.isnan(np.stack(subject.present)).all(axis=0)
    return {
        "known": True,
        "reason": None,
        "source": "declared" if room.declared[last] > 0.5 else "learned",  # noqa: PLR2004 - more than half
        "timestamp_seconds": float(grid.starts[last] + grid.step),
        "tokens_per_minute": interval(room.targets, last),
        "stability_tokens_per_minute": interval(room.stability, last),
        "binding": max(binding, key=lambda name: binding[name], default=None),
        "binding_shares": dict(sorted(shares.items(), key=lambda one: -one[1])),
        "known_share": float((~np.isnan(room.targets.estimate)).sum() / max(1, there.sum())),
    }


def interval(band: Band, place: int) -> dict[str, float] | None:
    """Return a value with its interval; None where it is not known."""
    estimate, low, high = (float(part[place]) for part in (band.estimate, band.low, band.high))
    if np.isnan([estimate, low, high]).any():
        return None
    return {"estimate": estimate, "low": low, "high": high}


def headroom(subject: Subject, room: Room, load: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what was left when most was asked; None where that is not known.

    Demand is what was asked for; where only what was served is known, that. The peak of a minute is
    set against the capacity of the five minutes that it lies in, or where it was not known yet or
    no longer, against that of the nearest window.
    """
    grid = subject.span.five
    peak = load["peak"]
    asked = plain(room.demand, grid).peak()
    if peak is None:
        return None
    value, start, basis = peak["tokens_per_minute"], peak["start_timestamp_seconds"], "served"
    if asked is not None and asked[0] >= value:
        value, start, basis = asked[0], asked[1], "demand"
    seen = np.flatnonzero(~np.isnan(room.targets.low))
    if not seen.size:
        return None
    place = int(seen[np.abs(seen - int((start - grid.start) // grid.step)).argmin()])
    low = float(room.targets.low[place])
    return {
        "timestamp_seconds": start,
        "basis": basis,
        "demand_tokens_per_minute": value,
        "capacity_low_tokens_per_minute": low,
        "capacity_timestamp_seconds": float(grid.starts[place] + grid.step),
        "tokens_per_minute": low - value,
        "share": None if low <= 0 else (low - value) / low,
    }
