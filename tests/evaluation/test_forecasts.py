"""The score of forecasts: what counts as a warning, as false, as in time."""

from math import inf, isnan, nan

import pytest

from agent.analysis.forecasts.passage import Interval
from evaluation.forecasts import FILLED, SOON, Run, Score, firing, score

NEAR = Interval(10.0, 60.0, 200.0)


def run(
    foreseen: dict[str, list[tuple[float, Interval]]],
    *,
    usage: float = FILLED + 0.1,
    end: float = inf,
    trend: float = 100.0,
    whole: bool = False,
) -> Run:
    """Return an hour in which the cache is exhausted at one time, or never."""
    ends: dict[str, list[float]] = {what: [] for what in SOON}
    ends["kv"] = [] if end == inf else [end]
    return Run(
        "x",
        3600.0,
        ends,
        {what: foreseen.get(what, []) for what in SOON},
        {"kv": end},
        trend,
        [usage] * 3600,
        whole=whole,
    )


def test_a_warning_is_what_the_rule_fires_on():
    """Near, and of a cache that was filled that far; of preemptions only before exhaustion."""
    near = {"kv": [(500.0, NEAR)], "preemption": [(500.0, Interval(1.0, 50.0, 99.0))]}
    assert firing(run(near), "kv") == [500.0]
    assert firing(run(near, usage=FILLED), "kv") == []
    assert firing(run({"kv": [(500.0, Interval(1.0, 400.0, inf))]}), "kv") == []
    assert firing(run(near), "preemption") == []
    assert firing(run({"preemption": near["preemption"]}), "preemption") == [500.0]


def test_false_alarms_are_told_apart_by_what_the_load_was():
    """One false alarm in a whole day, none beside it: each has its own rate."""
    total = Score()
    total.add(score(run({"kv": [(500.0, NEAR)]}, whole=True), "kv"))
    assert isnan(total.false_per_day_of_near_misses)
    total.add(score(run({}), "kv"))
    assert total.false_per_quiet_day == pytest.approx(24.0)
    assert total.false_per_day_of_near_misses == 0.0
    assert total.false_per_day == pytest.approx(12.0)


@pytest.mark.parametrize(("trend", "counts"), [(100.0, True), (480.0, False), (nan, False)])
def test_only_slow_exhaustions_are_asked_of_recall(trend: float, *, counts: bool):
    """What begins less than a minute before, or has no cause, is not a slow exhaustion."""
    found = score(run({"kv": [(460.0, NEAR)]}, end=500.0, trend=trend), "kv")
    assert found.leads == ([40.0] if counts else [])
    assert found.false == 0
