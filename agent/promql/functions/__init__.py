"""The functions of PromQL, each one entry of a table of the module it belongs to."""

from collections.abc import Mapping
from typing import Final

from agent.promql.functions import (
    counters,
    dates,
    elementwise,
    histogram,
    over_time,
    relabel,
    special,
    trend,
)
from agent.promql.functions.call import Build

FUNCTIONS: Final[Mapping[str, Build]] = {
    **elementwise.TABLE,
    **counters.TABLE,
    **over_time.TABLE,
    **trend.TABLE,
    **histogram.TABLE,
    **dates.TABLE,
    **relabel.TABLE,
    **special.TABLE,
}
"""Every function that is evaluated, by name."""

EXPERIMENTAL: Final = frozenset(
    {
        "double_exponential_smoothing",
        "mad_over_time",
        "sort_by_label",
        "sort_by_label_desc",
        "ts_of_first_over_time",
        "ts_of_last_over_time",
        "ts_of_max_over_time",
        "ts_of_min_over_time",
    }
)
"""Those that Prometheus itself evaluates only behind a feature flag."""
