"""The settings of capacity and cost: what no page of an engine and no driver can tell."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from agent.config.values import Amount, Count, Duration, Name, Text

Money = Annotated[float, Amount()]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """Limits that an engine was started with, where neither its page nor its command line shows.

    Of one instance, of a model, or of all engines; that of the instance counts first.
    """

    instance: Annotated[str, Name()] | None = None
    model_name: Annotated[str, Text()] | None = None
    max_num_seqs: Annotated[int, Count(maximum=10**8)] | None = None
    max_num_batched_tokens: Annotated[int, Count(maximum=10**8)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What an instance, or each replica of a model, is said to carry until it is learned."""

    instance: Annotated[str, Name()] | None = None
    model_name: Annotated[str, Text()] | None = None
    tokens_per_minute: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What is known beforehand of the load that engines carry.

    `horizon`: how far ahead demand is foreseen: the start of a replica.
    """

    horizon: Annotated[float, Duration(60.0, 3600.0)] = 300.0
    declared: tuple[Declared, ...] = ()
    limits: tuple[EngineLimits, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrices:
    """What a million tokens are worth, to hold against what they cost."""

    input: Money | None = None
    output: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Prices, all in one currency. `gpu_hour`: of any GPU; `gpus`: by a part of the GPU's name."""

    currency: Annotated[str, Text()] = "USD"
    gpu_hour: Money | None = None
    gpus: Mapping[Annotated[str, Text()], Money] = field(default_factory=dict)
    monthly_budget: Money | None = None
    million_tokens: TokenPrices = field(default_factory=TokenPrices)
