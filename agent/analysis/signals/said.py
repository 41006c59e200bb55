"""How the signals are said: samples and JSON."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from agent.analysis.signals.evidence import Evidence, Timed
from agent.analysis.signals.replica import Signals
from agent.analysis.signals.terms import Terms
from agent.catalog import signals as catalog
from agent.model import Metric

Sample: TypeAlias = tuple[Metric, tuple[str, ...], float]

SCHEMA: Final = "inferwatch.signals/1"
"""Name and version of the JSON; docs/signals.md describes it."""

_BOUNDS: Final = ("low", "estimate", "high")


def samples(found: Signals) -> Iterator[Sample]:
    """Yield metric, further label values and value of all that is known."""
    load = found.evidence.load
    if load is not None:
        yield catalog.UTILIZATION, (), load.value
        for bound, value in _predicted(found.evidence).items():
            yield catalog.PREDICTED_UTILIZATION, (bound,), value
    if found.removal is not None:
        yield catalog.SAFE_TO_REMOVE, (), float(found.removal.safe)
    if found.advice is not None:
        for one in catalog.Admit:
            yield catalog.ADMIT, (one.value,), float(one is found.advice.admit)
    if found.scale is not None:
        yield catalog.DESIRED_CHANGE, (), float(found.scale.change)


def _predicted(evidence: Evidence) -> Mapping[str, float]:
    """Return the load within the horizon by bound, nothing where it is not foreseen."""
    load, growth = evidence.load, evidence.growth
    if load is None or growth is None:
        return {}
    return {bound: load.value * getattr(growth, bound) for bound in _BOUNDS}


def as_json(found: Signals, terms: Terms, *, time: float) -> dict[str, Any] | None:
    """Return the signals of a replica, None where none is young enough.

    Args:
        found: as they were worked out last.
        terms: the thresholds.
        time: Unix seconds of now.
    """
    since = time - found.evidence.time
    if since > terms.stale_after:
        return None
    known = {
        **_numbers(found.evidence, terms, time=time),
        "safe_to_remove": _why(found.removal and found.removal.safe, found.removal, since),
        "admit": _why(found.advice and found.advice.admit.value, found.advice, since),
        "desired_change": _why(found.scale and found.scale.change, found.scale, since),
    }
    if all(value is None for value in known.values()):
        return None
    return {**found.replica._asdict(), **known}


def _numbers(evidence: Evidence, terms: Terms, *, time: float) -> dict[str, Any]:
    """Return what is measured and reckoned, each with its age."""

    def aged(known: Timed | None) -> dict[str, float] | None:
        if known is None or time - known.time > terms.stale_after:
            return None
        return {"value": known.value, "age_seconds": max(0.0, time - known.time)}

    load, predicted = aged(evidence.load), _predicted(evidence)
    return {
        "demand_tokens_per_minute": aged(evidence.demand),
        "capacity_tokens_per_minute": aged(evidence.carries),
        "utilization_ratio": load,
        "predicted_utilization_ratio": {**predicted, "age_seconds": load["age_seconds"]}
        if load and predicted
        else None,
        "queue_requests": aged(evidence.queue),
        "queue_wait_p95_seconds": aged(evidence.queue_wait),
        "kv_cache_usage_ratio": aged(evidence.kv),
    }


def _why(value: object, told: Any, age: float) -> dict[str, Any] | None:
    """Return a conclusion with its reason and age, None where there is none."""
    if told is None:
        return None
    return {"value": value, "reason": told.reason, "age_seconds": max(0.0, age)}
