"""Every metric that the agent publishes, declared once.

The page, its HELP and TYPE lines, the embedded history and `docs/metrics.md` all come from
here. One module a subject; a new metric is one declaration in its module.
"""

from dataclasses import replace
from types import ModuleType

from agent.catalog import (
    agent,
    alerts,
    capacity,
    cost,
    dcgm,
    demand,
    engine,
    events,
    forecast,
    gpu,
    history,
    host,
    incident,
    latency,
    placement,
    process,
    signals,
    verdict,
)
from agent.model import Metric

SUBJECTS: tuple[ModuleType, ...] = (
    engine,
    gpu,
    dcgm,
    events,
    process,
    placement,
    verdict,
    latency,
    capacity,
    signals,
    cost,
    demand,
    host,
    forecast,
    incident,
    alerts,
    history,
    agent,
)


def metrics_of(subject: ModuleType) -> list[Metric]:
    """Return the metrics that a module of the catalogue declares, in the order written."""
    return [value for value in vars(subject).values() if isinstance(value, Metric)]


def _extreme(metric: Metric, suffix: str, word: str) -> Metric:
    """Return the metric that carries the highest or lowest value of another."""
    return replace(
        metric,
        name=metric.name + suffix,
        help=f"{word} value of {metric.name} over the trailing window (tick.peak_window).",
        unit="",  # the name no longer ends in the unit, as OpenMetrics would have it
        source="analysis",
        peaks=False,
    )


PEAKS: dict[Metric, tuple[Metric, Metric]] = {
    metric: (_extreme(metric, "_max", "Highest"), _extreme(metric, "_min", "Lowest"))
    for subject in SUBJECTS
    for metric in metrics_of(subject)
    if metric.peaks
}

METRICS: dict[str, Metric] = {
    shown.name: shown
    for subject in SUBJECTS
    for metric in metrics_of(subject)
    for shown in (metric, *PEAKS.get(metric, ()))
}
