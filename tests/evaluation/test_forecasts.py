"""The score of forecasts: what counts as a warning, as false, as in time."""

from collections.abc import Sequence
from math import inf, isnan, nan
from pathlib import Path

import pytest
import yaml

from agent.analysis.forecasts.passage import Interval
from agent.config.rule_files import parse_duration
from evaluation.forecast_rules import (
    FILLED,
    FOR,
    KEPT,
    LIKELY,
    RECENT,
    SOON,
    SURE,
    Run,
    firing,
)
from evaluation.forecasts import Score, score

NEAR = Interval(10.0, 60.0, 200.0)
DELAY = round(FOR["kv"])
SHIPPED = yaml.safe_load(
    (Path(__file__).parents[2] / "agent" / "alerts" / "rules" / "forecast.yml").read_text()
)


def run(
    *,
    warned: Sequence[tuple[int, int]] = (),
    chance: float = LIKELY,
    foreseen: dict[str, list[tuple[float, Interval]]] | None = None,
    usage: float = FILLED + 0.1,
    end: float = inf,
    trend: float = 100.0,
    whole: bool = False,
) -> Run:
    """Return an hour in which the cache is exhausted at one time, or never.

    Between the seconds of each pair in `warned` that has the probability `chance`.
    """
    ends: dict[str, list[float]] = {what: [] for what in SOON}
    ends["kv"] = [] if end == inf else [end]
    soon = [0.0] * 3600
    for first, last in warned:
        soon[first - 1 : last] = [chance] * (last - first + 1)
    return Run(
        "x",
        3600.0,
        ends,
        {what: (foreseen or {}).get(what, []) for what in SOON},
        {"kv": end},
        trend,
        [usage] * 3600,
        soon,
        whole=whole,
    )


def test_what_is_scored_are_the_rules_that_are_shipped():
    """A threshold or a time that is changed in the rules alone, or here alone, is noticed."""
    names = {
        "kv": "EngineKvExhaustionSoon",
        "preemption": "EnginePreemptionSoon",
        "device_memory": "GpuMemoryExhaustionSoon",
        "host_memory": "HostMemoryExhaustionSoon",
    }
    rules = {rule["alert"]: rule for group in SHIPPED["groups"] for rule in group["rules"]}
    for what, name in names.items():
        rule = rules[name]
        assert parse_duration(rule.get("for", "0s")) == FOR[what]
        assert parse_duration(rule["keep_firing_for"]) == KEPT[what]
        assert what == "kv" or f'{{bound="estimate"}} < {SOON[what]:g}\n' in f"{rule['expr']}\n"
    soon, usage = (
        f"inferwatch_engine_kv_{name}_ratio" for name in ("exhaustion_probability", "cache_usage")
    )
    recent = f"{usage}[{RECENT // 60}m]"
    assert " ".join(rules[names["kv"]]["expr"].split()) == (
        f"{soon} >= {SURE:g} or {soon} >= {LIKELY:g} and avg_over_time({recent}) > {FILLED:g}"
    )


def test_a_warning_is_what_the_rule_fires_on():
    """Likely, of a cache that was filled that far for a minute; or nearly certain."""
    whole = [float(second) for second in range(500 + DELAY, 521)]
    assert firing(run(warned=[(500, 520)]), "kv") == whole
    assert firing(run(warned=[(500, 520)], usage=FILLED), "kv") == []
    assert firing(run(warned=[(500, 520)], usage=0.0, chance=SURE), "kv") == whole
    assert firing(run(warned=[(500, 520)], chance=LIKELY - 0.01), "kv") == []


def test_preemptions_are_warned_of_where_exhaustion_is_not_foreseen():
    """The rule about preemptions is silent where the other forecast is there."""
    soon = {"preemption": [(500.0, Interval(1.0, 50.0, 99.0))]}
    assert firing(run(foreseen=soon), "preemption") == [500.0]
    assert firing(run(foreseen={**soon, "kv": [(500.0, NEAR)]}), "preemption") == []


def test_memory_is_warned_of_once_it_lasts():
    """The estimate must have been near for as long as the rule waits."""
    near = [(float(second), NEAR) for second in range(500, 540)]
    fired = firing(run(foreseen={"host_memory": near}), "host_memory")
    assert fired[0] == 500.0 + FOR["host_memory"]


def test_warnings_that_the_rule_bridges_are_one():
    """What comes back while the rule is still kept is the same warning, later it is another."""
    kept = round(KEPT["kv"])
    again = [(500, 510), (510 + kept, 530 + kept)]
    assert score(run(warned=again), "kv").alarms == 1
    later = [(500, 510), (600 + kept, 620 + kept)]
    assert score(run(warned=later), "kv").alarms == 2
    assert score(run(warned=again, end=532.0 + kept), "kv").leads == [32.0 + kept - DELAY]


def test_false_alarms_are_told_apart_by_what_the_load_was():
    """One false alarm in a whole day, none beside it: each has its own rate."""
    total = Score()
    total.add(score(run(warned=[(500, 520)], whole=True), "kv"))
    assert isnan(total.false_per_day_of_near_misses)
    total.add(score(run(), "kv"))
    assert total.false_per_quiet_day == pytest.approx(24.0)
    assert total.false_per_day_of_near_misses == 0.0
    assert total.false_per_day == pytest.approx(12.0)


def test_each_run_with_a_forecast_is_counted_by_itself():
    """Of 20 seconds told right before an end and none in another run there is one run of 20."""
    before = [(float(second), Interval(1.0, 30.0, 90.0)) for second in range(460, 480)]
    total = Score()
    total.add(score(run(foreseen={"kv": before}, end=500.0), "kv"))
    total.add(score(run(), "kv"))
    assert total.runs == [(20, 20)]


@pytest.mark.parametrize(("trend", "counts"), [(100.0, True), (480.0, False), (nan, False)])
def test_only_slow_exhaustions_are_asked_of_recall(trend: float, *, counts: bool):
    """What begins less than a minute before, or has no cause, is not a slow exhaustion."""
    found = score(run(warned=[(460 - DELAY, 470)], end=500.0, trend=trend), "kv")
    assert found.leads == ([40.0] if counts else [])
    assert found.false == 0
