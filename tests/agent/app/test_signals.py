"""The signals get the thresholds of the settings, and a forecast as multiples of what is asked."""

from dataclasses import fields

import pytest

from agent.analysis.demand.forecaster import Foreseen
from agent.analysis.demand.host import Demands
from agent.analysis.demand.said import Said
from agent.analysis.engines import EngineAnalysis
from agent.analysis.replica_state import ReplicaState
from agent.analysis.signals.follow import EVERY
from agent.analysis.signals.terms import Terms
from agent.app.conclusions import Conclusions
from agent.app.signals import new_signals, signal_terms_of
from agent.catalog import agent, engine, signals
from agent.config import Settings, read_settings
from agent.model import Reading, SeriesTable


def test_the_defaults_are_those_of_the_analysis():
    """A configuration that says nothing changes nothing."""
    assert signal_terms_of(Settings()) == Terms()


def test_every_threshold_can_be_set():
    """Each key of the section, and the horizon of capacity, reaches its threshold."""
    own = [one.name for one in fields(Terms) if one.name != "horizon"]
    lines = "".join(f"  {name}: {0.05 if name == 'scale_in' else 0.31}\n" for name in own[:4])
    lines += (
        "".join(f"  {name}: 31\n" for name in own[4:] if name != "kv_full") + "  kv_full: 0.31\n"
    )
    text = f"capacity: {{horizon: 10m}}\nsignals:\n{lines}"
    found = signal_terms_of(read_settings(text, "f", engines=("vllm",)))
    assert all(getattr(found, one.name) != one.default for one in fields(Terms))


@pytest.mark.parametrize(("now", "growth"), [(3000.0, 2.0), (0.0, None), (None, None)])
def test_a_forecast_is_a_multiple_of_what_is_asked_now(
    monkeypatch: pytest.MonkeyPatch, now: float | None, growth: float | None
):
    """6,000 ahead of 3,000 is twofold; of nothing, and of the unknown, there is no multiple."""
    demands = Demands(dict)
    said = Said(ahead=Foreseen(6000.0, 3000.0, 9000.0))
    monkeypatch.setattr(demands, "ahead", lambda key: said if key == ("m",) else None)
    monkeypatch.setattr(
        "agent.app.signals.demands_of", lambda _results: {} if now is None else {("m",): now}
    )
    none: list[ReplicaState] = []
    engines = EngineAnalysis()
    monkeypatch.setattr(engines, "states", lambda: none)
    found = new_signals(engines, demands)._foresee("m")
    assert (found and found.estimate) == growth
    assert new_signals(engines, demands)._foresee("other") is None


def test_a_swapped_model_is_one_replica() -> None:
    """Whoever counts the replicas of a port counts one at any time, whichever model it serves."""
    conclusions, table = Conclusions(Settings()), SeriesTable()
    pipeline = conclusions.pipeline(table)
    told = []
    for second in range(60):
        model = "old" if second < 30 else "new"
        labels = ("vllm", "chat", model, "0")
        ids = [
            table.intern(agent.ENGINE_UP, labels[:2]),
            table.intern(engine.REQUESTS_RUNNING, labels),
            table.intern(engine.REQUESTS_WAITING, labels),
        ]
        frame = pipeline.conclude(1e9 + second, (), Reading(ids, [1.0, 0.0, 0.0]))
        said = [one["model_name"] for one in conclusions.signals_json(frame.time)["replicas"]]
        assert len(said) == 1
        admitted = {table[one].labels[2] for one in frame.ids if table[one].metric is signals.ADMIT}
        assert admitted == {*said}
        told += said
    assert told.index("new") <= 30 + EVERY
    assert {*told[30 + int(EVERY) :]} == {"new"}
