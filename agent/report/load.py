"""What was carried and how fast: the load, the latencies against their targets, the verdicts."""

from typing import Any

import numpy as np

from agent.analysis.bottleneck import Targets
from agent.report.grid import Column
from agent.report.scope import Fine
from agent.report.subject import Subject
from agent.report.tail import TAIL, Tail, Timed


def load(subject: Subject) -> dict[str, Any]:
    """Return the load, in tokens a minute; what is not known is None."""
    tokens = subject.cells(subject.tokens)
    peak = tokens.peak()
    prompt, generated = _total(subject, subject.prompt), _total(subject, subject.generation)
    cached = _sum(subject, subject.cached)
    requests = _sum(subject, subject.requests)
    return {
        "known_seconds": tokens.known,
        "known_share": tokens.known / (subject.span.five.step * subject.span.five.count),
        "peak": None if peak is None else _peak(subject, *peak),
        "p95_tokens_per_minute": tokens.quantile(TAIL),
        "mean_tokens_per_minute": tokens.mean(),
        "prompt": _phase(subject, subject.prompt),
        "generation": _phase(subject, subject.generation),
        "prompt_tokens": prompt,
        "generation_tokens": generated,
        "prompt_to_generation_ratio": _ratio(prompt, generated),
        "cached_prompt_share": _ratio(cached, _sum(subject, subject.prompt.five)),
        "requests": requests,
        "kv_cache_usage_peak_ratio": _highest(subject.kv_peak),
        "requests_running_peak": _highest(subject.running),
        "requests_waiting_peak": _highest(subject.waiting),
    }


def _peak(subject: Subject, value: float, start: float, length: float) -> dict[str, Any]:
    """Return the highest load with what it was made of."""
    return {
        "tokens_per_minute": value,
        "prompt_tokens_per_minute": _during(subject, subject.prompt, start, length),
        "generation_tokens_per_minute": _during(subject, subject.generation, start, length),
        "start_timestamp_seconds": start,
        "length_seconds": length,
    }


def _during(subject: Subject, fine: Fine, start: float, length: float) -> float | None:
    """Return a value in the cell that begins at a time."""
    grid = subject.span.five
    column = fine.five
    if length < grid.step:
        grid, column = subject.span.minutes, fine.minute
    return known(float(column[round((start - grid.start) / grid.step)]))


def _phase(subject: Subject, fine: Fine) -> dict[str, Any]:
    """Return peak, 95th percentile and mean of prompts or of what is generated."""
    several = subject.cells(fine)
    peak = several.peak()
    return {
        "peak_tokens_per_minute": None if peak is None else peak[0],
        "p95_tokens_per_minute": several.quantile(TAIL),
        "mean_tokens_per_minute": several.mean(),
    }


def _total(subject: Subject, fine: Fine) -> float | None:
    """Return the tokens of all cells that are known."""
    several = subject.cells(fine)
    return None if several.empty else float(several.values @ several.widths) / 60.0


def _sum(subject: Subject, per_minute: Column) -> float | None:
    """Return the sum over the windows that are known."""
    if np.isnan(per_minute).all():
        return None
    return float(np.nansum(per_minute)) * subject.span.five.step / 60.0


def _highest(column: Column) -> float | None:
    """Return the highest value that is known."""
    return None if np.isnan(column).all() else float(np.nanmax(column))


def _ratio(above: float | None, below: float | None) -> float | None:
    """Return a quotient; None where it has no value."""
    return None if above is None or not below else above / below


def known(value: float) -> float | None:
    """Return a value; None for NaN."""
    return None if np.isnan(value) else value


def latencies(subject: Subject, targets: Targets) -> dict[str, Any]:
    """Return each latency against its target; those of which nothing is known are left out."""
    limits = {
        Timed.TIME_TO_FIRST_TOKEN: targets.time_to_first_token,
        Timed.INTER_TOKEN: targets.inter_token_latency,
        Timed.TIME_PER_OUTPUT_TOKEN: targets.inter_token_latency,
    }
    return {
        timed.value: _against(subject, tail, limits[timed]) for timed, tail in subject.tails.items()
    }


def _against(subject: Subject, tail: Tail, limit: float) -> dict[str, Any]:
    """Return a latency against its target, over time and over observations."""
    several = subject.cells(tail.p95)
    p95, count = tail.overall()
    return {
        "target_seconds": limit,
        "p95_seconds": p95,
        "observations": count,
        "share_of_observations_over": tail.share_over(limit),
        "share_of_time_over": several.share_over(limit),
        "known_seconds": several.known,
    }
