"""The agent on a recording: rules are evaluated, and each round of a recording is its own."""

import itertools
import os
from pathlib import Path

import pytest

from agent.app.replayed import ReplayAgent
from agent.catalog import METRICS
from agent.commands.backtest import run_backtest
from agent.model import Look, Reading, SeriesTable, SourceSpec
from agent.recording import RecordingWriter
from tests.fakes.rules import alert_group
from tests.fakes.samples import samples

UNSYNCHRONISED = METRICS["inferwatch_host_clock_synchronised"]
HOST = SourceSpec(name="host", stale_after=60.0)
FIRING = 'alerts{alertname="HostClockUnsynchronised",state="firing"}'


def recording(path: Path, *, ticks: int) -> Path:
    """Write a recording, a tick each 10 s, of a host whose clock nobody keeps."""
    table = SeriesTable()
    writer = RecordingWriter(path, table, header={})
    reading = Reading([table.intern(UNSYNCHRONISED)], [0.0])
    for number in range(ticks):
        look = Look(source="host", duration=0.0, reading=reading)
        time = 1_800_000_000.0 + 10.0 * number
        writer.write(time, [look], {"host": HOST}, [], now=10.0 * number)
    writer.close()
    return path


async def played(path: Path, *, ticks: int) -> dict[str, float]:
    """Return what is shown after so many ticks of a recording that begins again at its end."""
    agent = ReplayAgent(path, speed=0.0)
    frame = await agent._replay().run(itertools.islice(agent._ticks(loop=True), ticks))
    assert frame is not None
    return samples(frame.table, frame)


async def test_what_fires_is_on_the_page(tmp_path: Path):
    """The shipped rules are evaluated on a recording as on a live host."""
    path = recording(tmp_path / "r", ticks=100)
    shown = await played(path, ticks=100)
    assert shown[FIRING] == 1.0
    assert shown["rules"] > 50
    assert "rules_duration_seconds" not in shown
    page = await ReplayAgent(path, speed=0.0).last_page()
    assert f"inferwatch_{FIRING} 1" in page


@pytest.mark.parametrize("rounds", [2, 7])
async def test_a_recording_that_begins_again_is_judged_anew(tmp_path: Path, rounds: int):
    """What no round shows for 15 minutes never holds for 15 minutes, however often it is played."""
    shown = await played(recording(tmp_path / "r", ticks=80), ticks=80 * rounds)
    assert shown[FIRING] == 0.0
    assert shown[FIRING.replace("firing", "pending")] == 1.0


async def test_nothing_is_kept_and_nobody_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A replay writes no file and has no receivers."""
    monkeypatch.chdir(tmp_path)
    path = recording(tmp_path / "r", ticks=100)
    shown = await played(path, ticks=100)
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208 - not in a coroutine
    assert not [name for name in shown if "receiver" in name or name.startswith("history")]


async def test_up_is_there_in_a_replay_and_in_a_backtest(tmp_path: Path):
    """Rules find the one `up` of the target, with job and instance and nothing else, in both."""
    path = recording(tmp_path / "r", ticks=10)
    groups = tuple(alert_group("{alert: A, expr: up == 1}, {alert: B, expr: absent(up)}"))
    (firing,) = run_backtest(path, groups).firings
    assert dict(firing.labels) == {
        "alertname": "A",
        "job": "inferwatch",
        "instance": "recording",
    }
    agent = ReplayAgent(path, speed=0.0)
    agent._groups = groups
    await agent.last_page()
    alerts = agent._judging._alerting.engine.alerts()
    assert [(name, instance.labels) for name, instance in alerts] == [("A", firing.labels)]
