"""When rules would have fired."""

import pytest

from agent.alerts.backtest import Backtest, Firing, backtest
from agent.model import Event, Frame, Metric, MetricType
from tests.fakes.rules import START, World, alert_group

V = Metric(name="v", type=MetricType.GAUGE, help="Made up.")


def played(values: list[float], rules: str) -> Backtest:
    """Return what rules make of a series; the fifth frame marks an incident."""
    world = World(alert_group(rules))
    ids = [world.table.intern(V)]
    frames = [
        Frame(
            START + number,
            world.table,
            ids,
            [value],
            [Event(START + number, "incident", "test")] if number == 5 else [],
        )
        for number, value in enumerate(values)
    ]
    return backtest(frames, world.engine, world.history)


def test_firings_with_begin_end_and_lead():
    """Each firing says since when it held, when it fired and ended, and its lead."""
    rule = "{alert: A, expr: 'v > 0', for: 1s, annotations: {summary: 'at {{ $value }}'}}"
    result = played([0, 1, 2, 2, 0, 0, 3, 3, 3], rule)
    assert [
        (f.active_at - START, f.fired_at - START, f.resolved_at and f.resolved_at - START)
        for f in result.firings
    ] == [(1, 2, 4), (6, 7, None)]
    assert [f.lead(result.incidents) for f in result.firings] == [3.0, -2.0]
    assert [f.annotations["summary"] for f in result.firings] == ["at 2", "at 3"]
    assert (result.start, result.end) == (START, START + 8)
    json = result.as_json()
    assert json["firings"][0]["labels"] == {"alertname": "A"}
    assert json["firings"][0]["lead"] == 3.0


def test_failures_are_told_once():
    """A rule without a result at every tick is one line."""
    two = 'v or label_replace(v, "i", "1", "", "")'
    result = played([1, 1, 1], f"{{alert: A, expr: '({two}) * on() ({two})'}}")
    assert len(result.failures) == 1


@pytest.mark.parametrize(
    ("incidents", "lead"), [([], None), ([50.0], -50.0), ([150.0, 120.0], 20.0), ([100.0], 0.0)]
)
def test_lead(incidents: list[float], lead: float | None):
    """The lead is to the next incident; after the last one it is below zero."""
    firing = Firing(alert="A", labels=(), active_at=90.0, fired_at=100.0)
    assert firing.lead(incidents) == lead
