"""What to do, in plain words and with the numbers that it follows from.

The order is that of urgency: too little room now, too little room soon, a limit that costs more
than it must, more than is needed. Where the capacity is not known, only what the verdicts saw is
said.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from agent.catalog.verdict import Cause

FILL: Final = 0.8
"""Share of the lower bound of the capacity that a peak should not exceed: published practice."""

LOW: Final = 0.1
"""Headroom at the peak, as a share, below which replicas are wanted now."""

SOON: Final = 30.0
"""Days ahead for which replicas are wanted by a date."""

_FEW: Final = 0.4  # of what one replica fewer would carry
_OFTEN: Final = 0.02  # share of the time
_ROOMY: Final = 0.6  # of the KV cache
_DAY: Final = 86_400.0


def advice(subject: Mapping[str, Any], *, now: float) -> list[dict[str, Any]]:
    """Return recommendations on a subject of the document, the most urgent first; at least one.

    Args:
        subject: with its load, capacity, headroom, growth and verdicts.
        now: Unix seconds of the end of the window.
    """
    found = [*_replicas(subject, now), *_limits(subject), *_targets(subject)]
    found = found or [*_fewer(subject)]
    return found or [_nothing(subject)]


def _replicas(subject: Mapping[str, Any], now: float) -> Iterator[dict[str, Any]]:
    """Yield that replicas are to be added, now or by a date."""
    head, growth, count = subject["headroom_at_peak"], subject["growth"], subject["replicas"]
    if head is None or head["capacity_low_tokens_per_minute"] <= 0:
        return
    low, peak = head["capacity_low_tokens_per_minute"], head["demand_tokens_per_minute"]
    each = low / count
    wanted = math.ceil(peak / (FILL * each)) - count
    if head["share"] < LOW and wanted > 0:
        done = "asked for" if head["basis"] == "demand" else "served"
        filled = peak / (each * (count + wanted))
        yield _one(
            "add_replicas",
            f"Add {_replica_count(wanted)} now: at the peak {tokens(peak)} tokens a minute were "
            f"{done}, {peak / low:.0%} of what {_replica_count(count)} can carry for sure "
            f"({tokens(low)}); {_replica_count(count + wanted)} would be at {filled:.0%}.",
            replicas=wanted,
            by_timestamp_seconds=now,
        )
        return
    days = (growth or {}).get("days_until_exhausted")
    week = (growth or {}).get("share_per_week")
    if days is None or days["low"] is None or days["low"] > SOON:
        return
    # Enough for four weeks of the same growth after the day it would have run out.
    later = peak * (1 + max(0.0, week["estimate"] if week else 0.0)) ** ((days["low"] + 28) / 7)
    wanted = max(1, math.ceil(later / (FILL * each)) - count)
    by = now + days["low"] * _DAY
    until = "later" if days["estimate"] is None else f"in {days['estimate']:.0f} days"
    yield _one(
        "add_replicas",
        f"Add {_replica_count(wanted)} by {day(by)}: at the present growth the peaks reach the "
        f"capacity {until}, at the earliest in {days['low']:.0f} days.",
        replicas=wanted,
        by_timestamp_seconds=by,
    )


def _limits(subject: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what another limit of the engine would gain."""
    shares = subject["verdicts"]
    load, limits = subject["load"], subject["limits"]
    usage = load["kv_cache_usage_peak_ratio"]
    head = subject["headroom_at_peak"]
    tight = head is not None and head["share"] is not None and head["share"] < 1 - FILL
    binding = subject["capacity"].get("binding") if tight else None
    left = _binds(head["share"]) if tight and head is not None else ""

    def why(cause: Cause, limit: str, words: str) -> str:
        """Return why a limit matters; nothing where it does not."""
        held = shares.get(cause, 0.0)
        if held > _OFTEN:
            return f"{words} in {held:.1%} of the time"
        return left if binding == limit else ""

    seats = why(Cause.SEQUENCE_LIMIT, "sequence_limit", "requests waited for a seat")
    if seats and usage is not None and usage < _ROOMY:
        now = limits.get("max_num_seqs")
        yield _one(
            "raise_sequence_limit",
            f"Raise the sequence limit, max-num-seqs{'' if now is None else f' (now {now:.0f})'}: "
            f"{seats}, while the KV cache was never more than {usage:.0%} full.",
        )
    short = why(Cause.KV_MEMORY, "kv_memory", "requests waited for room in the KV cache")
    if short:
        longest, seen = limits.get("max_model_len_tokens"), limits.get("longest_sequence_tokens")
        said = "" if longest is None else f", {longest:,.0f} tokens allowed"
        said += "" if seen is None else f", the longest seen {seen:,.0f}"
        yield _one(
            "lower_longest_length",
            "Lower the longest length that requests may have (max-model-len, or the clients' "
            f"max_tokens{said}), or give the KV cache more memory: {short}.",
        )
    budget = why(Cause.TOKEN_BUDGET, "token_budget", "prompts waited for room in a step")
    if budget:
        yield _one(
            "raise_token_budget",
            "Raise the tokens of a step, max-num-batched-tokens, as far as the inter-token target "
            f"permits: {budget}.",
        )


def _binds(share: float) -> str:
    """Return how near to the capacity a limit that binds it was reached."""
    if share < 0:
        return f"it binds the capacity, which the peak exceeded by {-share:.0%}"
    return f"it binds the capacity, of which {share:.0%} was left at the peak"


def _targets(subject: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what slows the engine from outside: no replica would cure that."""
    shares = subject["verdicts"]
    for cause, words in (
        (Cause.CO_TENANT, "Move the other tenant of the GPU"),
        (Cause.POWER_THERMAL, "See to power and cooling of the GPU"),
        (Cause.HOST_CPU, "Give the engine's process more CPU"),
        (Cause.STALLED, "Find out why the engine stood still"),
    ):
        share = shares.get(cause, 0.0)
        if share > _OFTEN:
            yield _one(
                f"relieve_{cause.value}", f"{words}: that was the cause in {share:.1%} of the time."
            )


def _fewer(subject: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield that fewer replicas would do."""
    head, count = subject["headroom_at_peak"], subject["replicas"]
    if head is None or count < 2 or not head["capacity_low_tokens_per_minute"] > 0:  # noqa: PLR2004
        return
    peak, each = head["demand_tokens_per_minute"], head["capacity_low_tokens_per_minute"] / count
    enough = max(1, math.ceil(peak / (_FEW * each)))
    if enough < count:
        yield _one(
            "remove_replicas",
            f"{_replica_count(count - enough)} could go: {_replica_count(enough)} would have "
            f"carried the peak of {tokens(peak)} tokens a minute at {peak / (each * enough):.0%} "
            "of what can be carried for sure.",
            replicas=enough - count,
        )


def _nothing(subject: Mapping[str, Any]) -> dict[str, Any]:
    """Return that there is nothing to do, or that it is not known."""
    head = subject["headroom_at_peak"]
    if head is None:
        return _one(
            "unknown",
            "No recommendation: the headroom is not known, because "
            + (
                "the capacity is not."
                if not subject["capacity"]["known"]
                else "the load is not."
            ),
        )  # fmt: skip
    return _one(
        "nothing",
        f"Nothing: at the peak of {tokens(head['demand_tokens_per_minute'])} tokens a minute "
        f"{head['share']:.0%} of the capacity was left.",
    )


def _one(
    action: str, sentence: str, *, replicas: int | None = None,
    by_timestamp_seconds: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return a recommendation."""
    return {
        "action": action,
        "sentence": sentence,
        "replicas": replicas,
        "by_timestamp_seconds": by_timestamp_seconds,
    }


def _replica_count(count: int) -> str:
    """Return a number of replicas for people."""
    return "one replica" if count == 1 else f"{count} replicas"


def tokens(count: float) -> str:
    """Return a number of tokens for people: three digits that count."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(count) >= size:
            scaled = count / (size if size != 1e4 else 1e3)  # noqa: PLR2004
            return f"{scaled:.3g}{unit}" if abs(scaled) < 1000 else f"{scaled:.0f}{unit}"  # noqa: PLR2004
    return f"{count:,.0f}" if abs(count) >= 10 else f"{count:.2g}"  # noqa: PLR2004


def day(time: float) -> str:
    """Return a date, UTC."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}"
