"""The signals of a host: gathered from what is concluded, said as samples and as JSON with ages."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from agent.analysis.asked import Demand
from agent.analysis.bottleneck import Targets
from agent.analysis.capacity.estimate import Capacity
from agent.analysis.latency import LatencyResult
from agent.analysis.replica_capacity import CapacityResult
from agent.analysis.replicas import Replica
from agent.analysis.signals.evidence import Growth
from agent.analysis.signals.follow import HostSignals
from agent.analysis.verdict import Verdict
from agent.analysis.window import View
from agent.catalog import engine
from agent.catalog.verdict import Cause
from agent.model import Frame, SeriesTable
from tests.agent.analysis.capacities import known
from tests.agent.analysis.views import REPLICA, START, view_of
from tests.fakes.samples import samples

ASKED = Demand(prompt_tokens_per_minute=5000.0, generation_tokens_per_minute=1000.0)


@dataclass
class _State:
    """What is concluded about a replica: 6,000 tokens a minute asked of at least 8,000."""

    replica: Replica = REPLICA
    verdict: Verdict = field(default_factory=lambda: Verdict(Cause.HEALTHY, START, "well"))
    capacity: CapacityResult = field(
        default_factory=lambda: CapacityResult(
            time=START + 9.0, capacity=Capacity(known=known(10_000.0, low=8_000.0)), demand=ASKED
        )
    )
    latencies: LatencyResult = field(default_factory=LatencyResult)


def _view() -> View:
    """Return a view of ten seconds in which two requests wait."""
    rows = 10
    return view_of(
        {
            (engine.REQUESTS_WAITING, ""): [2.0] * rows,
            (engine.KV_CACHE_USAGE, ""): [0.4] * rows,
        }
    )


def _grows(_model: str) -> Growth:
    """Foresee half as much again."""
    return Growth(1.5, 1.2, 2.0)


def _followed(
    *states: _State, foresee: Callable[[str], Growth | None] = _grows
) -> tuple[HostSignals, dict[str, float]]:
    """Return signals after one look, and their samples."""
    view, table = _view(), SeriesTable()
    host = HostSignals(
        lambda: [(state, view) for state in states], targets=lambda _m: Targets(), foresee=foresee
    )
    reading = host.observe(Frame(START + 9.0, table, [], []))
    return host, samples(table, reading)


def test_what_is_concluded_becomes_signals():
    """Three quarters of the lower bound are asked; in five minutes half as much again will be."""
    _host, said = _followed(_State())
    labels = 'engine="vllm",instance_name="chat",model_name="m",rank="0"'
    assert said == {
        f"engine_utilization_ratio{{{labels}}}": 0.75,
        f'engine_predicted_utilization_ratio{{{labels},bound="low"}}': 0.9,
        f'engine_predicted_utilization_ratio{{{labels},bound="estimate"}}': 1.125,
        f'engine_predicted_utilization_ratio{{{labels},bound="high"}}': 1.5,
        f"engine_safe_to_remove{{{labels}}}": 0.0,
        f'engine_admit{{{labels},advice="ok"}}': 1.0,
        f'engine_admit{{{labels},advice="shed"}}': 0.0,
        f'engine_admit{{{labels},advice="stop"}}': 0.0,
        f"engine_desired_change{{{labels}}}": 0.0,
    }


def test_nothing_is_said_of_what_is_unknown():
    """Without demand and capacity only what the page itself tells is left; never a zero."""
    _host, said = _followed(_State(capacity=CapacityResult()), foresee=lambda _m: None)
    assert {name.partition("{")[0] for name in said} == {"engine_admit"}


def test_replicas_of_one_model_take_over_from_one_another():
    """Of two replicas at 20 % each can go; one of another model does not count."""
    little = Demand(prompt_tokens_per_minute=1600.0, generation_tokens_per_minute=0.0)
    low = CapacityResult(
        time=START + 9.0, capacity=Capacity(known=known(10_000.0, low=8_000.0)), demand=little
    )
    states = [
        _State(replica=REPLICA._replace(instance_name=name, model_name=model), capacity=low)
        for name, model in (("a", "m"), ("b", "m"), ("c", "other"))
    ]
    host, _said = _followed(*states, foresee=lambda _m: None)
    safe = {one.replica.instance_name: one.removal for one in host.found()}
    assert {name: one and one.safe for name, one in safe.items()} == {
        "a": True,
        "b": True,
        "c": False,
    }


def test_ranks_of_one_server_do_not_take_over_from_one_another():
    """A server with two ranks is the only one of its model; with another beside it, it can go."""
    little = Demand(prompt_tokens_per_minute=800.0, generation_tokens_per_minute=0.0)
    low = CapacityResult(
        time=START + 9.0, capacity=Capacity(known=known(10_000.0, low=8_000.0)), demand=little
    )
    ranks = [_State(replica=REPLICA._replace(rank=rank), capacity=low) for rank in "01"]
    host, _said = _followed(*ranks, foresee=lambda _m: None)
    assert [one.removal and one.removal.safe for one in host.found()] == [False, False]
    other = _State(replica=REPLICA._replace(instance_name="other"), capacity=low)
    host, _said = _followed(*ranks, other, foresee=lambda _m: None)
    loads = [one.removal and one.removal.load for one in host.found()]
    assert loads == [pytest.approx(0.3), pytest.approx(0.3), pytest.approx(0.15)]


def test_each_signal_has_its_age():
    """JSON tells values with ages in seconds, and conclusions with reasons; it can be dumped."""
    host, _said = _followed(_State())
    found = host.as_json(time=START + 12.0)
    json.dumps(found, allow_nan=False)
    (one,) = found["replicas"]
    assert one["utilization_ratio"] == {"value": 0.75, "age_seconds": 3.0}
    assert one["demand_tokens_per_minute"] == {"value": 6000.0, "age_seconds": 3.0}
    assert one["capacity_tokens_per_minute"] == {"value": 8000.0, "age_seconds": 3.0}
    assert one["predicted_utilization_ratio"]["estimate"] == pytest.approx(1.125)
    assert one["queue_requests"] == {"value": 2.0, "age_seconds": 3.0}
    assert one["kv_cache_usage_ratio"] == {"value": 0.4, "age_seconds": 3.0}
    assert one["queue_wait_p95_seconds"] is None
    assert one["admit"]["value"] == "ok"
    assert one["admit"]["reason"] == "75% of what it carries is asked"


def test_what_is_old_is_not_told():
    """A minute after the last look nothing is left, and the replica is listed as stale."""
    host, _said = _followed(_State())
    found = host.as_json(time=START + 70.0)
    assert found["replicas"] == []
    assert found["stale"] == [REPLICA._asdict()]


def test_between_two_looks_it_stands():
    """A tick later the same samples are given, as the same list."""
    state, table, view = _State(), SeriesTable(), _view()
    host = HostSignals(lambda: [(state, view)], targets=lambda _m: Targets())
    first = host.observe(Frame(START + 9.0, table, [], []))
    again = host.observe(Frame(START + 10.0, table, [], []))
    assert again.ids is first.ids
    assert again.values == first.values


def test_a_replica_that_fails_costs_no_other():
    """One whose signals raise has none, and it is told; the other has its own."""

    def fails(model: str) -> Growth | None:
        if model == "bad":
            raise ZeroDivisionError
        return None

    table, view = SeriesTable(), _view()
    states = [_State(), _State(replica=REPLICA._replace(model_name="bad"))]
    host = HostSignals(
        lambda: [(state, view) for state in states], targets=lambda _m: Targets(), foresee=fails
    )
    reading = host.observe(Frame(START + 9.0, table, [], []))
    assert [one.replica.model_name for one in host.found()] == ["m"]
    assert [event.kind for event in reading.events] == ["analysis_failed"]
