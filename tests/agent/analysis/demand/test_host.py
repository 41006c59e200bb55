"""The demands of a host: by model and together, once a minute."""

from collections.abc import Mapping

import numpy as np
import pytest

from agent.analysis.asked import Demand
from agent.analysis.capacity.estimate import Capacity
from agent.analysis.demand.forecaster import DemandForecaster
from agent.analysis.demand.host import Demands, demands_of, rooms_of
from agent.analysis.demand.said import HOST
from agent.analysis.demand.week import BUCKET
from agent.analysis.replica_capacity import CapacityResult
from agent.analysis.replicas import Replica
from agent.model import Frame, Reading, SeriesTable
from tests.agent.analysis.capacities import known
from tests.agent.analysis.demand.weeks import BEGIN, office, scattered

A = Replica("vllm", "a", "big", "0")
B = Replica("vllm", "b", "big", "0")
C = Replica("vllm", "c", "small", "0")
START = BEGIN * BUCKET


def asked(tokens: float | None, *, carries: float | None = None) -> CapacityResult:
    """Return a replica of which so many tokens a minute are asked."""
    demand = Demand()
    if tokens is not None:
        demand = Demand(prompt_tokens_per_minute=tokens, generation_tokens_per_minute=0.0)
    capacity = Capacity() if carries is None else Capacity(known=known(carries))
    return CapacityResult(time=START, demand=demand, capacity=capacity)


class Run:
    """A host whose replicas say what is asked of them."""

    def __init__(self) -> None:
        self.table = SeriesTable()
        self.results: dict[Replica, CapacityResult] = {A: asked(100.0), C: asked(10.0)}
        self.demands = Demands(lambda: self.results)
        self.time = START

    def minutes(self, many: int, *, every: float = 20.0) -> Reading:
        """Let so many minutes pass; return what is said at the end."""
        reading = self.demands.observe(Frame(self.time, self.table, [], []))
        for _ in range(round(many * 60.0 / every)):
            self.time += every
            self.results = {
                replica: CapacityResult(
                    time=self.time, demand=result.demand, capacity=result.capacity
                )
                for replica, result in self.results.items()
            }
            reading = self.demands.observe(Frame(self.time, self.table, [], []))
        return reading

    def said(self, reading: Reading) -> dict[tuple[str, ...], float]:
        """Return what is said, by name and labels."""
        return {
            (self.table[i].metric.name.removeprefix("inferwatch_"), *self.table[i].labels): value
            for i, value in zip(reading.ids, reading.values, strict=True)
        }


def test_demand_adds_up_by_model_and_host():
    """Replicas of a model share its demand; the host has all of it."""
    found = demands_of({A: asked(100.0), B: asked(50.0), C: asked(10.0)})
    assert found == {("big",): 150.0, ("small",): 10.0, HOST: 160.0}


def test_a_sum_with_an_unknown_part_is_unknown():
    """A replica of which nothing is known leaves its model and the host unknown, no other."""
    assert demands_of({A: asked(100.0), B: asked(None), C: asked(10.0)}) == {("small",): 10.0}
    found = rooms_of({A: asked(1.0, carries=1000.0), B: asked(1.0), C: asked(1.0, carries=500.0)})
    assert set(found) == {("small",)}
    assert tuple(found["small",]) == (450.0, 500.0, 650.0)


def test_a_declared_capacity_counts_until_one_is_learned():
    """Where nothing was learned, what was declared is what a model carries."""
    declared = CapacityResult(time=START, declared=300.0)
    learned = CapacityResult(time=START, declared=300.0, capacity=Capacity(known=known(1000.0)))
    assert tuple(rooms_of({A: declared})["big",]) == (300.0, 300.0, 300.0)
    assert rooms_of({A: learned})["big",].estimate == 1000.0


def test_the_next_minutes_are_said_once_errors_are_known():
    """After an hour a steady demand is foreseen for each model and for the host."""
    run = Run()
    said = run.said(run.minutes(70))
    assert said["model_demand_forecast_tokens_per_minute", "big", "estimate"] == pytest.approx(100)
    assert said["host_demand_forecast_tokens_per_minute", "low"] == pytest.approx(110.0)
    assert said["model_demand_history", "big", "hours"] == 1.0
    assert said["model_demand_history", "big", "weeks"] == 0.0
    assert said["demand_forecast_horizon_seconds",] == 300.0
    assert not any(name.startswith("model_demand_usual") for name, *_labels in said)


def test_between_minutes_nothing_is_worked_out():
    """Within a minute the series and the values are the same objects."""
    run = Run()
    first = run.minutes(2)
    run.time += 1.0
    second = run.demands.observe(Frame(run.time, run.table, [], []))
    assert second.ids is first.ids
    assert second.values is first.values


def test_what_is_old_is_not_known():
    """A replica that was worked out more than a minute ago asks for nobody knows what."""
    run = Run()
    run.minutes(40)
    stale = run.results
    run.minutes(1)
    run.results = stale
    run.demands._results = lambda: stale
    run.minutes(3)
    assert run.demands.ahead() is not None
    run.minutes(70)
    assert run.demands.ahead() is None


def test_a_model_that_left_is_said_no_more():
    """An hour after the last replica of a model is gone nothing is foreseen for it."""
    run = Run()
    run.minutes(70)
    del run.results[C]
    said = run.said(run.minutes(65))
    assert ("model_demand_history", "small", "hours") not in said
    assert ("model_demand_history", "big", "hours") in said


def test_minutes_wait_for_the_history():
    """While a history is read nothing is said; then the minutes of meanwhile are added to it."""
    run = Run()
    run.demands.expect_history()
    assert run.demands.unread
    assert run.minutes(40).ids == []
    read = DemandForecaster()
    windows = scattered(office(3.0), share=0.01)
    ends = START - BUCKET * len(windows) + BUCKET * (1 + np.arange(len(windows)))
    read.learn_windows(ends.tolist(), windows.tolist())
    run.demands.adopt({("big",): read})
    assert not run.demands.unread
    said = run.said(run.minutes(1))
    assert said["model_demand_history", "big", "weeks"] == 1.0
    assert said["model_demand_history", "small", "none"] == 1.0
    assert ("model_demand_usual_tokens_per_minute", "big", "low") in said


@pytest.mark.parametrize("jump", [-2 * 86_400.0, 30 * 86_400.0])
def test_a_clock_that_was_set_far_has_the_history_read_again(jump: float):
    """What was learned stands at the wrong times then; without a history all begins anew."""
    run = Run()
    run.minutes(70)
    run.time += jump
    run.minutes(1)
    assert not run.demands.unread
    said = run.demands.ahead()
    assert said is None or said.ahead is None
    run.demands.expect_history()
    run.demands.adopt({})
    run.time += jump
    run.minutes(0)
    assert run.demands.unread


def test_capacity_that_growth_reaches_is_told():
    """A model whose weeks grow says when its busiest hour reaches what its replicas carry."""
    run = Run()
    run.results = {A: asked(1500.0, carries=1600.0)}
    read = DemandForecaster()
    growing = office(6.0) * (1.0 + 0.05 * np.arange(6 * 2016) / 2016)
    windows = scattered(growing, share=0.01)
    ends = START - BUCKET * len(windows) + BUCKET * (1 + np.arange(len(windows)))
    read.learn_windows(ends.tolist(), windows.tolist())
    run.demands.expect_history()
    run.demands.adopt({("big",): read})
    said = run.said(run.minutes(1))
    low = said["model_capacity_exhaustion_forecast_seconds", "big", "low"]
    high = said["model_capacity_exhaustion_forecast_seconds", "big", "high"]
    assert 0.0 < low < 6 * 7 * 86_400.0 < high
    assert said["model_demand_growth_ratio", "big", "estimate"] == pytest.approx(
        0.05 / 1.3, abs=0.01
    )
    (model,) = run.demands.as_json()["models"]
    assert model["days_until_exhausted"]["low"] == pytest.approx(low / 86_400.0, rel=1e-4)
    assert len(model["week_tokens_per_minute"]) == 168


def test_a_model_that_fails_costs_no_other():
    """What raises about one model is counted, and the others are said."""
    run = Run()
    run.minutes(70)
    run.demands._known["small",].learn = _raise  # type: ignore[method-assign]
    said = run.said(run.minutes(1))
    assert said["analysis_failures_total", "demand"] == 1.0
    assert ("model_demand_forecast_tokens_per_minute", "big", "estimate") in said


def _raise(_times: object, _values: object) -> None:
    """Fail."""
    raise ValueError("on purpose")


def test_json_has_nothing_that_json_lacks():
    """What is not known is null, and of nothing there is nothing."""
    run = Run()
    assert run.demands.as_json() == {"horizon_seconds": 300.0, "models": [], "host": None}
    run.minutes(2)
    host: Mapping[str, object] = run.demands.as_json()["host"]
    assert host["history"] == "none"
    assert host["forecast_tokens_per_minute"] is None
    assert host["week_tokens_per_minute"] is None
