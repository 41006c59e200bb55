"""List every metric that the agent can publish, as a table in Markdown."""

import argparse

from agent.catalog import SUBJECTS, metrics_of
from agent.model import Metric


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no argument."""


def run(arguments: argparse.Namespace) -> int:
    """Print the page that is `docs/metrics.md`."""
    del arguments
    print(metrics_page(), end="")
    return 0


def metrics_page() -> str:
    """Return the table of the whole catalogue."""
    lines = [
        "# Metrics",
        "",
        "Made by `make docs` from the catalogue in `agent/catalog`. A value that a source does not",
        "give is absent, never zero. A metric marked with ± is also published with `_max` and",
        "`_min`, its highest and lowest value over the trailing window (`tick.peak_window`).",
    ]
    for subject in SUBJECTS:
        title = subject.__name__.rpartition(".")[2]
        about = (subject.__doc__ or "").strip()
        lines += ["", f"## {title}", "", about, ""]
        lines += ["| metric | type | labels | source | what it says |", "|---|---|---|---|---|"]
        lines += [_row(metric) for metric in metrics_of(subject)]
    return "\n".join(lines) + "\n"


def _row(metric: Metric) -> str:
    """Return the row of one metric."""
    mark = " ±" if metric.peaks else ""
    labels = ", ".join(metric.labels)
    help_text = metric.help.replace("|", "\\|")
    return f"| `{metric.name}`{mark} | {metric.type} | {labels} | {metric.source} | {help_text} |"
