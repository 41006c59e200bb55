"""What the configuration says of capacity and cost; nothing of it can be seen on a page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.analysis.capacity.estimate import Criterion, Limits
from agent.analysis.replicas import Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What things cost, in one currency.

    Attributes:
        currency: its name, for people and labels.
        gpu_hour: of a GPU, for an hour; None where only some have a price.
        gpus: the same by name of the GPU, or by a part of it; the longest that fits counts.
        monthly_budget: for all GPUs of the host, None without one.
        million_input_tokens: what a million prompt tokens are worth, None if nobody says.
        million_output_tokens: likewise generated ones.
    """

    currency: str = "USD"
    gpu_hour: float | None = None
    gpus: Mapping[str, float] = field(default_factory=dict)
    monthly_budget: float | None = None
    million_input_tokens: float | None = None
    million_output_tokens: float | None = None

    def of_gpu(self, name: str) -> float | None:
        """Return what a GPU of this name costs an hour, None where nobody says."""
        fitting = [part for part in self.gpus if part.lower() in name.lower()]
        return self.gpus[max(fitting, key=len)] if fitting else self.gpu_hour


def _no_limits(_replica: Replica) -> Limits:
    """Return that nothing was told."""
    return Limits()


def _undeclared(_replica: Replica) -> None:
    """Return that nothing was declared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """All of it.

    Attributes:
        criterion: what the target between tokens is about.
        limits: of a replica; those that are told count before what its engine says.
        declared: tokens a minute that a replica is said to carry, None where nobody says.
        prices: what things cost.
    """

    criterion: Criterion = "request"
    limits: Callable[[Replica], Limits] = _no_limits
    declared: Callable[[Replica], float | None] = _undeclared
    prices: Prices = field(default_factory=Prices)
