"""One replica: estimates in turn, limits as told or seen, and what is said of all that."""

import json
from collections.abc import Sequence

import pytest

from agent.analysis import capacity_said
from agent.analysis.asked import Demand
from agent.analysis.bottleneck import Targets
from agent.analysis.capacity.estimate import Capacity, Limit, Limits
from agent.analysis.capacity.learner import CapacityLearner
from agent.analysis.headroom import headroom_of
from agent.analysis.replica_capacity import EVERY, CapacityResult, ReplicaCapacity
from agent.analysis.replicas import Replica
from agent.analysis.step_time import StepTimeResult
from agent.analysis.terms import Terms
from agent.analysis.window import View
from agent.catalog import capacity as catalog
from agent.catalog import engine
from agent.steps import Steps
from tests.agent.analysis.capacities import known
from tests.agent.analysis.views import REPLICA, START, Key, view_of


class Asked:
    """Stands in for the learner and notes what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.limits: list[Limits] = []
        asked = self

        def in_steps(
            _self: CapacityLearner, _view: View, *, limits: Limits, **_further: object
        ) -> Steps[Capacity]:
            asked.limits.append(limits)
            yield
            return Capacity(limits=limits)

        monkeypatch.setattr(CapacityLearner, "in_steps", in_steps)


def _view(seconds: int, further: Sequence[tuple[Key, float]] = ()) -> View:
    """Return a view of an idle engine, seen for so many seconds."""
    rows = [0.0] * seconds
    columns: dict[Key, Sequence[float]] = {
        (engine.REQUESTS_WAITING, ""): rows,
        (engine.PROMPT_TOKENS, ""): rows,
        (engine.GENERATION_TOKENS, ""): rows,
        (engine.TIME_TO_FIRST_TOKEN, "_count"): rows,
    }
    columns |= {key: [value] * seconds for key, value in further}
    return view_of(columns)


def _observe(one: ReplicaCapacity, view: View, terms: Terms | None = None) -> CapacityResult:
    """Have one look."""
    return one.observe(view, step=StepTimeResult(), targets=Targets(), terms=terms or Terms())


@pytest.mark.parametrize(("offset", "first"), [(0.0, 14), (7.0, 7)])
def test_it_is_worked_out_every_15_seconds(
    monkeypatch: pytest.MonkeyPatch, offset: float, first: int
):
    """Estimates of replicas are shifted against one another; a clock that was set begins anew."""
    asked = Asked(monkeypatch)
    one = ReplicaCapacity(REPLICA, offset=offset)
    made = []
    for second in range(40):
        if one.is_due(START + second):
            made.append(second)
            _observe(one, _view(second + 1))
    assert made == [0, *range(first, 40, 14)]
    assert len(asked.limits) == len(made)
    assert one.is_due(START - 3600.0)
    assert EVERY == 15.0


def test_limits_that_are_told_count_before_those_seen(monkeypatch: pytest.MonkeyPatch):
    """A written limit replaces the engine's; what nobody wrote is as the engine says."""
    asked = Asked(monkeypatch)
    told = Limits(sequences=Limit(8.0, "file"))
    seen: list[tuple[Key, float]] = [
        ((engine.KV_CACHE_CAPACITY, ""), 4096.0),
    ]
    _observe(ReplicaCapacity(REPLICA), _view(3, seen), Terms(limits=lambda _replica: told))
    assert asked.limits == [Limits(sequences=Limit(8.0, "file"), kv_tokens=Limit(4096.0, "page"))]


def test_the_result_stands_until_the_last_step(monkeypatch: pytest.MonkeyPatch):
    """Whoever asks between two steps sees what was known before, whole."""
    Asked(monkeypatch)
    one = ReplicaCapacity(REPLICA)
    before = _observe(one, _view(40))
    steps = one.in_steps(_view(60), step=StepTimeResult(), targets=Targets(), terms=Terms())
    seen = [one.result for _turn in steps]
    assert len(seen) > 1
    assert all(result is before for result in seen)
    assert one.result.time == START + 59


def test_what_is_learned_comes_back():
    """State and restore are those of the learner; nothing else has to be remembered."""
    one = ReplicaCapacity(REPLICA)
    other = ReplicaCapacity(Replica("vllm", "b", "m", "0"))
    state = one.state()
    other.restore(json.loads(json.dumps(state)))
    assert other.state() == state


def _said(result: CapacityResult) -> dict[tuple[str, ...], float]:
    """Return what is said, by name and labels."""
    return {
        (metric.name.removeprefix("inferwatch_engine_"), *labels): value
        for metric, labels, value in capacity_said.samples(result)
    }


DEMAND = Demand(
    requests_per_minute=60.0,
    prompt_tokens_per_minute=5_000.0,
    generation_tokens_per_minute=1_000.0,
    queue_requests=2.0,
    queue_tokens=200.0,
)


def test_a_learned_capacity_is_said_with_its_bounds():
    """Capacity, limit, what binds, what is asked and what is left: each once, low under high."""
    capacity = Capacity(known=known(10_000.0))
    result = CapacityResult(
        time=START,
        capacity=capacity,
        declared=5.0,
        demand=DEMAND,
        headroom=headroom_of(capacity, 5.0, DEMAND),
    )
    said = _said(result)
    assert said["capacity_tokens_per_minute", "total", "low"] == 9_000.0
    assert said["capacity_tokens_per_minute", "prompt", "estimate"] == 8_000.0
    assert said["stability_limit_requests_per_minute", "estimate"] == pytest.approx(120.0)
    assert said["capacity_source", "learned"] == 1.0
    assert said["capacity_source", "declared"] == 0.0
    assert said["capacity_binding", "inter_token"] == 1.0
    assert sum(v for (name, *_labels), v in said.items() if name == "capacity_binding") == 1.0
    assert said["capacity_evidence_timestamp_seconds",] == START - 40.0
    assert said["capacity_concurrent_requests",] == 17.0
    assert said["demand_tokens_per_minute", "total"] == 6_000.0
    assert said["headroom_tokens_per_minute",] == 3_000.0
    assert said["headroom_ratio",] == pytest.approx(1 / 3)
    assert said["headroom_requests_per_minute",] == 30.0


def test_a_declared_capacity_is_said_as_that():
    """Until one is learned there is the declared total, and nothing about what binds."""
    result = CapacityResult(time=START, declared=7_000.0)
    said = _said(result)
    assert said["capacity_source", "declared"] == 1.0
    assert said["capacity_identifiable",] == 0.0
    assert said["capacity_tokens_per_minute", "total", "low"] == 7_000.0
    assert not [name for name, *_labels in said if "binding" in name or "stability" in name]
    found = capacity_said.as_json(result)
    assert (found["source"], found["declared_tokens_per_minute"]) == ("declared", 7_000.0)
    assert found["not_identifiable_because"]


def test_nothing_is_said_before_anything_is_known():
    """A replica that was never looked at has no samples at all, and JSON of the same keys."""
    assert not _said(CapacityResult())
    bare = capacity_said.as_json(CapacityResult())
    whole = capacity_said.as_json(CapacityResult(time=START, capacity=Capacity(known=known(1.0))))
    assert bare.keys() == whole.keys()
    assert catalog.IDENTIFIABLE
