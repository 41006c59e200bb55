"""The shipped rules on what llama.cpp has: no histograms, and tokens that count at the end."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.alerts.backtest import backtest
from agent.alerts.engine import RuleEngine
from agent.app.conclusions import new_pipeline
from agent.app.rules import load_rules, shipped_rule_files
from agent.catalog import engine as catalog
from agent.model import Frame, Reading, SeriesTable
from agent.recording import RecordingReader
from agent.replay import play
from agent.store.history import History
from tests.fakes.clock import ManualClock

RECORDING = Path(__file__).parents[1] / "recordings" / "llama-ramp.rec.gz"


def slowed(table: SeriesTable, times: float) -> Iterator[Frame]:
    """Yield the frames of a recorded engine as if it had taken so many times as long."""
    pipeline = new_pipeline(table)
    start: float | None = None
    for tick in RecordingReader(RECORDING, table).ticks():
        frame = play(pipeline, tick, Reading([], []))
        start = frame.time if start is None else start
        values = [
            value * times if table[series_id].metric is catalog.GENERATION_SECONDS else value
            for series_id, value in zip(frame.ids, frame.values, strict=True)
        ]
        yield replace(frame, time=start + (frame.time - start) * times, values=values)


@pytest.mark.parametrize(
    ("times", "expected"),
    [(1, set()), (3, set()), (10, {"EngineGenerationSlow", "LatencyMeanAboveTarget"})],
)
def test_slow_generation(times: int, expected: set[str]):
    """At 32 tokens a second for each request all is well, at a tenth of it people are told.

    At a third the target is missed, but for less than the ten minutes that a mean needs.
    """
    table = SeriesTable()
    history = History(table, clock=ManualClock(), span=1e6)
    engine = RuleEngine(load_rules(shipped_rule_files()), table=table, tick=1.0, stagger=False)
    result = backtest(slowed(table, times), engine, history)
    found = {firing.alert for firing in result.firings}
    assert not result.failures
    assert found & {"EngineGenerationSlow", "LatencyMeanAboveTarget", "EngineStalled"} == expected
