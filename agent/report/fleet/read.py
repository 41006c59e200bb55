"""What the rules of a fleet have recorded, as the columns that a report is made of."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.report.capacity import Band, Room
from agent.report.cost import Price
from agent.report.fleet import names
from agent.report.fleet.asking import Asking, Group
from agent.report.fleet.tails import alike, tail_of
from agent.report.grid import Column, Grid, together, unknown
from agent.report.replica import Replica
from agent.report.scope import Fine, Key, Span
from agent.report.tail import Tail, Timed

FEWEST: Final = 0.5
"""Share of the replicas whose capacity must be known, so that the rest is taken for their mean."""

_PER_MINUTE: Final = 60.0
_BOUNDS: Final = ("estimate", "low", "high")
_HISTOGRAMS: Final = {
    Timed.TIME_TO_FIRST_TOKEN: names.FIRST_TOKEN,
    Timed.INTER_TOKEN: names.INTER_TOKEN,
}
_GPU_SUMS: Final = {
    "count": names.GPUS,
    "busy": names.GPUS_BUSY,
    "memory_used_bytes": names.GPU_MEMORY_USED,
    "memory_total_bytes": names.GPU_MEMORY_TOTAL,
    "power_watts": names.GPU_POWER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Replicas of one engine in one group, in windows of five minutes; all may be added.

    Attributes:
        replica: what they did, as if they were one.
        count: how many they were.
        able: of how many the capacity is known.
        covered: of how many of the same cluster, model and GPU type one's capacity is known.
        targets: sums over those, where one is not known the mean of its like.
        stability: likewise.
        demand: tokens a minute that were asked for.
        binding: replicas by the tightest limit.
        declared: replicas whose capacity is the configured one.
        causes: replicas by their verdict.
        gpus: sums over their GPUs, by `_GPU_SUMS`.
        prices: money an hour by currency, and what the tokens are worth.
    """

    replica: Replica
    count: Column
    able: Column
    covered: Column
    targets: Band
    stability: Band
    demand: Column
    binding: Mapping[str, Column]
    declared: Column
    causes: Mapping[str, Column]
    gpus: Mapping[str, Column]
    prices: Mapping[str, Price]


def read_sums(asking: Asking, span: Span) -> dict[Group, Sums]:
    """Return everything that is recorded, by group and engine; empty where there is no replica."""
    five, nothing = span.five, unknown(span.five.count)
    count = asking.means(names.REPLICAS, five)
    if not count:
        return {}
    tokens = {
        phase: asking.means(names.TOKENS, five, f'phase="{phase}"')
        for phase in ("prompt", "generation", "cached")
    }
    minutes = {
        phase: asking.instants(names.TOKENS, span.minutes, f'phase="{phase}"')
        for phase in ("prompt", "generation")
    }
    gauges = {
        name: asking.means(name, five)
        for name in (
            names.CAPACITY_REPLICAS, names.DEMAND, names.DECLARED, names.RUNNING, names.WAITING,
        )
    }  # fmt: skip
    kv = asking.highest(names.KV_USAGE, five)
    able = asking.for_all(names.CAPACITY, five, "bound")
    stability = asking.for_all(names.STABILITY, five, "bound")
    covered = asking.covered(five)
    binding = asking.means_by(names.BINDING, five, ("limit",))
    causes = asking.means_by(names.VERDICT, five, ("cause",))
    cost = asking.means_by(names.COST, five, ("currency",))
    worth = asking.means_by(names.VALUE, five, ("currency",))
    gpus = {key: asking.means(name, five) for key, name in _GPU_SUMS.items()}
    tails = _tails(asking, span)

    def fine(phase: str, group: Group) -> Fine:
        """Return tokens a second."""
        no_minutes = unknown(span.minutes.count)
        return Fine(
            tokens[phase].get(group, nothing) / _PER_MINUTE,
            minutes[phase].get(group, no_minutes) / _PER_MINUTE,
        )

    found: dict[Group, Sums] = {}
    for group in sorted(count):
        timed = tails.get(group, {})
        first = timed.get(Timed.TIME_TO_FIRST_TOKEN)
        highest = kv.get(group, nothing)
        found[group] = Sums(
            replica=Replica(
                Key(group[1], "", group[0], ""),
                span,
                prompt=fine("prompt", group),
                generation=fine("generation", group),
                cached=tokens["cached"].get(group, nothing) / _PER_MINUTE,
                requests=nothing if first is None else first.counts / five.step,
                running=gauges[names.RUNNING].get(group, nothing),
                waiting=gauges[names.WAITING].get(group, nothing),
                kv=highest,
                kv_peak=highest,
                tails=timed,
            ),
            count=count[group],
            able=gauges[names.CAPACITY_REPLICAS].get(group, nothing),
            covered=covered.get(group, nothing),
            targets=_band(able.get(group, {}), nothing),
            stability=_band(stability.get(group, {}), nothing),
            demand=gauges[names.DEMAND].get(group, nothing),
            binding=_flat(binding.get(group, {})),
            declared=gauges[names.DECLARED].get(group, nothing),
            causes=_flat(causes.get(group, {})),
            gpus={key: by_group.get(group, nothing) for key, by_group in gpus.items()},
            prices=_prices(_flat(cost.get(group, {})), _flat(worth.get(group, {}))),
        )
    return found


def _flat(found: Mapping[tuple[str, ...], Column]) -> dict[str, Column]:
    """Return columns by the value of their only label."""
    return {label: column for (label,), column in found.items()}


def _band(found: Mapping[tuple[str, ...], Column], nothing: Column) -> Band:
    """Return a value with its interval; a declared one has none and is as wide as a point."""
    estimate = found.get(("estimate",), nothing)
    low, high = (found.get((name,), estimate) for name in _BOUNDS[1:])
    return Band(
        estimate,
        np.where(np.isnan(low), estimate, low),
        np.where(np.isnan(high), estimate, high),
    )


def _prices(cost: Mapping[str, Column], worth: Mapping[str, Column]) -> dict[str, Price]:
    """Return the price of each currency."""
    return {
        currency: Price(currency, hourly, worth.get(currency)) for currency, hourly in cost.items()
    }


def _tails(asking: Asking, span: Span) -> dict[Group, dict[Timed, Tail]]:
    """Return the latencies, with bounds that all engines have."""
    found: defaultdict[Group, dict[Timed, Tail]] = defaultdict(dict)
    for timed, name in _HISTOGRAMS.items():
        by_bound = asking.instants_by(name, span.five, ("le",))
        told: dict[Group, Tail] = {}
        for group, columns in by_bound.items():
            tail = tail_of(columns, step=span.five.step, minutes=span.minutes.count)
            if tail is not None:
                told[group] = tail
        for group, tail in zip(told, alike(list(told.values())), strict=True):
            found[group][timed] = tail
    return dict(found)


def read_past(asking: Asking, grid: Grid) -> dict[Group, Column]:
    """Return tokens a second in windows of five minutes: asked for, where that was more."""
    served = asking.instants(names.TOKENS, grid, 'phase=~"prompt|generation"')
    asked = asking.instants(names.DEMAND, grid)
    nothing = unknown(grid.count)
    return {
        group: np.fmax(column, asked.get(group, nothing)) / _PER_MINUTE
        for group, column in served.items()
    }


def room_of(several: Sequence[Sums]) -> Room:
    """Return what replicas could carry together.

    Those of whose like no capacity is known are taken for the mean of all others. Where it is
    known of less than half of all replicas, the sum is not known.
    """
    count, able = _sum(one.count for one in several), _sum(one.able for one in several)
    covered = _sum(one.covered for one in several)
    enough = (able >= FEWEST * count) & (covered > 0)  # NaN compares as false
    # Means over a window may differ in the last digits.
    scale = np.maximum(np.divide(count, covered, out=unknown(len(count)), where=enough), 1.0)

    def whole(bands: Sequence[Band]) -> Band:
        """Return the sum of bands, for all replicas."""
        return Band(*(_sum(getattr(one, part) for one in bands) * scale for part in Band.__slots__))

    limits = sorted({name for one in several for name in one.binding})
    nothing = unknown(len(count))
    held = {name: _sum(one.binding.get(name, nothing) for one in several) for name in limits}
    told = together(list(held.values())) if held else nothing
    return Room(
        whole([one.targets for one in several]),
        whole([one.stability for one in several]),
        _sum(one.demand for one in several),
        {name: _ratio(column, told) for name, column in held.items()},
        _ratio(_sum(one.declared for one in several), able),
    )


def _sum(columns: Iterable[Column]) -> Column:
    """Return the sum of what is known."""
    return together(list(columns))


def _ratio(above: Column, below: Column) -> Column:
    """Return quotients; NaN where there is nothing to divide by."""
    found: Column = np.divide(above, below, out=unknown(len(above)), where=below > 0)
    return found
