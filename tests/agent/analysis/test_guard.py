"""What raises costs nothing but itself."""

import pytest

from agent.analysis.bottleneck import Targets
from agent.analysis.engines import WANTED, EngineAnalysis
from agent.analysis.forecasts.kv import KvForecaster
from agent.analysis.guard import Guard
from agent.catalog import engine
from agent.catalog.verdict import Cause
from agent.model import Frame, SeriesTable
from tests.agent.analysis.views import START
from tests.fakes.samples import samples


def broken(*_anything: object) -> None:
    """Raise."""
    raise ValueError("no such thing")


def test_each_one_is_told_of_on_its_own_and_counted_by_part() -> None:
    """Two engines whose analysis fails are two lines in the log, and one series."""
    guard, table = Guard(), SeriesTable()
    for time in (1.0, 2.0):
        for name in ("a", "b"):
            assert guard.run("verdict", broken, time=time, about={"instance_name": name}) is None
    found = guard.reading(table)
    assert [event.labels["instance_name"] for event in found.events] == ["a", "b"]
    assert "verdict of a fails and is left out: ValueError: no such thing (test_guard.py:" in (
        found.events[0].message
    )
    assert samples(table, found) == {'analysis_failures_total{analysis="verdict"}': 4.0}
    assert guard.run("verdict", lambda: 7, time=3.0, about={"instance_name": "b"}) == 7
    (event,) = guard.reading(table).events
    assert (event.kind, event.labels["instance_name"]) == ("analysis_recovered", "b")


def observed(analysis: EngineAnalysis, table: SeriesTable) -> list[str]:
    """Have two idle engines watched for some seconds; return the kinds of what happened."""
    ids = [
        table.intern(metric, ("vllm", name, "m", "0"))
        for name in ("first", "second")
        for metric in (engine.REQUESTS_RUNNING, engine.REQUESTS_WAITING)
    ]
    assert {table[number].metric for number in ids} <= WANTED
    frames = (Frame(START + second, table, ids, [0.0] * len(ids)) for second in range(30))
    return [event.kind for frame in frames for event in analysis.observe(frame).events]


def test_one_engine_that_cannot_be_judged_costs_no_other() -> None:
    """Its own verdict is unknown and says why; the other's stands."""

    def targets(model: str) -> Targets:
        assert model == "m"
        return Targets()

    analysis, table = EngineAnalysis(targets), SeriesTable()
    observed(analysis, table)
    first, second = analysis.states()
    first._pace.compare = broken  # type: ignore[assignment,method-assign]
    kinds = observed(analysis, table)
    assert kinds.count("analysis_failed") == 1
    assert (first.verdict.cause, first.verdict.sentence) == (Cause.UNKNOWN, "its analysis fails")
    assert second.verdict.cause is Cause.IDLE
    assert analysis.as_json()["replicas"]


def test_a_part_that_raises_costs_no_other_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its forecast an engine still has a verdict."""
    monkeypatch.setattr(KvForecaster, "observe", broken)
    analysis, table = EngineAnalysis(), SeriesTable()
    assert observed(analysis, table).count("analysis_failed") == 2
    assert [state.verdict.cause for state in analysis.states()] == [Cause.IDLE] * 2
