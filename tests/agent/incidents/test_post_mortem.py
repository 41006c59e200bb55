"""What is told of an incident afterwards, from its file alone."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.__main__ import main
from agent.analysis.deaths import Deaths
from agent.catalog import agent, engine, forecast, gpu, host, placement, process, verdict
from agent.catalog.verdict import Cause
from agent.incidents.folder import Folder
from agent.incidents.recorder import AFTER
from agent.incidents.summary import summary
from agent.model import EMPTY_READING, Event, SeriesTable
from agent.pipeline import Pipeline
from agent.recording import RecordingReader
from agent.replay import play
from tests.agent.incidents.running import DIED, Run, event
from tests.fakes.closed import closed

CRASH = Path(__file__).parents[2] / "recordings" / "vllm-enginecrash.rec.gz"
CHAT = ("vllm", "chat", "m", "")
GIB = 2.0**30


def recorded(path: Path) -> str:
    """Record an incident with a bit of everything, and return its name."""
    run = Run(path)
    run.set(agent.ENGINE_UP, 1.0, *CHAT[:2])
    run.set(engine.REQUESTS_RUNNING, 9.0, *CHAT)
    run.set(engine.REQUESTS_WAITING, 3.0, *CHAT)
    run.set(engine.KV_CACHE_USAGE, 0.75, *CHAT)
    run.set(gpu.MEMORY_USED, 70 * GIB, "0", "GPU-a", "")
    run.set(gpu.MEMORY_TOTAL, 80 * GIB, "0", "GPU-a", "")
    for pid, held in (("41", 1), ("42", 69)):
        run.set(gpu.PROCESS_MEMORY, held * GIB, "0", "GPU-a", "", pid, "VLLM::Worker")
    run.set(process.RESIDENT_MEMORY, 8 * GIB, *CHAT[:2], "core")
    run.set(host.MEMORY_AVAILABLE, 2 * GIB)
    run.set(placement.GPU_MEMORY, 30 * GIB, *CHAT[:2], "0", "GPU-a", "", "weights", "measured")
    for bound, seconds in (("low", 40.0), ("estimate", 60.0), ("high", 90.0)):
        run.set(forecast.PREEMPTION, seconds, *CHAT, bound)
    for cause in Cause:
        run.set(verdict.VERDICT, float(cause is Cause.HEALTHY), *CHAT, cause)
    run.ticks(20)
    run.set(verdict.VERDICT, 0.0, *CHAT, Cause.HEALTHY)
    run.set(verdict.VERDICT, 1.0, *CHAT, Cause.KV_MEMORY)
    run.ticks(10)
    since = run.clock.time()
    run.set(agent.ENGINE_UP, 0.0, *CHAT[:2])
    run.set(engine.REQUESTS_RUNNING, 0.0, *CHAT)
    run.ticks(4)
    labels = {"engine": "vllm", "instance_name": "chat", "cause": "oom_kill"}
    run.tick(Event(since, "engine_died", "deaths", labels, "vllm chat died: killed"))
    run.ticks(30)
    run.set(agent.ENGINE_UP, 1.0, *CHAT[:2])
    again = Event(run.clock.time(), "engine_recovered", "deaths", labels, "vllm chat serves again")
    run.tick(again)
    run.ticks(int(AFTER))
    [found] = run.finish()
    return found.id


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what a command prints."""
    assert main(["incidents", *arguments]) == 0
    return capsys.readouterr().out


def test_the_account(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Timeline, verdicts, memory, processes and forecasts as of before, and when it was over."""
    name = recorded(tmp_path)
    found: dict[str, Any] = json.loads(
        shown(capsys, "--path", str(tmp_path), "show", name, "--json")
    )
    began = found["began_timestamp_seconds"]
    assert found["id"] == name
    assert found["detection_delay_seconds"] == 4.0
    assert found["ended_timestamp_seconds"] == began + 35
    assert found["moment_timestamp_seconds"] == began - 1
    timeline = [(one["timestamp_seconds"] - began, one["kind"]) for one in found["timeline"]]
    assert timeline == [
        (-30.0, "verdict"),
        (-10.0, "verdict"),
        (0.0, "engine_up"),
        (0.0, "engine_died"),
        (4.0, "incident_trigger"),
        (35.0, "engine_recovered"),
        (35.0, "engine_up"),
    ]
    [chat] = found["engines"]
    assert (chat["verdict"], chat["requests_running"], chat["up"]) == ("kv_memory", 9.0, True)
    assert [one["pid"] for one in found["processes_by_gpu_memory"]] == ["42", "41"]
    [split] = found["memory_split"]
    assert (split["part"], split["size_bytes"]) == ("weights", 30 * GIB)
    [foreseen] = found["forecasts"]
    assert foreseen["estimate_seconds"] == 60.0
    assert found["recorded"]["problem"] == ""


def test_a_verdict_that_an_event_tells_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The event says why as well, so the change of the series is not told beside it."""
    run = Run(tmp_path)
    run.set(verdict.VERDICT, 1.0, *CHAT, Cause.HEALTHY)
    run.tick()
    run.set(verdict.VERDICT, 0.0, *CHAT, Cause.HEALTHY)
    run.set(verdict.VERDICT, 1.0, *CHAT, Cause.KV_MEMORY)
    run.tick(event("verdict_changed", "chat: healthy → kv_memory: full"), DIED)
    [found] = run.finish()
    text = shown(capsys, "--path", str(tmp_path), "show", found.id)
    assert "healthy → kv_memory: full" in text
    assert "before that healthy" not in text


def test_the_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The same for people, under the beginning of its name and by the path of its file."""
    name = recorded(tmp_path)
    text = shown(capsys, "--path", str(tmp_path), "show", name[:11])
    assert text == shown(capsys, "show", str(tmp_path / f"{name}.rec.gz"))
    for line in (
        f"Incident {name}: vllm chat died: killed",
        "  trigger    engine_died, chat",
        ", 4.0 s later",
        ", after 35 s",
        "     -10.0 s  verdict                vllm chat m: kv_memory, before that healthy",
        "  engine     vllm chat m: verdict kv_memory, 9 running, 3 waiting, KV cache 75% full",
        "  memory     chat on GPU 0: weights 30.0 GiB, measured",
        "  GPU 0      70.0 GiB of 80.0 GiB used",
        "  on GPU 0    69.0 GiB  VLLM::Worker (process 42)",
        "  in memory    8.0 GiB  chat core",
        "  host       2.0 GiB available",
        "  forecast   engine_preemption_forecast vllm chat m: 1 min 0 s (40 s to 1 min 30 s)",
    ):
        assert line in text, text


def test_the_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The newest first, with time, trigger, engine, length and size; the same as JSON."""
    name = recorded(tmp_path)
    (tmp_path / "20200101T000000Z.rec.gz").write_bytes(b"no gzip")
    _head, line, damaged = shown(capsys, "--path", str(tmp_path)).splitlines()
    assert line.split()[:6] == [name, "engine_died", "chat", "2", "min", "34"]
    assert line.endswith("vllm chat died: killed")
    assert "20200101T000000Z" in damaged
    assert "[damaged: Not a gzipped file" in damaged
    newest, oldest = json.loads(shown(capsys, "--json", "--path", str(tmp_path)))
    assert newest["id"] == name
    assert newest["size_bytes"] == (tmp_path / f"{name}.rec.gz").stat().st_size
    assert (oldest["state"], oldest["time_timestamp_seconds"]) == ("damaged", None)


def test_an_agent_that_has_had_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Its folder is empty, or not made yet: that is no error, and where it is, is said."""
    folder = tmp_path / "incidents"
    config = tmp_path / "c.yaml"
    config.write_text(f"history: {{path: {tmp_path}/history.db}}\n")
    assert shown(capsys, "--config", str(config)) == f"no incidents in {folder}\n"
    folder.mkdir()
    assert shown(capsys, "--path", str(folder)) == f"no incidents in {folder}\n"
    assert json.loads(shown(capsys, "--json", "--path", str(folder))) == []


def test_a_path_that_is_no_folder_of_incidents(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A mistake in the path is told, with what would be right, and is not taken for calm."""
    name = recorded(tmp_path / "incidents")
    (tmp_path / "history.db").touch()

    def told(path: Path) -> str:
        for what in ([], ["--json"], ["show", name]):
            assert main(["incidents", "--path", str(path), *what]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        [line] = {*err.splitlines()}
        return line

    assert told(tmp_path / "none").startswith(
        f"{tmp_path}/none: there is no such folder; the agent"
    )
    assert told(tmp_path) == (
        f"{tmp_path}: is for other things than incidents; did you mean {tmp_path}/incidents?"
    )
    file = tmp_path / "history.db"
    assert told(file) == f"{file}: is no folder; inferwatch incidents show {file} reads one file"
    with closed(tmp_path / "incidents"):
        assert told(tmp_path / "incidents") == (
            f"{tmp_path}/incidents: cannot be read: Permission denied"
        )


def test_a_file_that_is_not_there_is_no_name_of_an_incident(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """What has a folder or an ending is looked for as a file, and told as one."""
    file = tmp_path / "none.rec.gz"
    assert main(["incidents", "show", str(file)]) == 1
    assert capsys.readouterr().err == f"{file}: there is no such file\n"
    assert main(["incidents", "show", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"{tmp_path}: cannot be read: Is a directory\n"


@pytest.mark.parametrize("arguments", [["2"], ["20990101T000000Z"], ["../nothing"]])
def test_what_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
):
    """A name of none, or of several, is said in one line with a status of 1."""
    for name in ("20260101T000000Z", "20260102T000000Z"):
        (tmp_path / f"{name}.rec.gz").write_bytes(b"")
    assert main(["incidents", "--path", str(tmp_path), "show", *arguments]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _scratch(data: bytes) -> bytes:
    return data[:2000] + bytes(50) + data[2050:]


@pytest.mark.parametrize(
    ("harm", "state"),
    [
        (_cut, "incomplete"),
        (_scratch, "damaged"),
        (lambda _data: b"", "damaged"),
        (lambda _data: gzip.compress(b"{}"), "damaged"),
        (lambda _data: gzip.compress(b"[1,2"), "damaged"),
        (lambda _data: gzip.compress(b'{"inferwatch_recording":1,"incident":{}}\n'), "damaged"),
    ],
)
def test_damaged_files_are_listed_as_such(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[bytes], bytes],
    state: str,
):
    """Whatever a file is, the list goes on; what can be read of it can still be shown."""
    name = recorded(tmp_path)
    path = tmp_path / f"{name}.rec.gz"
    path.write_bytes(harm(path.read_bytes()))
    [found] = json.loads(shown(capsys, "--json", "--path", str(tmp_path)))
    assert found["state"] == state
    assert found["problem"]
    if found["ticks"] > 1:
        found = json.loads(shown(capsys, "show", str(path), "--json"))
        assert found["recorded"]["problem"]
    else:
        assert main(["incidents", "show", str(path)]) in (1, 2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_can_be_listed(tmp_path: Path, data: bytes, packed: bool):  # noqa: FBT001
    """No file makes the list fail."""
    (tmp_path / "20260101T000000Z.rec.gz").write_bytes(gzip.compress(data) if packed else data)
    [entry] = Folder(tmp_path, max_count=1, max_size=1).entries()
    assert summary(entry).state == "damaged"


def test_replay_plays_an_incident(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """`replay` takes the name of an incident as well as its file, and gives its last page."""
    name = recorded(tmp_path / "incidents")
    config = tmp_path / "c.yaml"
    config.write_text(f"history: {{path: {tmp_path}/history.db}}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["replay", name, "--print", "--config", str(config)]) == 0
    page = capsys.readouterr().out
    assert "inferwatch_engine_requests_waiting{" in page
    assert f'recording="{name}.rec.gz"' in page
    assert main(["replay", str(tmp_path / "incidents" / f"{name}.rec.gz"), "--print"]) == 0
    assert "inferwatch_engine_requests_waiting{" in capsys.readouterr().out


def test_the_crash_that_was_captured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A real crash, played through pipeline and recorder, becomes an incident that explains it."""
    run = Run(tmp_path)
    pipeline = Pipeline(run.table, analyses=(Deaths(),))
    for tick in RecordingReader(CRASH, run.table).ticks():
        frame = play(pipeline, tick, EMPTY_READING)
        run.take(frame)
    [found] = run.finish()
    assert (found.trigger, found.engine) == ("engine_died", "chat")
    text = shown(capsys, "--path", str(tmp_path), "show", found.id)
    assert "vllm chat does not answer" in text
    assert "nothing wrong there, so only its log can tell" in text
    assert "running" in text


def test_tables_are_separate(tmp_path: Path):
    """Reading needs nothing of the run that wrote: another table, another process."""
    run = Run(tmp_path)
    run.tick(DIED, event("x"))
    [found] = run.finish()
    reader = RecordingReader(run.folder.find(found.id), SeriesTable())
    assert [tick.time for tick in reader.ticks()] == [found.start]
