"""Incidents as the settings want them: beside the history, or elsewhere, or not at all."""

import asyncio
from pathlib import Path

import pytest

from agent.app.incidents import folder_of
from agent.app.judging import Judging
from agent.catalog import agent
from agent.config import Settings, read_settings
from agent.incidents.summary import summary
from agent.log import ChangeLog
from agent.model import Event, Frame, SeriesTable
from collectors.engines import ENGINES
from tests.fakes.clock import ManualClock
from tests.fakes.samples import samples

DIED = Event(
    1_800_000_000.0, "engine_died", "deaths", {"instance_name": "chat", "cause": "killed"}, "died"
)


def settings(text: str) -> Settings:
    """Return settings without rules."""
    return read_settings(f"alerts: {{enabled: false}}\n{text}", "f", engines=ENGINES)


async def run(chosen: Settings) -> dict[str, float]:
    """Let an engine die under these settings, and return what the agent says of itself."""
    table, clock = SeriesTable(), ManualClock()
    judging = Judging(chosen, table=table, clock=clock, log=ChangeLog())
    for events in ((), (DIED,), ()):
        frame = Frame(clock.time(), table, [table.intern(agent.TICKS)], [1.0], events)
        frame = judging.judge(frame)
        for recorder in judging.recorders:
            await recorder.publish(frame)
        clock.advance(1.0)
    found = {}
    for reading in judging.readings():
        found.update(samples(table, reading))
    for recorder in judging.recorders:
        await recorder.aclose()
    await judging.aclose()
    return found


@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_incident_is_kept(tmp_path: Path, elsewhere: bool):  # noqa: FBT001
    """A death ends up in the folder that `incidents` lists, with the ticks around it."""
    path = f"incidents: {{path: {tmp_path}/here}}\n" if elsewhere else ""
    chosen = settings(f"history: {{path: {tmp_path}/history.db}}\n{path}")
    own = asyncio.run(run(chosen))
    assert own['incidents_total{trigger="engine_died"}'] == 1.0
    folder = folder_of(chosen)
    assert folder.path == tmp_path / ("here" if elsewhere else "incidents")
    [entry] = folder.entries()
    assert summary(entry).ticks == 3


@pytest.mark.parametrize("text", ["incidents: {enabled: false}\n", "history: {enabled: false}\n"])
def test_nothing_is_kept(tmp_path: Path, text: str):
    """Switched off, or without a place of the agent's own on disk, there are no incidents."""
    history = f"history: {{path: {tmp_path}/history.db}}\n" if "history" not in text else ""
    own = asyncio.run(run(settings(history + text)))
    assert not [name for name in own if name.startswith("incident")]
    assert not (tmp_path / "incidents").exists()
