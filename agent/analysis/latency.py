"""How long tokens and requests take: now, by batch, by KV fill, cold and warm."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from agent.analysis.bins import CUTS, Tally, binned, edges
from agent.analysis.cold import ColdStarts
from agent.analysis.latency_table import (
    Entry,
    LatencyTable,
    batch_bucket,
    batch_name,
    fill_bucket,
    fill_name,
    row,
    summary,
)
from agent.analysis.window import Column, View
from agent.catalog import engine
from agent.catalog import latency as catalog
from agent.catalog.latency import Quantity
from agent.model import Metric

Sample: TypeAlias = tuple[Metric, tuple[str, ...], float]

RECENT: Final = 60.0
"""Seconds that count as now."""

EVERY: Final = 15.0
"""Seconds after which new rows are taken in."""

_TIMED: Final = {
    Quantity.INTER_TOKEN: engine.INTER_TOKEN_LATENCY,
    Quantity.TIME_TO_FIRST_TOKEN: engine.TIME_TO_FIRST_TOKEN,
    Quantity.END_TO_END: engine.E2E_LATENCY,
    Quantity.QUEUE: engine.QUEUE_TIME,
}
_BY_BATCH: Final = (Quantity.INTER_TOKEN, Quantity.TIME_TO_FIRST_TOKEN)
_GAUGES: Final = (
    (engine.REQUESTS_RUNNING, ""),
    (engine.REQUESTS_WAITING, ""),
    (engine.KV_CACHE_USAGE, ""),
    (engine.GENERATION_TOKENS, ""),
    (engine.TIME_TO_FIRST_TOKEN, "_count"),
    (engine.GENERATION_SECONDS, ""),
)


@dataclass(slots=True)
class _Slot:
    """What some seconds brought."""

    time: float
    seconds: float
    tokens: float
    stream_seconds: float
    tallies: dict[Quantity, tuple[Column, Column, float]]


class _Turn(NamedTuple):
    """The rows of one turn: their buckets in each table, and whether their requests are cold."""

    tables: list[tuple[LatencyTable, list[int]]]
    cold: list[bool]


class _Spent:
    """Notes in a table what the rows of one turn spent at each load.

    Attributes:
        buckets: of the rows so far.
    """

    def __init__(self, table: LatencyTable) -> None:
        self.table = table
        self.buckets: list[int] = []
        self._entries: dict[int, Entry] = {}

    def add(self, bucket: int, time: float, seconds: float, tokens: float) -> None:
        """Add a row; `time` is that of the turn."""
        self.buckets.append(bucket)
        if bucket < 0:
            return
        entry = self._entries.get(bucket)
        if entry is None:
            entry = self._entries[bucket] = self.table.entry(bucket, time)
        entry.seconds += seconds
        entry.tokens += tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyResult:
    """How long things take at a replica.

    Attributes:
        recent: by what is timed, over the last minute.
        tokens_per_second: tokens generated each second over the last minute, None if unknown.
        stream_tokens_per_second: tokens that one request got each second, None if unknown.
        by_batch: over the last hours.
        by_fill: likewise, by quarters of the KV cache.
        cold: the first requests and all others.
        published: what follows from the histograms as metric, further label values, value.
    """

    recent: dict[Quantity, Tally] = field(default_factory=dict)
    tokens_per_second: float | None = None
    stream_tokens_per_second: float | None = None
    by_batch: LatencyTable = field(default_factory=LatencyTable)
    by_fill: LatencyTable = field(default_factory=LatencyTable)
    cold: ColdStarts = field(default_factory=ColdStarts)
    published: Sequence[Sample] = ()


class Latency:
    """Follows one replica.

    Args:
        offset: seconds by which its turns are shifted against those of other replicas.
    """

    def __init__(self, *, offset: float = 0.0) -> None:
        self._offset = offset % EVERY
        self._time = float("nan")
        self._slots: deque[_Slot] = deque()
        self._edges: dict[Quantity, Column] = {}
        self._result = LatencyResult()
        self._batches: dict[int, list[Sample]] = {}

    def observe(self, view: View) -> LatencyResult:
        """Take the newest rows of a view and return what is known.

        What has been added up is the same object in each result.
        """
        if not len(view):
            return self._result
        time = float(view.times[-1])
        if time < self._time:  # the clock was set back
            self._slots.clear()
            self._time = time
        due = self._time + EVERY + self._offset
        if time < due:
            return self._result
        self._offset = 0.0
        fresh = len(view) - int(np.searchsorted(view.times, self._time, side="right"))
        first = len(view) - fresh - 1 if self._time <= time else 0
        self._time = time
        self._take(view.rows(max(0, first), len(view)))
        return self._result

    def _take(self, view: View) -> None:
        """Take rows, of which the first is known already."""
        gauges = view.table(_GAUGES)
        times, rows = view.times.tolist(), gauges.tolist()
        tables = self._where(times, rows)
        cold = [
            self._result.cold.tick(time, count=now[4], busy=now[0] + now[1] > 0)
            for time, now in zip(times, rows, strict=True)
        ][1:]
        slot = _Slot(
            times[-1],
            times[-1] - times[0],
            _grown(gauges[:, 3]),
            _grown(gauges[:, 5]),
            {},
        )
        turn = _Turn(tables, cold)
        for quantity in _TIMED:
            self._add(view, quantity, slot, turn)
        self._slots.append(slot)
        while self._slots[0].time <= slot.time - RECENT:
            self._slots.popleft()
        self._conclude({*tables[0][1]} - {-1})

    def _where(
        self, times: Sequence[float], rows: Sequence[Sequence[float]]
    ) -> list[tuple[LatencyTable, list[int]]]:
        """Note the time spent at each load; return the bucket of each row but the first, by table.

        A row whose load is unknown, or that had nothing to do, has bucket -1.
        """
        by_batch, by_fill = _Spent(self._result.by_batch), _Spent(self._result.by_fill)
        for (begin, before), (end, after) in pairwise(zip(times, rows, strict=True)):
            running, usage = (before[0] + after[0]) / 2, (before[2] + after[2]) / 2
            made = after[3] - before[3]
            made = made if made > 0 else 0.0
            batch = batch_bucket(running) if running > 0 else -1
            fill = fill_bucket(usage) if running > 0 and usage >= 0 else -1
            by_batch.add(batch, times[-1], end - begin, made)
            by_fill.add(fill, times[-1], end - begin, made)
        return [(one.table, one.buckets) for one in (by_batch, by_fill)]

    def _add(self, view: View, quantity: Quantity, slot: _Slot, turn: _Turn) -> None:
        """Add what one histogram observed."""
        metric = _TIMED[quantity]
        count = view.of(metric, suffix="_count")
        if not count[-1] > 0 or count[0] == count[-1]:
            return
        histogram = view.histogram(metric)
        if histogram is None:
            return
        ends = self._edges.get(quantity)
        if ends is None or len(ends) != len(histogram.bounds) * CUTS + 1:
            ends = self._edges[quantity] = edges(histogram.bounds)
        weights, totals = binned(histogram)
        for table, buckets in turn.tables:
            for bucket in {*buckets} - {-1}:
                here = np.array(buckets) == bucket
                tally = table.entry(bucket, slot.time).tallies.setdefault(quantity, Tally())
                tally.add(ends, weights[here].sum(axis=0), float(totals[here].sum()))
        if quantity is Quantity.TIME_TO_FIRST_TOKEN:
            for is_cold in set(turn.cold):
                here = np.array(turn.cold) == is_cold
                total = float(totals[here].sum())
                if total > 0:
                    some = weights[here].sum(axis=0)
                    self._result.cold.add(slot.time, ends, some, total, cold=is_cold)
        slot.tallies[quantity] = (ends, weights.sum(axis=0), float(totals.sum()))

    def _conclude(self, touched: set[int]) -> None:
        """Work out once what each tick publishes; of the batches only those that were touched."""
        recent: dict[Quantity, Tally] = {}
        for slot in self._slots:
            for quantity, (ends, weights, total) in slot.tallies.items():
                recent.setdefault(quantity, Tally()).add(ends, weights, total)
        seconds = sum(slot.seconds for slot in self._slots)
        tokens = sum(slot.tokens for slot in self._slots)
        stream = sum(slot.stream_seconds for slot in self._slots)
        between = recent[Quantity.INTER_TOKEN].mean if Quantity.INTER_TOKEN in recent else None
        each = 1.0 / between if between else None
        if each is None and stream > 0 and tokens > 0:
            each = tokens / stream
        for bucket, entry in self._result.by_batch.items():
            if bucket in touched:
                self._batches[bucket] = list(_of_batch(bucket, entry))
        self._result = LatencyResult(
            recent=recent,
            published=[
                *_of_recent(recent),
                *(sample for some in self._batches.values() for sample in some),
                *_of_phases(self._result.cold),
            ],
            tokens_per_second=tokens / seconds if seconds > 0 and tokens >= 0 else None,
            stream_tokens_per_second=each,
            by_batch=self._result.by_batch,
            by_fill=self._result.by_fill,
            cold=self._result.cold,
        )


def _grown(column: Column) -> float:
    """Return by how much a counter grew, NaN if unknown."""
    return float(np.maximum(np.diff(column), 0.0).sum())


def samples(result: LatencyResult, labels: tuple[str, ...] = ()) -> Iterable[Sample]:
    """Yield the metrics of a replica: metric, label values, value.

    Args:
        result: what is known of it.
        labels: put before the label values of each metric.
    """
    for metric, further, value in result.published:
        yield metric, (*labels, *further), value
    if result.tokens_per_second is not None:
        yield catalog.TOKENS_PER_SECOND, labels, result.tokens_per_second
    if result.stream_tokens_per_second is not None:
        yield catalog.STREAM_TOKENS_PER_SECOND, labels, result.stream_tokens_per_second


def _of_recent(recent: Mapping[Quantity, Tally]) -> Iterator[Sample]:
    """Yield mean, median and 95th percentile of the last minute."""
    for quantity, tally in recent.items():
        for metric, value in (
            (catalog.LATENCY_MEAN, tally.mean),
            (catalog.LATENCY_P50, tally.quantile(0.5)),
            (catalog.LATENCY_P95, tally.quantile(0.95)),
        ):
            if value is not None:
                yield metric, (quantity.value,), value


def _of_batch(bucket: int, entry: Entry) -> Iterator[Sample]:
    """Yield mean and 95th percentile at a batch."""
    for quantity in _BY_BATCH:
        tally = entry.tallies.get(quantity)
        if tally is None:
            continue
        mean, p95 = tally.mean, tally.quantile(0.95)
        if mean is not None and p95 is not None:
            where = (quantity.value, batch_name(bucket))
            yield catalog.BATCH_LATENCY_MEAN, where, mean
            yield catalog.BATCH_LATENCY_P95, where, p95


def _of_phases(cold: ColdStarts) -> Iterator[Sample]:
    """Yield the mean time to first token, cold and warm."""
    for phase, tally in (("cold", cold.cold), ("warm", cold.warm)):
        mean = tally.mean
        if mean is not None:
            yield catalog.FIRST_TOKEN_MEAN, (phase,), mean
            yield catalog.FIRST_TOKEN_REQUESTS, (phase,), tally.count


def as_json(result: LatencyResult) -> dict[str, Any]:
    """Return what is known, for people and programs; units are in the names of the keys."""
    return {
        "recent": {f"{key.value}_seconds": summary(tally) for key, tally in result.recent.items()},
        "tokens_per_second": result.tokens_per_second,
        "stream_tokens_per_second": result.stream_tokens_per_second,
        "by_batch": {batch_name(key): row(entry) for key, entry in result.by_batch.items()},
        "by_kv_fill": {fill_name(key): row(entry) for key, entry in result.by_fill.items()},
        "time_to_first_token_cold_seconds": summary(result.cold.cold),
        "time_to_first_token_warm_seconds": summary(result.cold.warm),
        "cold_since_timestamp_seconds": result.cold.since,
    }
