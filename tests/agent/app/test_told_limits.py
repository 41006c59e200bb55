"""A limit that the configuration tells reaches all that a limit matters to, and alike."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.app.conclusions import Conclusions
from agent.catalog import engine
from agent.config import Settings
from agent.config.planning import Capacity, EngineLimits
from agent.model import Event, Frame, Reading, SeriesTable
from agent.recording import RecordingReader
from agent.replay import play
from tests.agent.analysis.hosts import Host
from tests.recordings.capture import scrape, written
from tests.simulator import small_caches
from tests.simulator.truth import Cause

RECORDING = Path(__file__).parents[2] / "recordings" / "vllm-capacity.rec.gz"
ROOT = Path(__file__).parents[3]
FORECAST_RULES = ROOT / "agent" / "alerts" / "rules" / "forecast.yml"
LIMIT = 32
"""Sequences with which the engine of the recording was started; its page does not show it."""


def _settings(*limits: EngineLimits) -> Settings:
    """Return settings that tell these limits and nothing else."""
    return Settings(capacity=Capacity(limits=limits))


def _frames(conclusions: Conclusions) -> Iterator[Frame]:
    """Yield the frames of the recording."""
    table = SeriesTable()
    pipeline = conclusions.pipeline(table)
    for tick in RecordingReader(RECORDING, table).ticks():
        yield play(pipeline, tick, Reading((), ()))


def _shown(frame: Frame) -> float | None:
    """Return the limit on sequences that a frame shows."""
    pairs = zip(frame.ids, frame.values, strict=True)
    found = [value for one, value in pairs if frame.table[one].metric is engine.MAX_NUM_SEQS]
    assert len(found) <= 1
    return found[0] if found else None


def test_frame_verdict_and_capacity_have_the_same_limit():
    """What is told is on the page and behind the verdict, and capacity says where it is from."""
    conclusions = Conclusions(_settings(EngineLimits(instance="chat", max_num_seqs=LIMIT)))
    frames = _frames(conclusions)
    shown = {_shown(frame) for _second, frame in zip(range(60), frames, strict=False)}
    assert shown <= {None, float(LIMIT)}
    assert float(LIMIT) in shown
    (replica,) = conclusions.as_json()["replicas"]
    assert replica["verdict"]["numbers"]["max_num_seqs"] == LIMIT
    (replica,) = conclusions.capacity()["replicas"]
    assert replica["limits"]["max_num_seqs"] == {"value": LIMIT, "source": "file"}


def test_a_reload_changes_it_everywhere():
    """Another limit counts from the next tick on, and one that is told no more is unknown."""
    conclusions = Conclusions(_settings(EngineLimits(max_num_seqs=LIMIT)))
    frames = _frames(conclusions)

    def after(seconds: int) -> tuple[Any, ...]:
        *_before, frame = (one for _second, one in zip(range(seconds), frames, strict=False))
        (judged,), (carried,) = (
            said["replicas"] for said in (conclusions.as_json(), conclusions.capacity())
        )
        return (
            _shown(frame),
            judged["verdict"]["numbers"].get("max_num_seqs"),
            carried["limits"]["max_num_seqs"]["value"],
        )

    assert after(40) == (LIMIT, LIMIT, LIMIT)
    conclusions.use(_settings(EngineLimits(max_num_seqs=64)))
    assert after(20) == (64, 64, 64)
    conclusions.use(_settings(EngineLimits(instance="other", max_num_seqs=8)))
    assert after(20) == (None, None, None)


@pytest.mark.parametrize(
    ("config", "alerts"),
    [("", ["EngineKvExhaustionSoon"]), (f"{{max_num_seqs: {LIMIT}}}", [])],
)
def test_a_backtest_warns_of_no_cache_that_cannot_fill(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], config: str, alerts: list[str]
):
    """More than the told 32 never run, so however many wait nothing fires; untold it would."""
    path = tmp_path / "config.yaml"
    path.write_text(f"capacity: {{limits: [{config}]}}\n")
    arguments = ["--rules", str(FORECAST_RULES), "--config", str(path), "--json"]
    assert main(["backtest", str(RECORDING), *arguments]) == 0
    firings = json.loads(capsys.readouterr().out)["firings"]
    assert [one["alert"] for one in firings] == alerts


@pytest.mark.parametrize(("limit", "how"), [("2", "of 2.0 allowed"), ("null", "of 2.0 that it")])
def test_an_estimate_judges_by_the_limits_of_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: str, how: str
):
    """Of a batch of two with a queue the verdict says whether two are allowed, or were seen."""
    queue = ('num_requests_waiting{engine=\\"0\\",model_name=\\"tiny\\"} ', "0", "5")
    lines = [
        scrape(1.8e9, second).replace(queue[0] + queue[1], queue[0] + queue[2])
        for second in range(61)
    ]
    path = written(tmp_path / "run.metrics.jsonl.gz", lines)
    limits = tmp_path / "limits.yaml"
    limits.write_text(f"max_num_seqs: {limit}\n")
    assert main(["estimate", str(path), "--limits", str(limits), "--json"]) == 0
    (replica,) = json.loads(capsys.readouterr().out)["replicas"]
    verdict = replica["estimates"][-1]["verdict"]
    assert verdict["cause"] == "sequence_limit"
    assert f"batch is 2.0 {how}" in verdict["sentence"]


def _simulated(*, told: bool) -> Conclusions:
    """Return what is concluded of a queue for places whose limits are told, or read."""
    simulation = small_caches.kv_limited_queue(random.Random(6))
    simulation.seconds = 200
    limits = simulation.members[0].engines[0].limits
    settings = Settings()
    if told:
        simulation.replicas[0].facts.clear()
        settings = _settings(
            EngineLimits(
                max_num_seqs=limits.max_num_seqs,
                max_num_batched_tokens=limits.max_num_batched_tokens,
            )
        )
    conclusions, table = Conclusions(settings), SeriesTable()
    pipeline = conclusions.pipeline(table)
    waited = False
    for frame, truth in simulation.run(table):
        pipeline.conclude(frame.time, (), Reading(frame.ids, frame.values))
        waited |= truth.cause is Cause.SEQUENCE_LIMIT
    assert waited
    return conclusions


def test_what_is_told_is_worth_what_is_read():
    """The same engine is judged, foreseen and reckoned alike; only the source is another."""
    read, told = _simulated(told=False), _simulated(told=True)
    assert told.as_json() == read.as_json()
    (was,), (now,) = (one.capacity()["replicas"] for one in (read, told))
    before, after = was.pop("limits"), now.pop("limits")
    assert now == was
    assert {name: one["value"] for name, one in after.items()} == {
        name: one["value"] for name, one in before.items()
    }
    assert before["max_num_batched_tokens"]["source"] == "command_line"
    assert after["max_num_batched_tokens"]["source"] == "file"


def _events(host: Host, limits: tuple[int | None, ...]) -> list[Event]:
    """Return what is told while a host runs for 40 s under each of these limits."""
    conclusions = Conclusions(Settings())
    pipeline = conclusions.pipeline(host.table)
    found: list[Event] = []
    for limit in limits:
        told = () if limit is None else (EngineLimits(max_num_seqs=limit),)
        conclusions.use(_settings(*told))
        for frame in host.frames(40):
            given = Reading(frame.ids, frame.values)
            found += pipeline.conclude(frame.time, (), given).events
    return found


def test_telling_another_limit_drops_nothing_that_was_learned():
    """Who corrects a configuration has started no other engine; one is contradicted, and told."""
    found = _events(Host(seqs=32.0), (None, 64, 128, None))
    assert [one.kind for one in found if one.kind != "verdict_changed"] == [
        "limit_contradicted"
    ] * 2


def test_an_engine_that_is_another_behind_a_told_limit_begins_anew():
    """What was read before and after is compared, though a told limit stood between."""
    host = Host(seqs=32.0)
    conclusions = Conclusions(Settings())
    pipeline = conclusions.pipeline(host.table)
    found: list[Event] = []
    for limits, seqs in (((), 32.0), ((EngineLimits(max_num_seqs=8),), 64.0), ((), 64.0)):
        conclusions.use(_settings(*limits))
        host.seqs = seqs
        for frame in host.frames(40):
            given = Reading(frame.ids, frame.values)
            found += pipeline.conclude(frame.time, (), given).events
    assert [one.message for one in found if one.kind == "models_dropped"] == [
        "what was learned of chat is dropped: max_num_seqs is 64, was 32"
    ]
