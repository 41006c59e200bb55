"""When device memory outside the pool, the host's memory or an engine's cgroup is used up.

An analysis of frames: it needs a number a tick of each, and hours of them, not the columns of a
window. Device memory that a new process takes while it starts is no leak, so a GPU begins anew when
a process appears on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from agent.analysis.forecasts.drain import HORIZON, Drain
from agent.analysis.forecasts.passage import Interval
from agent.catalog import forecast as catalog
from agent.catalog import gpu, host, process
from agent.model import Frame, Metric, Reading

START: Final = 120.0
"""Seconds after the appearance of a process for which a GPU's memory is not judged."""

_BOUNDS: Final = ("low", "estimate", "high")


@dataclass(slots=True)
class _Watched:
    """Something that can run out: where its parts stand in the frame, and what is known of it.

    Attributes:
        metric: the forecast.
        labels: its labels without `bound`.
        ids: its three series.
        level: place of what is left, or of what is used.
        is_used: which of the two.
        total: place of the whole.
        back: place of what is used and can be had back at any time, if that is told.
        pids: processes that were on the GPU.
        judged_from: time from which on it is followed.
    """

    metric: Metric
    labels: tuple[str, ...]
    ids: tuple[int, ...]
    is_used: bool
    level: int = 0
    total: int = 0
    back: int | None = None
    drain: Drain = field(default_factory=Drain)
    pids: frozenset[tuple[str, ...]] = frozenset()
    judged_from: float = 0.0
    foreseen: Interval | None = None


class MemoryForecasts:
    """Foresees the end of each kind of memory. One for each run of the agent."""

    def __init__(self) -> None:
        self._seen: Sequence[int] | None = None
        self._watched: dict[tuple[Metric, tuple[str, ...]], _Watched] = {}
        self._ids: list[int] = []

    def observe(self, frame: Frame) -> Reading:
        """Return the forecasts at the time of a frame."""
        if frame.ids is not self._seen:
            self._prepare(frame)
        ids: list[int] = []
        values: list[float] = []
        for one in self._watched.values():
            one.foreseen = _foresee(one, frame)
            if one.foreseen is not None:
                ids += one.ids[:2]
                values += (one.foreseen.low, one.foreseen.estimate)
                if one.foreseen.high < inf:
                    ids.append(one.ids[2])
                    values.append(one.foreseen.high)
        if ids != self._ids:
            self._ids = ids
        return Reading(self._ids, values)

    def as_json(self) -> list[dict[str, Any]]:
        """Return what is foreseen, as JSON takes it."""
        return [
            {
                "metric": one.metric.name,
                **dict(zip(one.metric.labels, one.labels, strict=False)),
                "horizon_seconds": HORIZON,
                **one.foreseen.as_json(),
            }
            for one in self._watched.values()
            if one.foreseen is not None
        ]

    def _prepare(self, frame: Frame) -> None:
        """Find what can run out among the series of a frame; what stays keeps its history."""
        self._seen = frame.ids
        table = frame.table
        places: dict[tuple[Metric, tuple[str, ...]], int] = {}
        pids: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
        for place, series_id in enumerate(frame.ids):
            series = table[series_id]
            if series.metric in _READ:
                places[series.metric, series.labels] = place
            elif series.metric is gpu.PROCESS_MEMORY:
                pids.setdefault(series.labels[:3], set()).add(series.labels[3:])
        before, self._watched = self._watched, {}
        for (metric, labels), place in places.items():
            if metric not in _KINDS:
                continue
            forecast, whole, returned = _KINDS[metric]
            total = places.get((whole, labels))
            if total is None:
                continue
            one = before.get((forecast, labels))
            if one is None:
                ids = tuple(table.intern(forecast, (*labels, bound)) for bound in _BOUNDS)
                used = metric is process.CGROUP_MEMORY_USED
                one = _Watched(forecast, labels, ids, used)
            one.level, one.total = place, total
            one.back = None if returned is None else places.get((returned, labels))
            here = frozenset(pids.get(labels, ()))
            if (forecast, labels) in before and here - one.pids:
                one.drain = Drain()
                one.judged_from = frame.time + START
            one.pids = here
            self._watched[forecast, labels] = one


_READ: Final = frozenset(
    {
        gpu.MEMORY_FREE,
        gpu.MEMORY_TOTAL,
        host.MEMORY_AVAILABLE,
        host.MEMORY_TOTAL,
        process.CGROUP_MEMORY_USED,
        process.CGROUP_MEMORY_LIMIT,
        process.CGROUP_MEMORY_RECLAIMABLE,
    }
)
_KINDS: Final[dict[Metric, tuple[Metric, Metric, Metric | None]]] = {
    gpu.MEMORY_FREE: (catalog.GPU_MEMORY_EXHAUSTION, gpu.MEMORY_TOTAL, None),
    host.MEMORY_AVAILABLE: (catalog.HOST_MEMORY_EXHAUSTION, host.MEMORY_TOTAL, None),
    process.CGROUP_MEMORY_USED: (
        catalog.CGROUP_MEMORY_EXHAUSTION,
        process.CGROUP_MEMORY_LIMIT,
        process.CGROUP_MEMORY_RECLAIMABLE,
    ),
}


def _foresee(one: _Watched, frame: Frame) -> Interval | None:
    """Return what is foreseen of one kind of memory."""
    if frame.time < one.judged_from:
        return None
    values = frame.values
    total, free = values[one.total], values[one.level]
    if one.is_used:
        free = total - free + (0.0 if one.back is None else values[one.back])
    return one.drain.observe(frame.time, free, total)
