"""Which engine replicas there are, and the view of each.

A replica is what schedules requests on its own: one model at one data-parallel rank of one server.
"""

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from agent.analysis.places import Indexes, Places
from agent.analysis.window import View, Window
from agent.catalog import engine, gpu, metrics_of
from agent.model import Metric, Series, SeriesTable

_REPLICA = len(engine.LABELS)
_INSTANCE = len(engine.INSTANCE)
_GPU = len(gpu.LABELS)
_GPU_METRICS = frozenset(metrics_of(gpu))

GpuKey: TypeAlias = tuple[str, str, str]
"""A GPU or MIG instance by the labels `gpu`, `uuid`, `mig`."""


class Replica(NamedTuple):
    """The labels of one replica."""

    engine: str
    instance_name: str
    model_name: str
    rank: str


class Replicas:
    """Finds the replicas among the columns of a window and gives the view of each.

    Args:
        window: where the columns are.
        gpus_of: the GPUs that a replica runs on, by engine, instance name and rank.
    """

    def __init__(
        self,
        window: Window,
        gpus_of: Callable[[str, str, str], Sequence[GpuKey]] = lambda *_replica: (),
    ) -> None:
        self._window = window
        self._gpus_of = gpus_of
        self._layout = -1
        self._placement: object = None
        self._placed: dict[Replica, tuple[GpuKey, ...]] = {}
        self._places: dict[Replica, Places] = {}
        self._known: Sequence[Replica] = ()
        self._running: Indexes = np.empty(0, dtype=np.intp)
        self._replaced: set[Replica] = set()

    def views(self, table: SeriesTable) -> dict[Replica, View]:
        """Return the view of each replica, in the order in which they were seen."""
        return {replica: self.view(replica) for replica in self.known(table, None)}

    def known(self, table: SeriesTable, placement: object) -> Sequence[Replica]:
        """Return the replicas that there are, in the order in which they were seen.

        Args:
            table: explains the series of the window.
            placement: another object whenever engines run on other GPUs.
        """
        if self._layout != self._window.layout or placement is not self._placement:
            self._placement = placement
            self._sort(table)
        return self._known

    def replaced(self) -> Collection[Replica]:
        """Return those in whose place others are: its server now gives the numbers of those alone.

        That holds until it is seen again. One whose page cannot be read is not replaced: then there
        are numbers of none. To be asked at each frame, after `known`.
        """
        absent = np.isnan(self._window.newest[self._running])
        if self._replaced or np.logical_or.reduce(absent):
            shown = {one for one, gone in zip(self._known, absent, strict=True) if not gone}
            served = {one[:_INSTANCE] for one in shown}
            gone = {one for one in self._known if one[:_INSTANCE] in served}
            self._replaced = (self._replaced.intersection(self._known) | gone) - shown
        return self._replaced

    def view(self, replica: Replica) -> View:
        """Return the view of a replica that is known."""
        return View(self._window, self._places[replica])

    def _where(self, replica: Replica) -> tuple[GpuKey, ...]:
        """Return the GPUs of a replica."""
        return tuple(self._gpus_of(replica.engine, replica.instance_name, replica.rank))

    def _sort(self, table: SeriesTable) -> None:
        """Find out which column belongs to whom."""
        self._layout = self._window.layout
        known = [(table[series_id], place) for series_id, place in self._window.ids().items()]
        replicas = dict.fromkeys(
            Replica(*series.labels[:_REPLICA])
            for series, _place in known
            if series.metric is engine.REQUESTS_RUNNING
        )
        self._placed = {one: self._where(one) for one in replicas}
        shared = {_key(series, 0): place for series, place in known if not _owned(series.metric)}
        on_gpus = [one for one in known if one[0].metric in _GPU_METRICS]
        owned: dict[tuple[str, ...], list[tuple[Series, int]]] = {}
        for one in known:
            if depth := _depth(one[0].metric):
                owned.setdefault(one[0].labels[:depth], []).append(one)
        self._places = {}
        for replica in replicas:
            columns = dict(shared)
            buckets: dict[Metric, list[tuple[float, int]]] = {}
            for depth in (_INSTANCE, _REPLICA):
                for series, place in owned.get(replica[:depth], ()):
                    if not series.le:
                        columns[_key(series, depth)] = place
                    elif not math.isnan(bound := _bound(series.le)):
                        buckets.setdefault(series.metric, []).append((bound, place))
            in_order = {metric: sorted(found) for metric, found in buckets.items()}
            gpus: dict[tuple[Any, ...], list[int]] = {}
            placed = self._placed[replica]
            for series, place in on_gpus if placed else ():
                if series.labels[:_GPU] in placed:
                    gpus.setdefault(_key(series, _GPU), []).append(place)
            self._places[replica] = Places(columns, in_order, gpus)
        self._known = [*self._places]
        running = [places.columns[engine.REQUESTS_RUNNING, ""] for places in self._places.values()]
        self._running = np.array(running, dtype=np.intp)


def _bound(le: str) -> float:
    """Return the upper bound of a bucket; NaN where an engine wrote something else there."""
    try:
        return float(le)
    except ValueError:
        return math.nan


def _depth(metric: Metric) -> int:
    """Return how many of its first labels say which replica or instance a metric is about."""
    if metric.labels[:_REPLICA] == engine.LABELS:
        return _REPLICA
    return _INSTANCE if metric.labels[:_INSTANCE] == engine.INSTANCE else 0


def _owned(metric: Metric) -> bool:
    """Return whether a metric is about an engine or a GPU, and not about the host."""
    return bool(_depth(metric)) or metric in _GPU_METRICS


def _key(series: Series, depth: int) -> tuple[Any, ...]:
    """Return by what a view knows a column."""
    return (series.metric, series.suffix, *series.labels[depth:])
