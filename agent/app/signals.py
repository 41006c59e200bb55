"""The signals of this host's replicas: which settings count, and where a forecast comes from."""

from typing import Final

from agent.analysis.bottleneck import Targets
from agent.analysis.demand.host import Demands, demands_of
from agent.analysis.engines import EngineAnalysis
from agent.analysis.signals.evidence import Growth
from agent.analysis.signals.follow import HostSignals
from agent.analysis.signals.terms import Terms
from agent.config import Settings

_SOME: Final = 1.0  # tokens a minute below which a demand has no multiples


def signal_terms_of(settings: Settings) -> Terms:
    """Return the thresholds of these settings."""
    told = settings.signals
    return Terms(
        horizon=settings.capacity.horizon,
        scale_out=told.scale_out,
        queue_wait=told.queue_wait,
        scale_in=told.scale_in,
        hysteresis=told.hysteresis,
        scale_out_after=told.scale_out_after,
        scale_in_after=told.scale_in_after,
        kv_full=told.kv_full,
        shed_after=told.shed_after,
        admit_after=told.admit_after,
        stale_after=told.stale_after,
    )


def new_signals(engines: EngineAnalysis, demands: Demands) -> HostSignals:
    """Return what follows the replicas that an analysis knows.

    Args:
        engines: whose conclusions the signals follow from.
        demands: foresee what is asked of each model.
    """

    def foresee(model_name: str) -> Growth | None:
        said = demands.ahead((model_name,))
        if said is None or said.ahead is None:
            return None
        results = {state.replica: state.capacity for state in engines.states()}
        now = demands_of(results).get((model_name,), 0.0)
        if now < _SOME:
            return None
        ahead = said.ahead
        return Growth(ahead.estimate / now, ahead.low / now, ahead.high / now)

    def targets(model_name: str) -> Targets:
        return engines.targets(model_name)  # those of now: a reload gives others

    return HostSignals(engines.watched, targets=targets, foresee=foresee)
