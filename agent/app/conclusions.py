"""Every analysis of a run, as the settings want it, and what they say to those who ask."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.analysis.deaths import Deaths
from agent.analysis.demand.host import Demands
from agent.analysis.engines import EngineAnalysis
from agent.analysis.latency_targets import LatencyTargets
from agent.analysis.learning import Learning
from agent.analysis.peaks import Peaks
from agent.analysis.told_limits import ToldLimits
from agent.analysis.xid import XidErrors
from agent.app.signals import new_signals, signal_terms_of
from agent.app.targets import targets_of
from agent.app.terms import terms_of
from agent.catalog import gpu
from agent.config import Settings
from agent.look import reason
from agent.model import SeriesTable
from agent.pipeline import Analysis, Pipeline


class Conclusions:
    """The analyses of one run. They keep what they have learned when settings change.

    Attributes:
        demands: what is asked of the models, and will be.
    """

    def __init__(self, settings: Settings) -> None:
        self._peaks = Peaks(settings.tick.peak_window)
        self._deaths = Deaths()
        self._engines = EngineAnalysis(targets_of(settings.targets))
        self._latency_targets = LatencyTargets(self._engines.targets)
        terms = terms_of(settings)
        self._told_limits = ToldLimits(terms.limits)
        self._engines.capacities.terms = replace(terms, limits=self._told_limits.of)
        self.demands = Demands(
            lambda: {state.replica: state.capacity for state in self._engines.states()}
        )
        self.demands.horizon = settings.capacity.horizon
        self._signals = new_signals(self._engines, self.demands)
        self._signals.terms = signal_terms_of(settings)

    def use(self, settings: Settings) -> None:
        """Go on with other settings."""
        self._peaks.window = settings.tick.peak_window
        self._engines.targets = targets_of(settings.targets)
        self._latency_targets.use(self._engines.targets)
        terms = terms_of(settings)
        self._told_limits.use(terms.limits)
        self._engines.capacities.terms = replace(terms, limits=self._told_limits.of)
        self.demands.horizon = settings.capacity.horizon
        self._signals.terms = signal_terms_of(settings)

    def pipeline(self, table: SeriesTable) -> Pipeline:
        """Return a pipeline with every analysis."""
        analyses: Sequence[Analysis] = (
            self._peaks,
            XidErrors(gpu.INFO),
            self._deaths,
            self._engines,
            self._latency_targets,
            self.demands,
            self._signals,
        )
        return Pipeline(table, analyses=analyses, told=self._told_limits)

    def as_json(self) -> dict[str, Any]:
        """Return what is concluded about the engines, for `/api/v1/engines`."""
        found: dict[str, Any] = _finite(
            {**self._engines.as_json(), "deaths": self._deaths.as_json()}
        )
        return found

    @property
    def learning(self) -> Learning:
        """What was learned of the engines, to be kept over a restart."""
        return self._engines.learning

    def capacity(self) -> dict[str, Any]:
        """Return what engines carry, what is asked and left of them, for `/api/v1/capacity`."""
        found: dict[str, Any] = _finite(
            {**self._engines.capacity_json(), "demand": self.demands.as_json()}
        )
        return found

    def signals_json(self, time: float) -> dict[str, Any]:
        """Return what autoscalers go by at a moment in Unix seconds, for `/api/v1/signals`."""
        found: dict[str, Any] = _finite(self._signals.as_json(time=time))
        return found

    def about(self, labels: Mapping[str, str]) -> str:
        """Return the verdicts on the engines that an alert is about, one in a line.

        An alert about a GPU is about the engines on it; one about the host is about none.
        """
        try:
            return "\n".join(self._verdicts(labels))
        except Exception as error:  # noqa: BLE001 - an alert goes out without it
            return f"not known: {reason(error)}"

    def _verdicts(self, labels: Mapping[str, str]) -> Iterator[str]:
        """Yield them."""
        instances = self._engines.instances_of(labels)
        for state in self._engines.states():
            replica, verdict = state.replica, state.verdict
            if replica[:2] not in instances:
                continue
            known = {"model_name": replica.model_name, "rank": replica.rank}
            if any(labels.get(name, value) != value for name, value in known.items()):
                continue
            advice = f" → {verdict.suggestion}" if verdict.suggestion else ""
            yield f"{replica.instance_name}: {verdict.cause.value}: {verdict.sentence}{advice}"


def _finite(value: Any) -> Any:
    """Return a value as JSON takes it: what is no finite number is unknown."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {key: _finite(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_finite(inner) for inner in value]
        case _:
            return value


def new_pipeline(table: SeriesTable) -> Pipeline:
    """Return a pipeline with every analysis, as it is without a configuration."""
    return Conclusions(Settings()).pipeline(table)
