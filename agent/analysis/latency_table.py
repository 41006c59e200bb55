"""Latency and throughput by batch and by how full the KV cache was, over the last hours."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, inf, isnan, log2
from typing import Any, Final

from agent.analysis.bins import Tally
from agent.catalog.latency import Quantity

HALF_LIFE: Final = 3600.0
"""Seconds after which an observation counts half."""

BATCHES: Final = 12
"""Batch buckets: 1, 2, 3-4, 5-8, … 513-1024, more."""

FILLS: Final = 4
"""Buckets of KV fill: quarters."""


def batch_bucket(running: float) -> int:
    """Return the bucket of a batch, from 0; of a mean, the bucket of the next whole number up."""
    return min(BATCHES - 1, ceil(log2(max(1.0, ceil(running - 1e-9)))))


def batch_name(bucket: int) -> str:
    """Return the name of a batch bucket: the batches that are in it."""
    high = 2**bucket
    low = high // 2 + 1
    if bucket == BATCHES - 1:
        return f"{low}+"
    return str(high) if low >= high else f"{low}-{high}"


def fill_bucket(usage: float) -> int:
    """Return the bucket of a share of the KV cache in use."""
    return min(FILLS - 1, int(usage * FILLS))


def fill_name(bucket: int) -> str:
    """Return the name of a bucket of KV fill, in percent."""
    return f"{100 * bucket // FILLS}-{100 * (bucket + 1) // FILLS}%"


@dataclass(slots=True)
class Entry:
    """What was seen at one batch, or at one KV fill.

    Attributes:
        time: Unix seconds of the last observation.
        seconds: time spent there.
        tokens: tokens generated there.
        tallies: by what is timed.
    """

    time: float = -inf
    seconds: float = 0.0
    tokens: float = 0.0
    tallies: dict[Quantity, Tally] = field(default_factory=dict)

    def fade(self, time: float) -> None:
        """Let what is there count by its age."""
        if time > self.time > -inf:
            share = 0.5 ** ((time - self.time) / HALF_LIFE)
            self.seconds *= share
            self.tokens *= share
            for tally in self.tallies.values():
                tally.fade(share)
        self.time = time


class LatencyTable:
    """One table of a replica.

    What is timed belongs to the load of the second in which the engine wrote it down: at each token
    for the inter-token latency, at the first token for the time to it, at the end of the request
    for the end-to-end latency and the queue time.
    """

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}

    def entry(self, bucket: int, time: float) -> Entry:
        """Return the entry of a bucket, faded to a time."""
        entry = self._entries.setdefault(bucket, Entry())
        entry.fade(time)
        return entry

    def items(self) -> Iterator[tuple[int, Entry]]:
        """Yield the buckets that were seen, ascending."""
        yield from sorted(self._entries.items())


def row(entry: Entry) -> dict[str, Any]:
    """Return an entry for people and programs."""
    found: dict[str, Any] = {
        "seconds": entry.seconds,
        "tokens_per_second": entry.tokens / entry.seconds if entry.seconds > 0 else None,
    }
    between = entry.tallies.get(Quantity.INTER_TOKEN)
    if between is not None and between.mean:
        found["stream_tokens_per_second"] = 1.0 / between.mean
    for quantity, tally in entry.tallies.items():
        found[f"{quantity.value}_seconds"] = summary(tally)
    return found


def summary(tally: Tally) -> dict[str, Any]:
    """Return mean and percentiles, and the engine's bucket that the 95th lies in."""
    p95 = tally.quantile(0.95)
    return {
        "count": tally.count,
        "mean": tally.mean,
        "p50": tally.quantile(0.5),
        "p95": p95,
        "p95_bucket": None if p95 is None or isnan(p95) else tally.bucket(p95),
    }
