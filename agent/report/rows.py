"""A report as rows: one for each subject and five minutes."""

import csv
import io
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import numpy as np

from agent.report.grid import Column
from agent.report.report import Report, Section
from agent.report.tail import Timed
from agent.report.words import name

_FIRST: Final = ("start", "start_timestamp_seconds", "subject", "instance_name", "model_name")


def table(report: Report) -> str:
    """Return CSV; what is not known is empty.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for place, section in enumerate(report.sections):
        columns = _columns(section)
        if place == 0:
            writer.writerow([*_FIRST, *columns])
        writer.writerows(_rows(section, list(columns.values())))
    return out.getvalue()


def _columns(section: Section) -> dict[str, Column]:
    """Return the numbers by their names, units included."""
    subject, room = section.subject, section.room
    nothing = subject.tokens.five * float("nan")
    p95 = {timed: subject.tails[timed].p95.five for timed in Timed if timed in subject.tails}
    return {
        "tokens_per_minute": subject.tokens.five,
        "prompt_tokens_per_minute": subject.prompt.five,
        "generation_tokens_per_minute": subject.generation.five,
        "cached_prompt_tokens_per_minute": subject.cached,
        "demand_tokens_per_minute": room.demand,
        "capacity_tokens_per_minute": room.targets.estimate,
        "capacity_low_tokens_per_minute": room.targets.low,
        "capacity_high_tokens_per_minute": room.targets.high,
        "stability_limit_tokens_per_minute": room.stability.estimate,
        "requests_per_minute": subject.requests,
        "requests_running": subject.running,
        "requests_waiting": subject.waiting,
        "kv_cache_usage_ratio": subject.kv,
        "kv_cache_usage_peak_ratio": subject.kv_peak,
        **{f"{timed.value}_p95_seconds": p95.get(timed, nothing) for timed in Timed},
    }


def _rows(section: Section, columns: list[Column]) -> Iterator[list[str]]:
    """Yield the rows of one subject."""
    facts = section.facts
    texts = [_safe(name(facts)), _safe(facts["instance_name"]), _safe(facts["model_name"])]
    for place, start in enumerate(section.subject.span.five.starts.tolist()):
        shown = f"{datetime.fromtimestamp(start, UTC):%Y-%m-%dT%H:%M:%SZ}"
        numbers = [_number(float(column[place])) for column in columns]
        yield [shown, f"{start:.0f}", *texts, *numbers]


def _number(value: float) -> str:
    """Return a number with six digits that count; nothing for one that is not known."""
    if math.isnan(value):
        return ""
    return np.format_float_positional(value, precision=6, fractional=False, trim="-")


def _safe(text: str) -> str:
    """Return text that no spreadsheet evaluates."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
