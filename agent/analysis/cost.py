"""What tokens cost: the price of a replica's GPUs against what it makes of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from agent.analysis.replica_capacity import CapacityResult
from agent.analysis.replicas import GpuKey, Replica
from agent.analysis.terms import Prices
from agent.catalog import cost as catalog
from agent.model import Metric

Sample: TypeAlias = tuple[Metric, tuple[str, ...], float]

_MILLION: Final = 1e6
_MINUTES: Final = 60.0  # of an hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a replica costs; None is not known.

    Attributes:
        per_hour: its GPUs.
        tokens_now: tokens an hour of the last minutes.
        tokens_at_capacity: tokens an hour at the highest load within its targets.
        value_per_hour: what the tokens of the last minutes are worth an hour.
    """

    per_hour: float | None = None
    tokens_now: float | None = None
    tokens_at_capacity: float | None = None
    value_per_hour: float | None = None

    def per_million(self, tokens: float | None) -> float | None:
        """Return the cost of a million tokens at so many an hour; None where there are none."""
        return _over(self.per_hour, tokens, _MILLION)

    def per_unit(self, tokens: float | None) -> float | None:
        """Return the tokens for a unit of money at so many an hour."""
        return _over(tokens, self.per_hour, 1.0)


def _over(value: float | None, by: float | None, factor: float) -> float | None:
    """Return a ratio, None where it is not known or has no meaning."""
    return None if value is None or not by else factor * value / by


def hourly(
    placed: Mapping[Replica, Sequence[GpuKey]], names: Mapping[str, str], prices: Prices
) -> Mapping[Replica, float]:
    """Return what each replica costs an hour, of those of which it is known.

    Args:
        placed: the GPUs of each replica; those on instances of one GPU share that GPU.
        names: of each GPU, by its identifier.
        prices: of GPUs.
    """
    users: dict[str, int] = {}
    for gpus in placed.values():
        for device in {_device(key) for key in gpus}:
            users[device] = users.get(device, 0) + 1
    found: dict[Replica, float] = {}
    for replica, gpus in placed.items():
        devices = {_device(key) for key in gpus}
        each = [(prices.of_gpu(names.get(device, "")), users[device]) for device in devices]
        known = [price / count for price, count in each if price is not None]
        if known and len(known) == len(each):
            found[replica] = sum(known)
    return found


def _device(key: GpuKey) -> str:
    """Return what tells GPUs apart; instances of one have that in common."""
    return key[0]


def cost_of(per_hour: float | None, result: CapacityResult, prices: Prices) -> Cost:
    """Return what a replica costs.

    Args:
        per_hour: its GPUs, None where that is not known.
        result: what it does and can do.
        prices: of tokens.
    """
    now, known = result.throughput, result.capacity.known
    capacity = known.under_targets.tokens_per_minute.estimate if known else result.declared
    value: float | None = None
    dear = (prices.million_input_tokens, prices.million_output_tokens)
    if now is not None and dear != (None, None):
        value = sum((price or 0.0) * tokens for price, tokens in zip(dear, now, strict=True))
        value *= _MINUTES / _MILLION
    return Cost(
        per_hour=per_hour,
        tokens_now=None if now is None else _MINUTES * sum(now),
        tokens_at_capacity=None if capacity is None else _MINUTES * capacity,
        value_per_hour=value,
    )


def samples(cost: Cost, currency: str) -> Iterator[Sample]:
    """Yield metric, further label values and value of all that is known."""
    if cost.per_hour is not None:
        yield catalog.COST, (currency,), cost.per_hour
    for at, tokens in (("now", cost.tokens_now), ("capacity", cost.tokens_at_capacity)):
        million, unit = cost.per_million(tokens), cost.per_unit(tokens)
        if million is not None:
            yield catalog.COST_PER_MILLION, (currency, at), million
        if unit is not None:
            yield catalog.TOKENS_PER_UNIT, (currency, at), unit
    if cost.value_per_hour is not None:
        yield catalog.VALUE, (currency,), cost.value_per_hour


def as_json(cost: Cost, currency: str) -> dict[str, Any]:
    """Return what is known; null is not known."""
    return {
        "currency": currency,
        "cost_per_hour": cost.per_hour,
        "cost_per_million_tokens_now": cost.per_million(cost.tokens_now),
        "cost_per_million_tokens_at_capacity": cost.per_million(cost.tokens_at_capacity),
        "tokens_per_currency_unit_now": cost.per_unit(cost.tokens_now),
        "tokens_per_currency_unit_at_capacity": cost.per_unit(cost.tokens_at_capacity),
        "token_value_per_hour": cost.value_per_hour,
    }
