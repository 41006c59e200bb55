"""Which latencies are well, by model, as the settings say it."""

from collections.abc import Callable

from agent.analysis.bottleneck import Targets
from agent.config.settings import Targets as TargetSettings


def targets_of(settings: TargetSettings) -> Callable[[str], Targets]:
    """Return the targets of a model by its name."""
    usual = Targets(
        time_to_first_token=settings.time_to_first_token,
        inter_token_latency=settings.inter_token_latency,
    )
    known = {
        model.model_name: Targets(
            time_to_first_token=model.time_to_first_token or usual.time_to_first_token,
            inter_token_latency=model.inter_token_latency or usual.inter_token_latency,
        )
        for model in settings.models
    }
    return lambda model: known.get(model, usual)
