"""Recordings without names."""

import gzip
from pathlib import Path

import pytest

from agent.catalog import METRICS, process
from agent.model import (
    Event,
    Look,
    Reading,
    SeriesTable,
    SourceSpec,
)
from agent.recording import RecordingReader, Scrubber
from tests.agent.recording.written import (
    write,
)
from tests.fakes.looks import Tick

PROCESS = next(
    metric
    for metric in vars(process).values()
    if getattr(metric, "labels", ()) and "process" in metric.labels
)

PRIVATE = [
    "alice-trainer", "/home/alice/models/secret-7b", "./secret-7b.gguf", "../secret-7b",
    "models/secret-7b.gguf", "~/secret-7b", "file:///secret-7b", "s3://secret-7b/x",
    "models/secret-7b.ckpt", "secret-7b/weights.v2", "alice/secret-7b", "secret-7b",
]  # fmt: skip


@pytest.mark.parametrize("private", PRIVATE)
def test_scrubbing_leaves_nothing(tmp_path: Path, private: str):
    """No name of a process and no path is anywhere in a scrubbed file, whoever said it."""
    table = SeriesTable()
    labels = [private if name == "process" else "x" for name in PROCESS.labels]
    model = next(metric for metric in METRICS.values() if "model_name" in metric.labels)
    path_labels = [private if name == "model_name" else "x" for name in model.labels]
    ids = [table.intern(PROCESS, labels)]
    event_labels = {"process": private}
    name = f"engine/{private}"
    ids.append(table.intern(model, path_labels))
    event_labels |= {"model": private, "command": private}
    event = Event(1.0, "oom_kill", name, event_labels, f"killed {private}")
    looks = [
        Look(source=name, duration=0.1, reading=Reading(ids, [1.0] * len(ids), [event])),
        Look(source=name, duration=0.1, error=f"cannot open {private}", facts=Reading(ids, [1, 1])),
        Look(source=name, duration=0.1, error=f"no {private}", unavailable=True),
    ]
    spec = SourceSpec(name=name, stale_after=1.0)
    ticks = [Tick(1.0, looks, {name: spec}, []), Tick(2.0, [], {}, [name])]
    write(tmp_path / "r", table, ticks, Scrubber())
    first, second = RecordingReader(tmp_path / "r", SeriesTable()).ticks()
    assert list(second.gone) == [spec.name for spec in first.appeared]
    assert {look.source for look in first.looks} == {*second.gone}
    text = gzip.decompress((tmp_path / "r").read_bytes()).decode()
    assert "secret-7b" not in text
    assert "alice" not in text


def test_scrubbing_is_consistent_and_leaves_the_rest():
    """The same text gets the same word, another another; what is no name or path stays."""
    scrubber = Scrubber()
    words = [scrubber.label("process", name) for name in ("one", "two", "one")]
    assert words == ["process-1", "process-2", "process-1"]
    assert scrubber.label("path", "/") == "path-3"
    assert scrubber.label("model_name", "meta-llama/Llama-3.1-8B") == "model_name-4"
    kept = {"version": "0.32.0", "gpu": "0", "process": "", "uuid": "GPU-1/2", "mode": "a/b"}
    for name, value in kept.items():
        assert scrubber.label(name, value) == value
    assert scrubber.label("version", "s3://bucket") == "version-5"
    assert scrubber.source("host") == "host"
    assert scrubber.source("engine/one") == "engine/process-1"
    event = scrubber.event(Event(1.0, "oom_kill", "a", {"process": "one"}, "killed one"))
    assert event == Event(1.0, "oom_kill", "a", {"process": "process-1"})
