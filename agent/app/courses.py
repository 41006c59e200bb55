"""What memory holds of the last minutes, for the small charts of the page."""

from collections.abc import Mapping, Sequence

from agent.app.judging import Judging
from agent.model import Metric
from exporters.web import spark
from exporters.web.seen import Course


def courses(judging: Judging, time: float) -> Mapping[Metric, Sequence[Course]]:
    """Return the courses that are drawn.

    Args:
        judging: has the history.
        time: Unix seconds at which they end.
    """
    return {
        metric: [
            Course(labels=dict(found.labels), times=found.times, values=found.values)
            for found in judging.remembered(metric.name, time - spark.SPAN, time)
        ]
        for metric in spark.METRICS
    }
