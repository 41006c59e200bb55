"""An incident holds five minutes before its trigger and two after, whatever the disk does."""

import gzip
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agent.catalog import forecast
from agent.incidents.folder import Folder
from agent.incidents.post_mortem import post_mortem
from agent.incidents.recorder import AFTER, BEFORE
from agent.incidents.summary import summary
from agent.model import Event, SeriesTable
from agent.recording import RecordingReader
from agent.store.ticks import Tick
from tests.agent.incidents.running import DIED, Run, event
from tests.fakes.samples import samples


def test_minutes_before_and_after(tmp_path: Path):
    """Every tick from 300 s before to 120 s after, at full rate, values and events as they were."""
    run = Run(tmp_path / "incidents")
    run.ticks(319)
    run.tick(event("something", "a thing before"))
    began = run.tick(DIED).time
    run.ticks(50)
    run.tick(event("engine_recovered", "serves again", instance_name="chat"))
    run.ticks(100)
    [found] = run.finish()
    assert (found.state, found.trigger, found.engine) == ("complete", "engine_died", "chat")
    assert found.start == began - BEFORE + 1
    assert found.end == began + AFTER
    assert found.ticks == BEFORE + AFTER
    table = SeriesTable()
    reader = RecordingReader(tmp_path / "incidents" / f"{found.id}.rec.gz", table)
    kinds = []
    for tick in reader.ticks():
        [look] = tick.looks
        assert look.reading is not None
        assert samples(table, look.reading)["ticks_total"] == tick.time
        kinds += [(one.kind, tick.time - began) for one in look.reading.events]
    assert kinds == [
        ("something", -1.0),
        ("engine_died", 0.0),
        ("incident_trigger", 0.0),
        ("engine_recovered", 51.0),
    ]
    assert run.rests > found.ticks
    own = run.own()
    assert own['incidents_total{trigger="engine_died"}'] == 1.0
    assert own["incident_last_timestamp_seconds"] == began
    assert own["incident_write_failures_total"] == 0.0
    assert run.told == ["an incident is recorded: died"]


def test_the_past_is_on_disk_at_once(tmp_path: Path):
    """Before another tick comes, the minutes before can be read: the host may go next."""
    run = Run(tmp_path)
    run.ticks(107)
    run.tick(DIED)
    writing = run.recorder._open
    assert writing is not None
    while writing.writing.size is None:
        threading.Event().wait(0.001)
    [found] = [summary(entry) for entry in run.folder.entries()]
    assert found.state == "incomplete"
    assert found.ticks == 108
    run.finish()


def test_a_disk_that_hangs_delays_nothing(tmp_path: Path):
    """While the disk takes nothing ticks go on, and what it missed is written when it is back."""
    run = Run(tmp_path)
    free = threading.Event()
    rows = run.rows

    def hang(after: float, until: float) -> Iterator[Tick]:
        free.wait(30)
        return rows(after, until)

    run.rows = hang
    run.ticks(10)
    run.tick(DIED)
    run.ticks(int(AFTER) + 5)  # would not return
    run.tick(event("xid", "XID 79", code="79"))
    assert run.own()['incidents_total{trigger="engine_died"}'] == 1.0
    assert "is not written yet: XID 79" in run.told[-1]
    free.set()
    [found] = run.finish()
    assert found.state == "complete"
    assert found.ticks == 11 + AFTER


def test_one_incident_takes_up_further_triggers(tmp_path: Path):
    """What happens while an incident is recorded is a part of it."""
    run = Run(tmp_path)
    run.tick(event("oom_kill", "killed", process="python"))
    run.tick(DIED)
    run.ticks(int(AFTER) + 5)
    [found] = run.finish()
    assert found.trigger == "oom_kill"
    kinds = [line["kind"] for line in post_mortem(run.folder.find(found.id))["timeline"]]
    assert kinds.count("incident_trigger") == 2


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([event("engine_died", cause="stopped", instance_name="chat")], []),
        ([event("engine_hung", cause="hung", instance_name="chat")], ["engine_hung"]),
        ([event("xid", code="79", uuid="GPU-a")], ["xid"]),
        ([event("xid", code="45", uuid="GPU-a")], []),
        ([event("alert_firing", severity="critical", alertname="A")], ["alert"]),
        ([event("alert_firing", severity="page", alertname="A")], ["alert"]),
        ([event("alert_firing", severity="warning", alertname="A")], []),
        ([event("alert_resolved", severity="critical", alertname="A")], []),
        ([event("engine_restarted", instance_name="chat")], []),
    ],
)
def test_what_triggers(tmp_path: Path, events: Sequence[Event], expected: list[str]):
    """Deaths and hangs, XIDs that are no consequence, and critical alerts; nothing else."""
    run = Run(tmp_path)
    run.tick(*events)
    assert [one.trigger for one in run.finish()] == expected


def test_memory_that_runs_out_soon(tmp_path: Path):
    """A forecast of memory below two minutes is an incident once, for as long as it lasts."""
    run = Run(tmp_path)
    run.set(forecast.GPU_MEMORY_EXHAUSTION, 500.0, "0", "GPU-a", "", "estimate")
    run.set(forecast.GPU_MEMORY_EXHAUSTION, 50.0, "0", "GPU-a", "", "low")
    run.ticks(5)
    assert run.own() == {"incident_write_failures_total": 0.0}
    run.set(forecast.GPU_MEMORY_EXHAUSTION, 90.0, "0", "GPU-a", "", "estimate")
    run.ticks(1000)
    [found] = run.finish()
    assert found.trigger == "oom_near"
    assert found.text == "the free memory of GPU 0 is foreseen to be used up in 90 s"


def test_a_storm_is_one_incident_and_each_death_another(tmp_path: Path):
    """The same XID again and again is recorded once; an engine that dies again, again."""
    run = Run(tmp_path)
    for _minute in range(30):
        run.tick(event("xid", code="31", uuid="GPU-a"))
        run.ticks(59)
    assert run.own()['incidents_total{trigger="xid"}'] == 1.0
    for _minute in range(30):
        run.tick(DIED)
        run.ticks(59)
        writing = run.recorder._closing
        if writing is not None:
            assert writing.wait(10)
    assert run.own()['incidents_total{trigger="engine_died"}'] >= 10.0
    run.finish()


def test_room_is_bounded(tmp_path: Path):
    """The oldest incidents make room for new ones, by number and by size; others' files stay."""
    foreign = tmp_path / "notes.txt"
    foreign.write_text("keep")
    run = Run(tmp_path, count=2)
    ids = []
    for _incident in range(4):
        run.tick(DIED)
        run.ticks(int(AFTER) + 2)
        writing = run.recorder._closing
        assert writing is None or writing.wait(10)
        ids.append(run.folder.entries()[-1].id)
    assert [entry.id for entry in run.folder.entries()] == ids[-2:]
    assert foreign.exists()
    small = Folder(tmp_path, max_count=50, max_size=1)
    assert small.make_room(run.folder.entries()[-1].path) > 1
    assert [entry.id for entry in run.folder.entries()] == ids[-1:]


def test_a_folder_that_cannot_be_written(tmp_path: Path):
    """It is said and counted, and everything else goes on."""
    (tmp_path / "file").write_text("")
    run = Run(tmp_path / "file" / "incidents")
    run.tick(DIED)
    run.ticks(5)
    run.finish()
    run.ticks(1)
    assert run.own()["incident_write_failures_total"] == 1.0
    assert any(sentence.startswith("an incident cannot be recorded") for sentence in run.told)


def test_stopping_ends_an_incident_well(tmp_path: Path):
    """An agent that is stopped leaves a whole file with what there was."""
    run = Run(tmp_path)
    run.ticks(5)
    run.tick(DIED)
    run.ticks(15)
    [found] = run.finish()
    assert (found.state, found.ticks) == ("incomplete", 21)
    with gzip.open(run.folder.find(found.id), "rt") as file:
        assert all(json.loads(line) for line in file)
    run.finish()


def test_a_clock_that_is_set_ends_nothing_early(tmp_path: Path):
    """Two minutes are two minutes on a clock that nobody sets."""
    run = Run(tmp_path)
    run.tick(DIED)
    run.clock.set_time(run.clock.time() + 3600)
    run.ticks(60)
    assert run.recorder._open is not None
    run.ticks(70)
    assert run.recorder._open is None
    run.finish()
