"""The latency targets of each model, as series that rules compare with.

Rules count in the engine's own histograms, which know only their own bounds: the smallest bound
that does not fail what meets a target stands for it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from agent.analysis.bottleneck import Targets
from agent.catalog import engine
from agent.catalog import latency as catalog
from agent.model import EMPTY_READING, Frame, Reading

_TIMED: Final = {
    engine.TIME_TO_FIRST_TOKEN: "time_to_first_token",
    engine.INTER_TOKEN_LATENCY: "inter_token_latency",
}
_MODEL: Final = 3
"""Labels by which a model at an instance is known: engine, instance name, model name."""


class LatencyTargets:
    """Says the targets of the models that are served.

    Args:
        targets: of a model, by its name.
    """

    def __init__(self, targets: Callable[[str], Targets]) -> None:
        self._targets = targets
        self._ids: Sequence[int] | None = None
        self._reading = EMPTY_READING

    def use(self, targets: Callable[[str], Targets]) -> None:
        """Go on with other targets."""
        self._targets = targets
        self._ids = None

    def observe(self, frame: Frame) -> Reading:
        """Return the targets; they change when engines, their bounds or the settings do."""
        if frame.ids is not self._ids:
            self._ids = frame.ids
            said = dict(self._said(frame))
            self._reading = Reading([*said], [*said.values()])
        return self._reading

    def _said(self, frame: Frame) -> Iterator[tuple[int, float]]:
        """Yield the series and the target of each model and latency."""
        table = frame.table
        models: dict[tuple[str, ...], None] = {}
        bounds: dict[tuple[tuple[str, ...], str], dict[float, str]] = {}
        for series in map(table.__getitem__, frame.ids):
            whose = series.labels[:_MODEL]
            if series.metric is engine.REQUESTS_RUNNING:
                models[whose] = None
            elif series.metric in _TIMED and series.le:
                known = bounds.setdefault((whose, _TIMED[series.metric]), {})
                known[_number(series.le)] = series.le
        for whose in models:
            targets = self._targets(whose[-1])
            for slo in _TIMED.values():
                target = float(getattr(targets, slo))
                bound = standing_for(target, bounds.get((whose, slo), {}))
                yield table.intern(catalog.LATENCY_TARGET, (*whose, slo, bound)), target


def standing_for(target: float, bounds: dict[float, str]) -> str:
    """Return the bound that stands for a target, as the page of the engine has it.

    Args:
        target: seconds.
        bounds: the bounds of a histogram, as numbers and as texts.

    Returns:
        The bound without `.0` at its end, which some pages write and others do not; nothing where
        there is no histogram.
    """
    met = [bound for bound in bounds if bound >= target]
    return bounds[min(met)].removesuffix(".0") if met else ""


def _number(le: str) -> float:
    """Return a bound; NaN, which meets nothing, where an engine wrote something else there."""
    try:
        return float(le)
    except ValueError:
        return math.nan
