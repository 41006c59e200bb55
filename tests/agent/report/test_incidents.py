"""Incidents of a window, read from the folder in which they are recorded."""

from pathlib import Path

import pytest

from agent.incidents.folder import Folder
from agent.incidents.recorder import AFTER
from agent.model import Event
from agent.report.incidents import MOST, happened
from tests.agent.incidents.running import Run

LABELS = {"engine": "vllm", "instance_name": "chat", "cause": "oom_kill"}


def _recorded(path: Path) -> tuple[Folder, float]:
    """Record that an engine died four seconds before it was noticed, and came back after 35."""
    run = Run(path)
    run.ticks(20)
    since = run.clock.time()
    run.ticks(4)
    run.tick(Event(since, "engine_died", "deaths", LABELS, "vllm chat died: killed"))
    run.ticks(30)
    run.tick(Event(run.clock.time(), "engine_recovered", "deaths", LABELS, "it serves again"))
    run.ticks(int(AFTER) + 10)
    run.finish()
    return run.folder, since


def test_an_incident_tells_how_long_it_took(tmp_path: Path):
    """Detected and over, both counted from when it began."""
    folder, since = _recorded(tmp_path)

    (found,) = happened(folder, since - 3600, since + 3600)

    assert found["instance_name"] == "chat"
    assert found["time_to_detect_seconds"] == pytest.approx(4.0)
    assert found["time_to_resolve_seconds"] == pytest.approx(35.0)
    assert found["problem"] == ""


def test_only_those_of_the_window(tmp_path: Path):
    """Of another time there is nothing to tell, nor of a folder that is not there."""
    folder, since = _recorded(tmp_path)

    assert happened(folder, since + 3600, since + 7200) == []
    assert happened(Folder(tmp_path / "none", max_count=1, max_size=1), 0.0, since) == []


def test_what_cannot_be_read_is_said(tmp_path: Path):
    """A damaged file is an incident of which nothing but its name is known."""
    (tmp_path / "20270115T080000Z.rec.gz").write_bytes(b"not gzip")
    folder = Folder(tmp_path, max_count=50, max_size=10**9)

    (found,) = happened(folder, 1_800_000_000.0 - 86_400, 1_800_000_000.0 + 86_400)

    assert found["id"] == "20270115T080000Z"
    assert found["problem"]
    assert found["time_to_detect_seconds"] is None


def test_too_many_are_named_only(tmp_path: Path):
    """The newest are read; the others are listed all the same."""
    for second in range(MOST + 3):
        (tmp_path / f"20270115T0800{second:02d}Z.rec.gz").write_bytes(b"")
    folder = Folder(tmp_path, max_count=50, max_size=10**9)

    found = happened(folder, 1_800_000_000.0 - 86_400, 1_800_000_000.0 + 86_400)

    assert len(found) == MOST + 3
    assert ["too many" in one["problem"] for one in found] == [True] * 3 + [False] * MOST
