"""The scores of forecasts as people and programs read them, each with what so few can tell."""

from collections.abc import Mapping
from math import isnan
from statistics import median
from typing import Any, Final

from evaluation import intervals
from evaluation.forecasts import LEAD, Score
from evaluation.intervals import Bounds

_DAY: Final = 86_400.0


def table(scores: Mapping[str, Score]) -> str:
    """Return the scores as Markdown; in brackets the 95 % bounds of what was counted."""
    lines = [
        (
            "| what runs out | exhaustions | warned ≥ 30 s ahead | median lead "
            "| false alarms a day | of usual load | of near misses | days | usual "
            "| forecasts | inside | too early | too late |"
        ),
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for what, found in scores.items():
        many = found.inside + found.early + found.late
        cells = (
            what.replace("_", " "),
            f"{len(found.leads)}",
            _share(found.recall, recall(found)),
            f"{median(found.leads):.0f} s" if found.leads else "",
            _rate(found.false_per_day, false_alarms(found)),
            _rate(found.false_per_quiet_day, of_usual_load(found)),
            _rate(found.false_per_day_of_near_misses, of_near_misses(found)),
            f"{found.seconds / _DAY:.2f}",
            f"{found.whole_seconds / _DAY:.0f}",
            f"{many}",
            _share(found.coverage, intervals.share_of_runs(found.runs)),
            f"{found.early / many:.0%}" if many else "",
            f"{found.late / many:.0%}" if many else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def figures(scores: Mapping[str, Score]) -> dict[str, dict[str, Any]]:
    """Return the scores as JSON takes them, the 95 % bounds of each as `…_between`."""
    return {
        what: {
            "recall": found.recall,
            "recall_between": recall(found),
            "exhaustions": len(found.leads),
            "false_alarms_per_day": found.false_per_day,
            "false_alarms_per_day_between": false_alarms(found),
            "false_alarms_per_usual_day": found.false_per_quiet_day,
            "false_alarms_per_usual_day_between": of_usual_load(found),
            "false_alarms_per_day_of_near_misses": found.false_per_day_of_near_misses,
            "false_alarms_per_day_of_near_misses_between": of_near_misses(found),
            "coverage": found.coverage,
            "coverage_between": intervals.share_of_runs(found.runs),
            "days": found.seconds / _DAY,
            "usual_days": found.whole_seconds / _DAY,
        }
        for what, found in scores.items()
    }


def recall(found: Score) -> Bounds:
    """Return the bounds of the share of exhaustions that were warned of in time."""
    return intervals.share(sum(lead >= LEAD for lead in found.leads), len(found.leads))


def false_alarms(found: Score) -> Bounds:
    """Return the bounds of the false alarms a day."""
    return intervals.rate(found.false, found.seconds / _DAY)


def of_usual_load(found: Score) -> Bounds:
    """Return those of whole days of usual load."""
    return intervals.rate(found.whole_false, found.whole_seconds / _DAY)


def of_near_misses(found: Score) -> Bounds:
    """Return those of all else."""
    seconds = found.seconds - found.whole_seconds
    return intervals.rate(found.false - found.whole_false, seconds / _DAY)


def _share(value: float, bounds: Bounds) -> str:
    """Return a share as people read it, nothing for NaN."""
    low, high = bounds
    return "" if isnan(value) else f"{value:.0%} ({low:.0%} to {high:.0%})"


def _rate(value: float, bounds: Bounds) -> str:
    """Return a rate as people read it, nothing for NaN."""
    low, high = bounds
    return "" if isnan(value) else f"{value:.1f} ({low:.1f} to {high:.1f})"
