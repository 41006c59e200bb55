"""Views of an engine from plain columns, for the tests of what reads views."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from agent.analysis.replicas import GpuKey, Replica, Replicas
from agent.analysis.window import View, Window
from agent.catalog import engine
from agent.model import Frame, Metric, SeriesTable

REPLICA = Replica("vllm", "chat", "m", "0")
START = 1_800_000_000.0

Key = tuple[Metric, str] | tuple[Metric, str, str]
"""A metric, a suffix, and the bound of a bucket."""


def view_of(
    columns: Mapping[Key, Sequence[float]],
    *,
    host: Mapping[tuple[Metric, tuple[str, ...]], Sequence[float]] | None = None,
    span: float = 600.0,
    every: float = 1.0,
    gpus: Sequence[GpuKey] = (),
) -> View:
    """Return the view of one replica.

    Args:
        columns: of the replica.
        host: of whatever else, by metric and labels.
        span: seconds that the window holds.
        every: seconds from row to row.
        gpus: that the replica runs on.
    """
    table = SeriesTable()
    given: dict[int, Sequence[float]] = {}
    for (metric, suffix, *bound), values in columns.items():
        le = bound[0] if bound else ""
        given[table.intern(metric, REPLICA, suffix=suffix, le=le)] = values
    for (metric, labels), values in (host or {}).items():
        given[table.intern(metric, labels)] = values
    rows = len(next(iter(given.values())))
    running = table.intern(engine.REQUESTS_RUNNING, REPLICA)
    given.setdefault(running, [1.0] * rows)
    window = Window({table[series_id].metric for series_id in given}, span=span)
    ids = list(given)
    for row in range(rows):
        window.append(
            Frame(START + row * every, table, ids, [values[row] for values in given.values()])
        )
    return Replicas(window, lambda *_replica: gpus).views(table)[REPLICA]


def latency_columns(
    metric: Metric, seconds: Sequence[Sequence[float]], bounds: Sequence[str]
) -> dict[Key, list[float]]:
    """Return the columns of a histogram that observes these values in each second."""
    columns: dict[Key, list[float]] = {(metric, "_bucket", le): [] for le in bounds}
    columns[metric, "_sum"] = []
    columns[metric, "_count"] = []
    total, ascending = 0.0, []
    for values in seconds:
        ascending = sorted([*ascending, *values])
        total += sum(values)
        for le in bounds:
            columns[metric, "_bucket", le].append(bisect_right(ascending, float(le)))
        columns[metric, "_sum"].append(total)
        columns[metric, "_count"].append(len(ascending))
    return columns
