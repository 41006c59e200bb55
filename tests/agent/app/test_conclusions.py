"""What is concluded about real engines, from recordings of their pages."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.analysis.engines import EngineAnalysis
from agent.app.conclusions import Conclusions
from agent.app.targets import targets_of
from agent.catalog import verdict as catalog
from agent.catalog.verdict import Cause
from agent.config import Settings
from agent.config.settings import ModelTargets, Targets
from agent.model import Frame, Reading, SeriesTable
from agent.recording import RecordingReader
from agent.replay import play

RECORDINGS = Path(__file__).parents[2] / "recordings"
# What users of an engine on two CPU cores may expect.
SLOW = Targets(time_to_first_token=3.0, inter_token_latency=0.3)


def frames(name: str, conclusions: Conclusions) -> Iterator[Frame]:
    """Yield the frames of a recording, with what is concluded."""
    table = SeriesTable()
    pipeline = conclusions.pipeline(table)
    for tick in RecordingReader(RECORDINGS / f"{name}.rec.gz", table).ticks():
        yield play(pipeline, tick, Reading([], []))


def regimes(name: str) -> list[str]:
    """Return the causes through which the one engine of a recording went."""
    conclusions = Conclusions(Settings(targets=SLOW))
    for _frame in frames(name, conclusions):
        pass
    (replica,) = conclusions.as_json()["replicas"]
    return [regime["cause"] for regime in replica["regimes"]]


def test_a_ramp_into_a_small_cache_ends_in_kv_memory() -> None:
    """Real vLLM with 96 blocks: idle, well up to four streams, then out of KV cache, idle again."""
    assert regimes("vllm-ramp") == ["unknown", "idle", "healthy", "kv_memory", "idle"]


def test_llamacpp_is_at_its_slots() -> None:
    """Real llama.cpp with four slots under twelve streams, without any histogram."""
    assert regimes("llama-ramp")[-1] == "sequence_limit"


def test_an_engine_that_is_gone_is_unknown() -> None:
    """No verdict on what is not seen; what it died of is told as a death."""
    conclusions = Conclusions(Settings())
    for _frame in frames("vllm-enginecrash", conclusions):
        pass
    found = conclusions.as_json()
    assert found["replicas"][0]["verdict"]["cause"] == "unknown"
    assert found["deaths"]


def test_one_cause_at_a_time_is_on_the_page() -> None:
    """A state set: one 1 for each replica, from the first tick on which it is judged."""
    conclusions = Conclusions(Settings(targets=SLOW))
    changes = []
    for frame in frames("vllm-ramp", conclusions):
        states = {
            frame.table[series_id].labels[-1]: value
            for series_id, value in zip(frame.ids, frame.values, strict=True)
            if frame.table[series_id].metric is catalog.VERDICT
        }
        if states:
            assert states.keys() == {cause.value for cause in Cause}
            assert sorted(states.values())[-2:] == [0.0, 1.0]
        changes += [event for event in frame.events if event.kind == "verdict_changed"]
    assert [change.labels["cause"] for change in changes] == [
        "idle",
        "healthy",
        "kv_memory",
        "idle",
    ]
    assert "KV use reaches" in changes[2].message


def test_everything_known_is_json() -> None:
    """Without NaN and infinities, which JSON does not have."""
    conclusions = Conclusions(Settings(targets=SLOW))
    for _frame in frames("vllm-capacity", conclusions):
        pass
    found = json.loads(json.dumps(conclusions.as_json(), allow_nan=False))
    (replica,) = found["replicas"]
    assert replica["step_time"]["state"] == "fitted"
    assert replica["kv_cache"]["capacity_tokens"] == 511 * 32
    assert replica["latency"]["by_batch"]


def test_an_alert_carries_the_verdict_on_its_engine() -> None:
    """In words with the advice; an alert about something else carries none."""
    conclusions = Conclusions(Settings(targets=SLOW))
    ticks = frames("vllm-ramp", conclusions)
    for _second in range(120):
        next(ticks)
    said = conclusions.about({"alertname": "X", "engine": "vllm", "instance_name": "chat"})
    assert said.startswith("chat: kv_memory: KV use reaches")
    assert "max-num-seqs" in said
    assert conclusions.about({"alertname": "X", "instance_name": "another"}) == ""
    assert conclusions.about({"alertname": "HostDiskFull"}) == ""


def test_an_alert_about_a_rank_carries_the_verdict_on_that_rank() -> None:
    """The engine's other ranks are another matter."""
    conclusions = Conclusions(Settings(targets=SLOW))
    for _second, _frame in zip(range(20), frames("vllm-ramp", conclusions), strict=False):
        pass
    alert = {"engine": "vllm", "instance_name": "chat"}
    assert conclusions.about({**alert, "rank": "0"})
    assert conclusions.about({**alert, "rank": "1"}) == ""


def test_an_alert_goes_out_without_a_verdict_that_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What fails in putting it into words costs the words, and neither the alert nor the tick."""
    conclusions = Conclusions(Settings(targets=SLOW))
    for _second, _frame in zip(range(20), frames("vllm-ramp", conclusions), strict=False):
        pass

    def broken(_analysis: EngineAnalysis, _labels: object) -> None:
        raise ValueError

    monkeypatch.setattr(EngineAnalysis, "instances_of", broken)
    assert conclusions.about({"instance_name": "chat"}) == "not known: ValueError"


@pytest.mark.parametrize(
    ("model", "first", "gap"), [("big", 5.0, 0.066), ("small", 1.0, 0.03), ("other", 1.0, 0.066)]
)
def test_a_model_has_its_own_targets(model: str, first: float, gap: float) -> None:
    """What is not said for it is as for all."""
    targets = targets_of(
        Targets(
            models=(
                ModelTargets(model_name="big", time_to_first_token=5.0),
                ModelTargets(model_name="small", inter_token_latency=0.03),
            )
        )
    )(model)
    assert (targets.time_to_first_token, targets.inter_token_latency) == (first, gap)
