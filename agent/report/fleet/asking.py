"""Asks for what the rules of a fleet record, as columns on the grids of a report."""

from collections import defaultdict
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from agent.promql.querier import Querier
from agent.promql.values import Vector
from agent.report.fleet import names
from agent.report.fleet.scope import LATEST, Part
from agent.report.grid import FIVE_MINUTES, Column, Grid, unknown
from agent.store.series import SeriesSamples

Group: TypeAlias = tuple[str, str]
"""The value of the label by which a fleet is divided, and the kind of the engine."""


@dataclass(slots=True)
class Asking:
    """Asks about one part of a fleet.

    Attributes:
        querier: who answers; errors are as there.
        part: of the fleet.
        empty: names of what there was nothing of.
    """

    querier: Querier
    part: Part
    empty: set[str]

    def means(self, name: str, grid: Grid, *further: str) -> dict[Group, Column]:
        """Return sums over hosts in each window of five minutes, the mean over it."""
        return {group: one[()] for group, one in self.means_by(name, grid, (), *further).items()}

    def means_by(
        self, name: str, grid: Grid, labels: tuple[str, ...], *further: str
    ) -> dict[Group, dict[tuple[str, ...], Column]]:
        """Return likewise, divided by further labels and then by their values."""
        inner = self._sum(name, labels, *further)
        return self._columns(name, f"avg_over_time({inner}[{LATEST}:1m])", grid, labels)

    def for_all(
        self, name: str, grid: Grid, label: str
    ) -> dict[Group, dict[tuple[str, ...], Column]]:
        """Return what is known of some replicas, for all of their cluster, model and GPU type.

        Those that are not known count as the mean of their like; where nothing of the like is
        known they are left out.
        """
        part, like = self.part, f"{self.part.cluster_label}, engine, model_name, gpu_type"
        known, all_, able = (
            part.selector(one) for one in (name, names.REPLICAS, names.CAPACITY_REPLICAS)
        )
        # A replica that ends has a capacity for a moment longer: never less than is known.
        inner = (
            f"sum by ({part.label}, engine, {label}) (sum by ({like}, {label}) ({known})"
            f" * on ({like}) group_left ()"
            f" clamp_min(sum by ({like}) ({all_}) / sum by ({like}) ({able}), 1))"
        )
        return self._columns(name, f"avg_over_time({inner}[{LATEST}:1m])", grid, (label,))

    def covered(self, grid: Grid) -> dict[Group, Column]:
        """Return how many replicas `for_all` speaks for."""
        part, like = self.part, f"{self.part.cluster_label}, engine, model_name, gpu_type"
        all_, able = (part.selector(one) for one in (names.REPLICAS, names.CAPACITY_REPLICAS))
        inner = (
            f"sum by ({part.label}, engine) (sum by ({like}) ({all_}) and sum by ({like}) ({able}))"
        )
        found = self._columns(
            names.CAPACITY_REPLICAS, f"avg_over_time({inner}[{LATEST}:1m])", grid, ()
        )
        return {group: one[()] for group, one in found.items()}

    def instants(self, name: str, grid: Grid, *further: str) -> dict[Group, Column]:
        """Return sums over hosts at the end of each cell."""
        found = self._columns(name, self._sum(name, (), *further), grid, ())
        return {group: one[()] for group, one in found.items()}

    def instants_by(
        self, name: str, grid: Grid, labels: tuple[str, ...]
    ) -> dict[Group, dict[tuple[str, ...], Column]]:
        """Return likewise, divided by further labels."""
        return self._columns(name, self._sum(name, labels), grid, labels)

    def highest(self, name: str, grid: Grid) -> dict[Group, Column]:
        """Return the highest over hosts and over each window of five minutes."""
        text = (
            f"max_over_time(max by ({self.part.label}, engine) "
            f"({self.part.selector(name)})[{LATEST}:1m])"
        )
        return {group: one[()] for group, one in self._columns(name, text, grid, ()).items()}

    def plain(
        self, name: str, text: str, grid: Grid, labels: tuple[str, ...]
    ) -> dict[tuple[str, ...], Column]:
        """Return any query on a grid, by the values of labels."""
        found = {_values(one, labels): on_cells(one, grid) for one in self._range(text, grid)}
        self._noted(name, bool(found))
        return found

    def vector(self, name: str, text: str, time: float) -> list[tuple[dict[str, str], float]]:
        """Return an instant query."""
        found = self.querier.instant(text, time)
        rows = (
            [(dict(labels), value) for labels, value in found] if isinstance(found, Vector) else []
        )
        self._noted(name, bool(rows))
        return rows

    def _sum(self, name: str, labels: tuple[str, ...], *further: str) -> str:
        """Return the query of a sum over hosts."""
        by = ", ".join((self.part.label, "engine", *labels))
        return f"sum by ({by}) ({self.part.selector(name, *further)})"

    def _columns(
        self, name: str, text: str, grid: Grid, labels: tuple[str, ...]
    ) -> dict[Group, dict[tuple[str, ...], Column]]:
        """Return a query on a grid."""
        found: defaultdict[Group, dict[tuple[str, ...], Column]] = defaultdict(dict)
        for one in self._range(text, grid):
            value, engine = _values(one, (self.part.label, "engine"))
            found[value, engine][_values(one, labels)] = on_cells(one, grid)
        self._noted(name, bool(found))
        return dict(found)

    def _range(self, text: str, grid: Grid) -> list[SeriesSamples]:
        """Return what a query gives at the end of each cell."""
        if not grid.count:
            return []
        return self.querier.range(text, grid.start + grid.step, grid.end, grid.step).series

    def _noted(self, name: str, found: bool) -> None:  # noqa: FBT001 - said once, here
        """Note whether there was anything."""
        if not found:
            self.empty.add(name)


def _values(one: SeriesSamples, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values of some labels."""
    labels = dict(one.labels)
    return tuple(labels.get(name, "") for name in names)


def on_cells(series: SeriesSamples, grid: Grid) -> Column:
    """Return a series that was asked for at the end of each cell."""
    column = unknown(grid.count)
    places = grid.place(np.asarray(series.times, dtype=np.float64))
    inside = (places >= 0) & (places < grid.count)
    column[places[inside]] = np.asarray(series.values, dtype=np.float64)[inside]
    column[~np.isfinite(column)] = np.nan
    return column


def fine_grid(five: Grid, longest: float, step: float) -> Grid:
    """Return the minutes of a grid of five minutes, none where it is too long for them."""
    if five.step * five.count > longest:
        return Grid(five.end, step, 0)
    return Grid(five.start, step, five.count * round(FIVE_MINUTES / step))
