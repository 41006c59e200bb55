"""From samples of all hosts to replicas of each model: joined by replica, and never stale."""

import json

import pytest

from agent.analysis.demand.forecaster import DemandForecaster
from agent.analysis.signals.fleet import FleetTerms
from agent.analysis.signals.models import FIELDS, Models, Sample, as_json, loads_of
from tests.agent.analysis.signals.evidences import NOW

TERMS = FleetTerms(most=20)


def _replica(host: str, model: str, *, age: float = 0.0, **values: float) -> list[Sample]:
    """Return what a replica on a host says."""
    own = {"instance": host, "engine": "vllm", "instance_name": "chat", "model_name": model}
    found = []
    for key, value in values.items():
        name, labels = FIELDS[key]
        found.append(Sample({"__name__": name, **own, **labels}, value, NOW - age))
    return found


FULL = {"running": 3.0, "demand": 700.0, "carries": 1000.0, "queue": 0.0, "wait": 0.1}


def _models(samples: list[Sample]) -> Models:
    """Return what is made of samples."""
    models = Models(lambda _model: TERMS, stale_after=90.0)
    models.observe(NOW, samples)
    return models


def test_all_hosts_count():
    """Two hosts with 700 each on 1,000 need two replicas; the other model is its own."""
    models = _models(
        [*_replica("a", "m", **FULL), *_replica("b", "m", **FULL), *_replica("a", "n", **FULL)]
    )
    told = models.told("m", time=NOW)
    assert told is not None
    assert (told.replicas, told.known, told.demand, told.capacity) == (2, 2, 1400.0, 1000.0)
    assert told.need.replicas == 2
    other = models.told("n", time=NOW)
    assert other is not None
    assert other.replicas == 1


@pytest.mark.parametrize("name", ["demand", "carries", "queue", "wait"])
@pytest.mark.parametrize("value", [-1.0, 1e300])
def test_what_no_replica_can_mean_is_unknown(name: str, value: float):
    """A number below nothing, or beyond all sense, is as if it had not been said."""
    odd, silent = (
        _models(_replica("a", "m", **said)).told("m", time=NOW)
        for said in ({**FULL, name: value}, {key: FULL[key] for key in FULL if key != name})
    )
    assert odd == silent
    assert odd is not None


def test_a_model_has_one_forecaster(monkeypatch: pytest.MonkeyPatch):
    """It is made when the model is first seen, and not at every look."""
    made = []

    def make(*, horizon: float) -> DemandForecaster:
        made.append(horizon)
        return DemandForecaster(horizon=horizon)

    monkeypatch.setattr("agent.analysis.signals.models.DemandForecaster", make)
    models = Models(lambda _model: TERMS, stale_after=90.0)
    for second in range(3):
        models.observe(NOW + second, _replica("a", "m", **FULL))
    assert made == [TERMS.horizon]


def test_a_replica_without_a_capacity_is_counted_as_such():
    """One that only tells that it runs is there, with nothing else known."""
    samples = [*_replica("a", "m", **FULL), *_replica("b", "m", running=0.0)]
    told = _models(samples).told("m", time=NOW)
    assert told is not None
    assert (told.replicas, told.known, told.demand) == (2, 1, None)
    assert "known of 1 of 2" in told.need.reason


def test_other_bounds_and_quantities_are_not_taken():
    """The high bound, other phases and other quantities are not what is asked for."""
    samples = _replica("a", "m", **FULL)
    samples += [
        Sample({**one.labels, **dict.fromkeys(("bound", "phase", "quantity"), "x")}, 9e9, NOW)
        for one in samples
    ]
    (load,) = loads_of(samples, time=NOW, stale=90.0)["m"]
    assert load == (700.0, 1000.0, 0.0, 0.1)


def test_the_ranks_of_a_server_are_one_replica():
    """What is started and ended is the server: its ranks carry together, and wait as the worst."""
    ranks = [_replica("a", "m", **{**FULL, "wait": wait}) for wait in (0.1, 0.4)]
    samples = [
        Sample({**one.labels, "rank": str(rank)}, one.value, one.time)
        for rank, each in enumerate(ranks)
        for one in each
    ]
    assert loads_of(samples, time=NOW, stale=90.0) == {"m": [(1400.0, 2000.0, 0.0, 0.4)]}
    samples = [one for one in samples if "capacity" not in one.labels["__name__"]] + samples[2:3]
    ((_demand, carries, *_rest),) = loads_of(samples, time=NOW, stale=90.0)["m"]
    assert carries is None


def test_what_is_stale_is_not_there():
    """A sample older than 90 s is none; a model whose replicas are all stale is not told of."""
    assert _models(_replica("a", "m", age=91.0, **FULL)).told("m", time=NOW) is None
    models = _models(_replica("a", "m", **FULL))
    assert models.told("m", time=NOW + 90.0) is not None
    assert models.told("m", time=NOW + 91.0) is None
    assert models.names() == ["m"]


def test_of_a_partial_answer_no_sum_is_told():
    """What all are asked and how many serve is not known; what is missing is said."""
    models = _models([*_replica("a", "m", **FULL), *_replica("b", "m", **FULL)])
    later = [Sample(one.labels, one.value, NOW + 15.0) for one in _replica("a", "m", **FULL)]
    models.observe(NOW + 15.0, later, missing=["store b is down"])
    told = models.told("m", time=NOW + 15.0)
    assert told is not None
    said = as_json("m", told, time=NOW + 15.0)
    assert said["replicas"] == 2
    assert (said["replicas_now"], said["demand_tokens_per_minute"]) == (None, None)
    assert said["replicas_with_known_capacity"] == 1
    assert said["missing"] == ["store b is down"]


def test_a_partial_answer_teaches_no_demand():
    """Half of the replicas is not half of the demand: nothing is learned from it."""
    models = Models(lambda _model: TERMS, stale_after=90.0)
    for second in range(0, 7200, 60):
        there = ["a", "b"] if second < 3600 else ["a"]
        samples = [
            Sample(one.labels, one.value, NOW + second)
            for host in there
            for one in _replica(host, "m", **FULL)
        ]
        models.observe(NOW + second, samples, missing=[] if second < 3600 else ["store b is down"])
    told = models.told("m", time=NOW + 7140.0)
    assert told is not None
    assert told.foreseen is None or told.foreseen > 1200.0


def test_demand_is_foreseen_from_its_minutes():
    """A demand that was learned minute by minute for an hour is foreseen."""
    models = Models(lambda _model: TERMS, stale_after=90.0)
    for second in range(0, 7200, 60):
        samples = [
            Sample(one.labels, one.value, NOW + second) for one in _replica("a", "m", **FULL)
        ]
        models.observe(NOW + second, samples)
    told = models.told("m", time=NOW + 7140.0)
    assert told is not None
    assert told.foreseen is not None
    assert abs(told.foreseen - 700.0) < 70.0


def test_it_can_be_told_as_json():
    """JSON has the number, its reason and its age."""
    told = _models(_replica("a", "m", **FULL)).told("m", time=NOW)
    assert told is not None
    found = as_json("m", told, time=NOW + 2.0)
    assert json.loads(json.dumps(found, allow_nan=False))["replicas"] == 1
    assert found["age_seconds"] == 2.0
