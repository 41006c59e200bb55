"""What settings say of capacity and cost, as the analysis asks for it."""

from agent.analysis.capacity.estimate import Limit, Limits
from agent.analysis.replicas import Replica
from agent.analysis.terms import Prices, Terms
from agent.config import Settings
from agent.config.planning import Cost, EngineLimits


def terms_of(settings: Settings) -> Terms:
    """Return the terms of these settings."""
    told = settings.capacity

    def limits(replica: Replica) -> Limits:
        return limits_for(told.limits, replica)

    def declared(replica: Replica) -> float | None:
        fitting = [one for one in told.declared if _is_about(one.instance, one.model_name, replica)]
        best = min(fitting, key=lambda one: one.instance is None, default=None)
        return None if best is None else best.tokens_per_minute

    return Terms(
        criterion=settings.targets.inter_token.value,
        limits=limits,
        declared=declared,
        prices=_prices(settings.cost),
    )


def limits_for(told: tuple[EngineLimits, ...], replica: Replica) -> Limits:
    """Return the limits of a replica: of its instance, else of its model, else of all."""
    fitting = [one for one in told if _is_about(one.instance, one.model_name, replica)]
    fitting.sort(key=lambda one: (one.instance is None, one.model_name is None))
    seqs = next((one.max_num_seqs for one in fitting if one.max_num_seqs), None)
    tokens = next(
        (one.max_num_batched_tokens for one in fitting if one.max_num_batched_tokens), None
    )
    return Limits(sequences=_told(seqs), step_tokens=_told(tokens))


def _told(value: int | None) -> Limit:
    """Return a limit that somebody wrote down."""
    return Limit() if value is None else Limit(float(value), "file")


def _is_about(instance: str | None, model_name: str | None, replica: Replica) -> bool:
    """Return whether what is said of an instance or a model holds for a replica."""
    return instance in (None, replica.instance_name) and model_name in (None, replica.model_name)


def _prices(cost: Cost) -> Prices:
    """Return the prices."""
    return Prices(
        currency=cost.currency,
        gpu_hour=cost.gpu_hour,
        gpus=cost.gpus,
        monthly_budget=cost.monthly_budget,
        million_input_tokens=cost.million_tokens.input,
        million_output_tokens=cost.million_tokens.output,
    )
