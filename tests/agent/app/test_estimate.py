"""A recording tells, minute by minute, what the agent would have said of capacity."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.app.estimate import Moment, moments
from agent.config import Settings
from agent.config.planning import Capacity, Declared
from agent.model import RecordingError
from tests.recordings.capture import scrape, written

RECORDINGS = Path(__file__).parents[2] / "recordings"
START = 1_800_000_000.0


def _moments(path: Path, settings: Settings | None = None, every: float = 60.0) -> list[Moment]:
    """Return what is known from time to time, with nothing left unread."""
    told: list[str] = []
    found = [*moments(path, settings or Settings(), every=every, warn=told.append)]
    assert told == []
    return found


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command; return its status and what it printed."""
    status = main(["estimate", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Return captured pages of an engine that serves a request a second for 150 s."""
    return written(tmp_path / "run.metrics.jsonl.gz", [scrape(START, s) for s in range(151)])


def test_a_recording_of_the_agent_tells_each_minute_and_the_end():
    """One moment each 60 s and one at the end; each has the engine with its demand."""
    found = _moments(RECORDINGS / "vllm-ramp.rec.gz")
    assert [round(one.offset) for one in found] == [60, 120, 180, 213]
    asked = [one.said["replicas"][0]["demand_tokens_per_minute"]["total"] for one in found]
    assert asked[0] is not None
    assert asked[1] > asked[0] > 0


def test_pages_alone_are_enough(pages: Path):
    """Captured pages need no GPU, no process and no command line."""
    found = _moments(pages)
    assert [round(one.offset) for one in found] == [60, 120, 150]
    (last,) = found[-1].said["replicas"]
    assert last["instance_name"] == "run"
    assert last["demand_requests_per_minute"] == pytest.approx(60.0)
    assert last["demand_tokens_per_minute"]["total"] == pytest.approx(60 * 140.0)
    assert last["verdict"]["cause"] == "healthy"


def test_what_is_declared_is_told(pages: Path):
    """Settings count as they would in the agent: a declared capacity gives a headroom."""
    declared = (Declared(instance="run", tokens_per_minute=10_000.0),)
    (*_others, last) = _moments(pages, Settings(capacity=Capacity(declared=declared)))
    (said,) = last.said["replicas"]
    assert said["declared_tokens_per_minute"] == 10_000.0
    if not said["identifiable"]:
        assert said["headroom_tokens_per_minute"] == pytest.approx(10_000.0 - 8_400.0, rel=1e-4)


def test_a_pause_gives_no_minutes(tmp_path: Path):
    """Where nothing was recorded for a while there is nothing to tell of it."""
    seconds = [*range(70), *range(400, 470)]
    path = written(tmp_path / "a.metrics.jsonl.gz", [scrape(START, s) for s in seconds])
    assert [round(one.offset) for one in _moments(path)] == [60, 400, 420, 469]


def test_the_table_has_a_row_a_minute(capsys: pytest.CaptureFixture[str], pages: Path):
    """For people: a heading, the limits, and a row for each moment."""
    status, out, err = _run(capsys, str(pages))
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("run (vllm, model tiny, rank 0), from 2027-01-15 08:01:00Z")
    assert lines[1].startswith("limits: max_num_seqs ")
    assert lines[2].split()[:2] == ["at", "demand"]
    assert [line.split()[0] for line in lines[3:6]] == ["0:01:00", "0:02:00", "0:02:30"]


def test_the_json_names_its_schema_and_limits(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, pages: Path
):
    """For programs: one document with a version, targets and limits as given, units in the keys."""
    limits = tmp_path / "limits.yaml"
    limits.write_text("max-num-seqs: 16\ntargets: {time_to_first_token: 2s}\n")
    status, out, _err = _run(capsys, str(pages), "--limits", str(limits), "--json", "--every", "30")
    document: dict[str, Any] = json.loads(out)
    assert status == 0
    assert document["schema"] == "inferwatch.estimate/1"
    assert document["targets"]["time_to_first_token_p95_seconds"] == 2.0
    (replica,) = document["replicas"]
    estimates: Sequence[dict[str, Any]] = replica["estimates"]
    assert [round(one["offset_seconds"]) for one in estimates] == [30, 60, 90, 120, 150]
    assert estimates[-1]["limits"]["max_num_seqs"] == {"value": 16.0, "source": "file"}


def test_what_cannot_be_read_is_warned_of(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """A bad line and a missing end cost what they hold; both are told, here and in the JSON."""
    lines = [scrape(START, s) for s in range(70)]
    path = written(tmp_path / "a.metrics.jsonl.gz", [*lines[:5], "oh", *lines[5:]])
    path.write_bytes(path.read_bytes()[:-9])
    status, out, err = _run(capsys, str(path), "--json")
    assert status == 0
    assert ":6: left out: is not JSON" in err
    assert "is damaged after line" in err
    assert len(json.loads(out)["warnings"]) == 2


@pytest.mark.parametrize("content", [b"", b"{}\n", b'{"t_start": 1, "status": 200}\n', b"\x1f\x8b"])
def test_another_file_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes
):
    """What is neither a recording nor captured pages is an error that names the file."""
    path = tmp_path / "other.jsonl.gz"
    path.write_bytes(content)
    status, out, err = _run(capsys, str(path))
    assert (status, out) == (2, "")
    assert "other.jsonl.gz" in err
    with pytest.raises(RecordingError):
        _moments(path)
