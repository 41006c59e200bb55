"""What is reported of forecasts: each share and rate with the bounds of what so few can tell."""

import json

import pytest

from evaluation import intervals
from evaluation.__main__ import _finite
from evaluation.forecast_report import figures, table
from evaluation.forecasts import Score

DAY = 86_400.0
FOUND = Score(
    leads=[120.0] * 15 + [0.0] * 4,
    alarms=30,
    false=8,
    seconds=3.0 * DAY,
    whole_false=3,
    whole_seconds=2.0 * DAY,
    inside=90,
    early=8,
    late=2,
    runs=[(50, 50), (40, 50)],
)


def test_shares_and_rates_have_their_bounds_beside_them():
    """15 of 19 is anything from 57 to 91 %, three in two days from 0.3 to 4.4 a day."""
    header, _rule, row = table({"host_memory": FOUND}).splitlines()
    cells = dict(zip(header.split(" | "), row.split(" | "), strict=True))
    assert row.startswith("| host memory | 19 ")
    assert cells["warned ≥ 30 s ahead"] == "79% (57% to 91%)"
    assert cells["false alarms a day"] == "2.7 (1.2 to 5.3)"
    assert cells["of usual load"] == "1.5 (0.3 to 4.4)"
    assert cells["of near misses"] == "5.0 (1.6 to 11.7)"
    assert (cells["days"], cells["usual"]) == ("3.00", "2")
    low, high = intervals.share_of_runs(FOUND.runs)
    assert cells["inside"] == f"90% ({low:.0%} to {high:.0%})"


def test_what_there_was_none_of_is_left_empty():
    """Without exhaustion, forecast or whole day nothing is said of them."""
    row = table({"kv": Score(seconds=DAY)}).splitlines()[-1]
    assert (
        row == "| kv | 0 |  |  | 0.0 (0.0 to 3.7) |  | 0.0 (0.0 to 3.7) | 1.00 | 0 | 0 |  |  |  |"
    )


def test_programs_are_told_the_same():
    """Each figure has its bounds, and what is no number is null."""
    made = figures({"kv": FOUND, "preemption": Score()})
    assert made["kv"]["recall"] == pytest.approx(15 / 19)
    assert made["kv"]["recall_between"] == intervals.share(15, 19)
    assert made["kv"]["false_alarms_per_usual_day_between"] == intervals.rate(3, 2.0)
    again = json.loads(json.dumps(_finite(made), allow_nan=False))
    assert again["preemption"]["recall_between"] == [None, None]
    assert again["kv"]["usual_days"] == 2.0


def test_scores_that_are_added_keep_their_runs():
    """The bounds of two scores together are those of all runs."""
    total = Score()
    total.add(FOUND)
    total.add(FOUND)
    assert total.runs == FOUND.runs * 2
