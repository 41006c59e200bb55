"""The KV cache of one replica in bytes, and by how much it fills each second.

in use now = in use before + admitted + decoded - released

The engine's gauge says what is in use, so the net inflow is the slope of the gauge. Admitted are
prompt tokens whose prefill ended, decoded are generated ones, and a request releases both when it
finishes; what is released by preemption, by clients that give up and by shared prefixes is in no
counter and is what the balance lacks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from operator import sub
from typing import Any, Final

from agent.analysis.window import View
from agent.catalog import engine
from agent.catalog import placement as catalog
from agent.model import Metric

SPAN: Final = 10.0
"""Seconds over which the inflow is taken."""

_ENDS: Final = 3
"""Samples at either end of the span of which the middle one counts, so that one second in which
the page was late or a request came and went does not decide."""


@dataclass(frozen=True, slots=True)
class KvFlow:
    """What a replica's KV cache holds, and what goes in and out; None where it is unknown.

    Attributes:
        used_tokens: in use.
        capacity_tokens: that requests can have.
        token_size: bytes of one token over all GPUs of the replica.
        inflow: tokens a second by which the use grew; negative while it falls.
        admitted: prompt tokens a second.
        decoded: generated tokens a second.
        released: tokens a second of the requests that finished, prompts included.
        seconds: the span that the rates are of.
    """

    used_tokens: float | None = None
    capacity_tokens: float | None = None
    token_size: float | None = None
    inflow: float | None = None
    admitted: float | None = None
    decoded: float | None = None
    released: float | None = None
    seconds: float = 0.0

    @property
    def used_bytes(self) -> float | None:
        """Bytes in use."""
        return _product(self.used_tokens, self.token_size)

    @property
    def capacity_bytes(self) -> float | None:
        """Bytes that requests can have."""
        return _product(self.capacity_tokens, self.token_size)


_COLUMNS: Final = (
    (engine.KV_CACHE_USED, ""),
    (engine.KV_CACHE_CAPACITY, ""),
    (catalog.KV_CACHE_TOKEN_SIZE, ""),
    (engine.GENERATION_TOKENS, ""),
    (engine.PROMPT_TOKENS, ""),
    (engine.REQUEST_PROMPT_TOKENS, "_sum"),
    (engine.REQUEST_GENERATION_TOKENS, "_sum"),
)


class KvFlows:
    """Follows the KV cache of one replica."""

    def observe(self, view: View, *, reserved: float | None = None) -> KvFlow:
        """Return the state at the last row of a view.

        Args:
            view: of the replica; ten seconds of it are looked at.
            reserved: bytes of KV cache that the replica was seen to reserve over all of its GPUs,
                from which follows what a token takes where the model does not say it.
        """
        if not len(view):
            return KvFlow()
        recent = view.last(SPAN)
        # Of a dozen rows, lists are faster than arrays.
        rows = recent.table(_COLUMNS).T.tolist()
        begin = _after_restart(rows[3])
        times = recent.times.tolist()[begin:]
        used, capacities, sizes, *counters = (column[begin:] for column in rows)
        capacity, size = _known(capacities[-1]), _known(sizes[-1])
        if size is None and reserved is not None and capacity:
            size = reserved / capacity
        seconds = times[-1] - times[0]
        decoded, admitted, *released = (_rate(counter, seconds) for counter in counters)
        return KvFlow(
            used_tokens=_known(used[-1]),
            capacity_tokens=capacity,
            token_size=size,
            inflow=_slope(times, used),
            admitted=admitted,
            decoded=decoded,
            released=None if None in released else sum(filter(None, released)),
            seconds=seconds,
        )


def _after_restart(counter: Sequence[float]) -> int:
    """Return the first row after the last fall of a counter."""
    for index in range(len(counter) - 1, 0, -1):
        if counter[index] < counter[index - 1]:
            return index
    return 0


def _slope(times: Sequence[float], used: Sequence[float]) -> float | None:
    """Return the change a second from the beginning of a span to its end.

    It is what went in less what went out, no matter when between the two: a slope fitted to all
    samples would take a cache that fills slowly and empties at once for one that fills.
    """
    known = [(time, value) for time, value in zip(times, used, strict=True) if not isnan(value)]
    if isnan(used[-1]) or len(known) < 2 * _ENDS:
        return None
    (begin, first), (end, last) = _middle(known[:_ENDS]), _middle(known[-_ENDS:])
    return (last - first) / (end - begin)


def _middle(samples: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the mean time and the median value."""
    values = sorted(value for _time, value in samples)
    return sum(time for time, _value in samples) / len(samples), values[len(values) // 2]


def _rate(counter: Sequence[float], seconds: float) -> float | None:
    """Return the growth of a counter a second; restarts are cut off before."""
    known = [value for value in counter if not isnan(value)]
    if len(known) < 2 or seconds <= 0:  # noqa: PLR2004 - growth needs two values
        return None
    steps: list[float] = [*map(sub, known[1:], known)]
    if min(steps) < 0:  # it is not that counter by which restarts are told
        steps = [after if step < 0 else step for step, after in zip(steps, known[1:], strict=True)]
    return sum(steps) / seconds


def _known(value: float) -> float | None:
    """Return a value, or None where there is none."""
    return None if isnan(value) else value


def _product(tokens: float | None, size: float | None) -> float | None:
    """Return bytes of tokens."""
    return None if tokens is None or size is None else tokens * size


def samples(
    flow: KvFlow, labels: tuple[str, ...]
) -> Iterator[tuple[Metric, tuple[str, ...], float]]:
    """Yield the samples of a replica with these labels: metric, label values, value."""
    for metric, value in (
        (catalog.KV_CACHE_CAPACITY_BYTES, flow.capacity_bytes),
        (catalog.KV_CACHE_USED_BYTES, flow.used_bytes),
        (catalog.KV_CACHE_INFLOW, flow.inflow),
    ):
        if value is not None:
            yield metric, labels, value


def as_json(flow: KvFlow) -> dict[str, Any]:
    """Return the state for people; what is unknown is null."""
    return {
        "used_tokens": flow.used_tokens,
        "capacity_tokens": flow.capacity_tokens,
        "used_bytes": flow.used_bytes,
        "capacity_bytes": flow.capacity_bytes,
        "inflow_tokens_per_second": flow.inflow,
        "admitted_tokens_per_second": flow.admitted,
        "decoded_tokens_per_second": flow.decoded,
        "released_tokens_per_second": flow.released,
        "span_seconds": flow.seconds,
    }
