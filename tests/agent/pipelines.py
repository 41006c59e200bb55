"""Pipelines, looks and what their frames show, for the tests of the pipeline."""

from agent.catalog import PEAKS
from agent.model import (
    Frame,
    Look,
    Metric,
    Reading,
    SeriesTable,
    SourceSpec,
)
from agent.pipeline import Pipeline
from tests.fakes.samples import samples

METRIC: Metric = next(metric for metric in PEAKS if metric.labels)


def series_of(table: SeriesTable, name: str) -> int:
    """Return a series of the metric with one label value."""
    return table.intern(METRIC, (name, *[""] * (len(METRIC.labels) - 1)))


def key_of(name: str) -> str:
    """Return how `samples` names such a series."""
    return f'{METRIC.name.removeprefix("inferwatch_")}{{{METRIC.labels[0]}="{name}"}}'


def read(table: SeriesTable, source: str, **values: float) -> Look:
    """Return a look that succeeded with these values."""
    ids = [series_of(table, name) for name in values]
    return Look(source=source, duration=0.1, reading=Reading(ids, list(values.values())))


def pipeline_of(*names: str, stale_after: float = 10.0) -> Pipeline:
    """Return a pipeline with these sources."""
    pipeline = Pipeline(SeriesTable())
    for name in names:
        pipeline.add_source(SourceSpec(name=name, stale_after=stale_after))
    return pipeline


def shown_by(frame: Frame) -> dict[str, float]:
    """Return the samples of a frame."""
    return samples(frame.table, frame)
