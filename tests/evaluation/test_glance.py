"""The table of what was asked and what was reached says both as they are."""

from collections.abc import Mapping
from math import nan

import pytest

from evaluation import glance

ALL_HELD = {
    "verdict_accuracy": 0.992,
    "kv_warning_recall": 0.9,
    "false_alarms_per_day": 1.0,
    "false_alarms_per_usual_day": 0.0,
    "forecast_coverage": 0.95,
    "capacity_median_error": 0.05,
    "capacity_p90_error": 0.1,
    "capacity_interval_coverage": 0.85,
    "binding_limit_accuracy": 0.9,
    "capacity_median_error_after_shift": 0.0499,
}


def rows(figures: Mapping[str, float | list[float]]) -> list[list[str]]:
    """Return the cells of the table, row by row, without its head."""
    return [line.strip("| ").split(" | ") for line in glance.table(figures).splitlines()[2:]]


def test_a_figure_at_its_bound_holds() -> None:
    """What is asked is said with "at least" and "at most": the bound itself is enough."""
    assert {row[-1] for row in rows(ALL_HELD)} == {"yes"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("verdict_accuracy", 0.949),
        ("kv_warning_recall", 0.89),
        ("false_alarms_per_day", 1.1),
        ("forecast_coverage", 0.96),
        ("forecast_coverage", 0.84),
        ("capacity_p90_error", 0.101),
        ("capacity_p90_error", nan),
    ],
)
def test_a_figure_beyond_its_bound_does_not_hold(key: str, value: float) -> None:
    """On either side of what is asked; and a figure that could not be made holds nothing."""
    found = rows({**ALL_HELD, key: value})
    wrong = [
        target.key for target, row in zip(glance.TARGETS, found, strict=True) if row[-1] != "yes"
    ]
    assert wrong == [key]


def test_how_sure_a_figure_is_stands_beside_it() -> None:
    """A share of few cases comes with its interval."""
    found = rows({**ALL_HELD, "kv_warning_recall_between": [0.826, 0.945]})
    assert found[1][1:3] == ["at least 90%", "90% (82.6% to 94.5%)"]


def test_what_is_between_two_bounds_says_both() -> None:
    """An interval may hold too often as well: then it is wider than it says."""
    assert rows(ALL_HELD)[4][1] == "85% to 95%"
