"""What a window of time has cost, by what the agent reckoned with the configured prices then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.catalog import cost as catalog
from agent.model import Metric
from agent.report.answers import Answers
from agent.report.grid import Column, Grid
from agent.report.scope import Choice, Key, by_replica
from agent.report.subject import Subject
from agent.store.five import Part

_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Price:
    """Money an hour of a replica in each window; NaN where it is not known.

    Attributes:
        currency: as the configuration names it.
        hourly: what its GPUs cost.
        value: what its tokens were worth.
    """

    currency: str
    hourly: Column
    value: Column | None


def read_prices(answers: Answers, choice: Choice, grid: Grid) -> dict[Key, Price]:
    """Return the price of each replica that has one; the last currency, if it was changed."""
    worth = {key: one for key, _currency, one in _read(answers, choice, grid, catalog.VALUE)}
    return {
        key: Price(currency, hourly, worth.get(key))
        for key, currency, hourly in _read(answers, choice, grid, catalog.COST)
    }


def _read(
    answers: Answers, choice: Choice, grid: Grid, metric: Metric
) -> Sequence[tuple[Key, str, Column]]:
    """Return replica, currency and amount an hour."""
    asked = answers.ask(choice.selector(metric.name), grid, Part.MEAN)
    found = [(key, one.labels.get("currency", ""), one.values) for key, one in by_replica(asked)]
    return [one for one in found if not np.isnan(one[2]).all()]


def cost(
    subject: Subject, prices: Mapping[Key, Price], capacity: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return what a subject has cost; None where the price of a replica is not known."""
    parts = [prices.get(one.key) for one in subject.replicas]
    priced = [one for one in parts if one is not None]
    if len(priced) < len(parts) or len({one.currency for one in priced}) != 1:
        return None
    step = subject.span.five.step
    spent = sum(float(np.nansum(one.hourly)) for one in priced) * step / _HOUR
    hourly = sum(float(np.nanmean(one.hourly)) for one in priced)
    # Tokens and money of the same windows, so that a gap in one does not look like a bargain.
    paid = ~np.isnan(np.stack([one.hourly for one in priced])).any(axis=0)
    both = paid & ~np.isnan(subject.tokens.five)
    tokens = float(subject.tokens.five[both].sum()) * step / 60.0
    money = sum(float(one.hourly[both].sum()) for one in priced) * step / _HOUR
    able = (capacity.get("tokens_per_minute") or {}).get("estimate")
    worth = [one.value for one in priced if one.value is not None]
    return {
        "currency": priced[0].currency,
        "spent": spent,
        "per_hour": hourly,
        "per_million_tokens": money / tokens * 1e6 if tokens else None,
        "per_million_tokens_at_capacity": hourly / (able * 60.0) * 1e6 if able else None,
        "tokens_per_unit": tokens / money if money else None,
        "value_of_tokens": (
            sum(float(np.nansum(one)) for one in worth) * step / _HOUR
            if len(worth) == len(priced)
            else None
        ),
    }
