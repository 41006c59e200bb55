"""How capacity, demand and headroom of one replica are said: samples and JSON."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

from agent.analysis import asked
from agent.analysis.asked import Demand
from agent.analysis.capacity.estimate import Binding, Interval, Known, Limits, Mix, Rates
from agent.analysis.headroom import Headroom
from agent.analysis.replica_capacity import CapacityResult
from agent.catalog import capacity as catalog
from agent.model import Metric

Sample: TypeAlias = tuple[Metric, tuple[str, ...], float]

_SOURCES: Final = tuple((one, (one.value,)) for one in catalog.Source)
_BINDINGS: Final = tuple((one, (one.value,)) for one in Binding)


def samples(result: CapacityResult) -> Iterator[Sample]:
    """Yield metric, further label values and value of all that is known."""
    if result.time is None:
        return
    known = result.capacity.known
    yield catalog.IDENTIFIABLE, (), float(known is not None)
    source = _source(result)
    for one, labels in _SOURCES:
        yield catalog.SOURCE, labels, float(one is source)
    if known is not None:
        yield from _capacity(known, result.time)
    elif result.declared is not None:
        yield from _bounds(catalog.CAPACITY, ("total",), Interval(*[result.declared] * 3))
    yield from _demand(result.demand)
    if result.headroom is not None:
        yield from _headroom(result.headroom)


def _source(result: CapacityResult) -> catalog.Source | None:
    """Return where the capacity that is shown is known from."""
    if result.capacity.identifiable:
        return catalog.Source.LEARNED
    return None if result.declared is None else catalog.Source.DECLARED


def _capacity(known: Known, time: float) -> Iterator[Sample]:
    """Yield a learned capacity."""
    yield from _rates(catalog.CAPACITY, catalog.CAPACITY_REQUESTS, known.under_targets)
    yield from _rates(catalog.STABILITY, catalog.STABILITY_REQUESTS, known.stability)
    for limit, labels in _BINDINGS:
        yield catalog.BINDING, labels, float(limit is known.binding)
    yield catalog.EVIDENCE, (), time - known.evidence_age
    yield catalog.BATCH, (), known.batch
    yield catalog.BATCH_SEEN, ("low",), known.batch_seen[0]
    yield catalog.BATCH_SEEN, ("high",), known.batch_seen[1]
    if known.concurrent is not None:
        yield catalog.CONCURRENT, (), math.floor(known.concurrent)


def _rates(tokens: Metric, requests: Metric, rates: Rates) -> Iterator[Sample]:
    """Yield a load."""
    for phase, interval in _phases(rates).items():
        yield from _bounds(tokens, (phase,), interval)
    if rates.requests_per_minute is not None:
        yield from _bounds(requests, (), rates.requests_per_minute)


def _phases(rates: Rates) -> dict[str, Interval]:
    """Return the tokens of a load by phase."""
    return {
        "total": rates.tokens_per_minute,
        "prompt": rates.prompt_tokens_per_minute,
        "generation": rates.generation_tokens_per_minute,
    }


def _bounds(metric: Metric, labels: tuple[str, ...], interval: Interval) -> Iterator[Sample]:
    """Yield the bounds of an interval."""
    for bound in ("low", "estimate", "high"):
        yield metric, (*labels, bound), getattr(interval, bound)


def _demand(demand: Demand) -> Iterator[Sample]:
    """Yield what is asked, as far as it is known."""
    given: Iterable[tuple[Metric, tuple[str, ...], float | None]] = (
        (catalog.DEMAND, ("total",), demand.tokens_per_minute),
        (catalog.DEMAND, ("prompt",), demand.prompt_tokens_per_minute),
        (catalog.DEMAND, ("generation",), demand.generation_tokens_per_minute),
        (catalog.DEMAND_REQUESTS, (), demand.requests_per_minute),
        (catalog.QUEUE, (), demand.queue_tokens),
    )
    for metric, labels, value in given:
        if value is not None:
            yield metric, labels, value


def _headroom(headroom: Headroom) -> Iterator[Sample]:
    """Yield what is left."""
    yield catalog.HEADROOM, (), headroom.tokens_per_minute
    if headroom.ratio is not None:
        yield catalog.HEADROOM_RATIO, (), headroom.ratio
    if headroom.requests_per_minute is not None:
        yield catalog.HEADROOM_REQUESTS, (), headroom.requests_per_minute


def as_json(result: CapacityResult) -> dict[str, Any]:
    """Return what is known, for programs: units are in the names of the keys, null is not known."""
    known, headroom = result.capacity.known, result.headroom
    source = _source(result)
    return {
        "time": result.time,
        "identifiable": known is not None,
        "not_identifiable_because": None if known else result.capacity.reason,
        "source": None if source is None else source.value,
        **_known_json(known),
        "declared_tokens_per_minute": result.declared,
        "limits": _limits_json(result.capacity.limits),
        **asked.as_json(result.demand),
        "headroom_tokens_per_minute": headroom.tokens_per_minute if headroom else None,
        "headroom_ratio": headroom.ratio if headroom else None,
        "headroom_requests_per_minute": headroom.requests_per_minute if headroom else None,
    }


def _known_json(known: Known | None) -> dict[str, Any]:
    """Return a capacity; the same keys where there is none."""
    under, limit = (known.under_targets, known.stability) if known else (None, None)
    return {
        "binding_limit": known.binding.value if known else None,
        **_rates_json("capacity", under),
        **_rates_json("stability_limit", limit),
        "capacity_batch_requests": known.batch if known else None,
        "concurrent_requests": known.concurrent if known else None,
        "evidence": {
            "age_seconds": known.evidence_age,
            "stretches": known.evidence,
            "batch_seen_requests": _range(known.batch_seen),
            "load_seen_tokens_per_minute": _range(known.tokens_seen),
        }
        if known
        else None,
        "mix": _mix_json(known.mix) if known else None,
    }


def _rates_json(name: str, rates: Rates | None) -> dict[str, Any]:
    """Return a load under names that begin alike."""
    requests = rates.requests_per_minute if rates else None
    return {
        f"{name}_tokens_per_minute": _interval(rates.tokens_per_minute if rates else None),
        f"{name}_prompt_tokens_per_minute": _interval(
            rates.prompt_tokens_per_minute if rates else None
        ),
        f"{name}_generation_tokens_per_minute": _interval(
            rates.generation_tokens_per_minute if rates else None
        ),
        f"{name}_requests_per_minute": _interval(requests),
    }


def _interval(interval: Interval | None) -> dict[str, float] | None:
    """Return an interval."""
    return None if interval is None else interval._asdict()


def _range(seen: tuple[float, float]) -> dict[str, float]:
    """Return the lowest and the highest that was seen."""
    return {"low": seen[0], "high": seen[1]}


def _mix_json(mix: Mix) -> dict[str, Any]:
    """Return what requests look like."""
    return {
        "prompt_tokens": mix.prompt,
        "output_tokens": mix.output,
        "prompt_share_ratio": mix.prompt_share,
        "cached_share_ratio": mix.cached_share,
        "held_kv_tokens": mix.held,
        "requests": mix.requests,
        "since_timestamp_seconds": mix.since,
    }


def _limits_json(limits: Limits) -> dict[str, Any]:
    """Return limits and where they are known from."""
    named = {
        "max_num_seqs": limits.sequences,
        "max_num_batched_tokens": limits.step_tokens,
        "kv_cache_tokens": limits.kv_tokens,
    }
    return {name: {"value": one.value, "source": one.source} for name, one in named.items()}
