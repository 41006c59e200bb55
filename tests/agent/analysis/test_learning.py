"""What was learned of an engine is taken up by the next run, or dropped where it is another."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.analysis.engines import EngineAnalysis
from agent.analysis.learning import FORGOTTEN
from agent.analysis.terms import Prices, Terms
from agent.app.conclusions import Conclusions
from agent.config import Settings
from agent.model import Event, Reading, SeriesTable
from agent.recording import RecordingReader
from agent.replay import play
from tests.agent.analysis.hosts import START, Host

RECORDINGS = Path(__file__).parents[2] / "recordings"


def _run(host: Host, seconds: int, analysis: EngineAnalysis | None = None) -> list[Event]:
    """Have an analysis see a host for a while; return what was told of models."""
    analysis = analysis or EngineAnalysis()
    told: list[Event] = []
    for frame in host.frames(seconds):
        told += analysis.observe(frame).events
    return [event for event in told if event.kind.startswith("models_")]


def _document(host: Host, seconds: int = 10) -> Any:
    """Return what a run on a host leaves behind."""
    analysis = EngineAnalysis()
    _run(host, seconds, analysis)
    learning = analysis.learning
    learned = [learning.saved(replica) for replica in learning.replicas()]
    document = learning.document([one for one in learned if one], time=host.time)
    return json.loads(json.dumps(document))


def _after(document: Any, host: Host, seconds: int = 40) -> list[str]:
    """Return what the next run tells that begins with a document."""
    analysis = EngineAnalysis()
    assert analysis.learning.restore(document) == len(document["replicas"])
    host.time = START + 3600.0
    return [event.message for event in _run(host, seconds, analysis)]


def test_the_same_engine_goes_on():
    """A restart of the agent alone costs nothing that was learned, and is told in a sentence."""
    told = _after(_document(Host()), Host())
    assert told == ["what was learned of chat until 60 min ago is taken up again"]


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (Host(seqs=64.0), "max_num_seqs is 64, was 32"),
        (Host(version="0.33.0"), "version is '0.33.0', was '0.32.0'"),
        (Host(driver="590.2"), "driver_version is '590.2', was '580.1'"),
        (Host(gpu_name="NVIDIA A10"), "gpu_names is 'NVIDIA A10', was 'NVIDIA H200'"),
    ],
)
def test_another_engine_begins_anew(now: Host, why: str):
    """Flags, version, driver or GPU that are others drop what was learned, and are named."""
    assert _after(_document(Host()), now) == [f"what was learned of chat is dropped: {why}"]


def test_a_driver_that_does_not_answer_drops_nothing():
    """Without the driver the GPU is not known; that is waited for, and is no other GPU."""
    told = _after(_document(Host()), Host(driver=None))
    assert told == ["what was learned of chat until 60 min ago is taken up again"]


def test_flags_that_change_in_the_run_drop_what_was_learned():
    """An engine that is started anew with other flags is another one."""
    host, analysis = Host(), EngineAnalysis()
    assert not _run(host, 20, analysis)
    host.seqs = 8.0
    (event,) = _run(host, 30, analysis)
    assert event.message == "what was learned of chat is dropped: max_num_seqs is 8, was 32"
    assert event.labels["instance_name"] == "chat"


def test_models_that_make_no_sense_are_dropped():
    """A state that the models refuse costs itself, with a sentence; the analysis goes on."""
    document = _document(Host())
    document["replicas"][0]["models"]["step_time"] = {"stretches": [{"nonsense": 1}]}
    (told,) = _after(document, Host())
    assert told.startswith("what was learned of chat cannot be used and is dropped: ")


def test_an_engine_that_did_not_come_back_is_kept_for_a_week():
    """What was learned of an engine that is down now waits for it, and not for ever."""
    document = _document(Host(name="other"))
    analysis = EngineAnalysis()
    analysis.learning.restore(document)
    _run(Host(), 10, analysis)
    learning = analysis.learning
    for later, kept in ((3600.0, 1), (FORGOTTEN + 60.0, 0)):
        left = learning.document([], time=START + later)["replicas"]
        assert len(left) == kept
        assert left == document["replicas"][:kept]


def test_one_that_went_and_came_back_takes_up_what_it_was():
    """After an outage longer than the window the replica is new, and knows what it knew."""
    host, analysis = Host(), EngineAnalysis()
    _run(host, 10, analysis)
    other = Host(name="other")
    other.table, other.time = host.table, host.time
    for frame in other.frames(320):
        analysis.observe(frame)
    host.time = other.time
    told = _run(host, 40, analysis)
    assert [event.kind for event in told] == ["models_restored"]


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        {},
        {"version": 99, "replicas": [], "spent": None},
        {"version": 1, "replicas": [{"replica": ["a"]}], "spent": None},
        {"version": 1, "replicas": [], "spent": {"month": 1}},
        {"version": 1, "replicas": [], "spent": []},
        {"version": 1, "replicas": [], "spent": {"total": 10**400}},
        {
            "version": 1,
            "replicas": [
                {"replica": ["e", "i", "m", "0"], "fingerprint": {}, "time": 10**400, "models": {}}
            ],
            "spent": None,
        },
    ],
)
def test_a_document_of_another_kind_is_refused(broken: Any):
    """What is no such document is a ValueError that says so."""
    with pytest.raises(ValueError, match="it "):
        EngineAnalysis().learning.restore(broken)


def test_money_goes_on_over_a_restart():
    """What was spent this month is counted on from where the run before ended."""
    terms = Terms(prices=Prices(gpu_hour=36.0, currency="EUR"))
    first = EngineAnalysis()
    first.capacities.terms = terms
    _run(Host(), 101, first)
    spent = first.capacities.as_json()["spend"]["spend_month"]
    assert spent == pytest.approx(1.0, rel=0.06)
    again = EngineAnalysis()
    again.capacities.terms = terms
    again.learning.restore(json.loads(json.dumps(first.learning.document([], time=START))))
    host = Host()
    host.time = START + 200.0
    _run(host, 101, again)
    assert again.capacities.as_json()["spend"]["spend_month"] == pytest.approx(2.0, rel=0.06)


def test_what_a_real_engine_taught_is_json_and_comes_back():
    """The models of a recorded engine survive the file, and say the same right after it."""
    table = SeriesTable()
    first, again = (Conclusions(Settings()) for _ in range(2))
    pipelines = [one.pipeline(table) for one in (first, again)]
    ticks = [*RecordingReader(RECORDINGS / "vllm-ramp.rec.gz", table).ticks()]
    for tick in ticks:
        play(pipelines[0], tick, Reading((), ()))
    (replica,) = first.learning.replicas()
    saved = first.learning.saved(replica)
    assert saved is not None
    document = json.loads(json.dumps(first.learning.document([saved], time=ticks[-1].time)))
    assert again.learning.restore(document) == 1
    later = ticks[-1].time - ticks[0].time + 60.0
    for tick in ticks[:30]:
        play(pipelines[1], tick.shifted(later), Reading((), ()))
    before, after = (one.capacity()["replicas"][0] for one in (first, again))
    assert before["identifiable"]
    assert after["identifiable"]
    was, now = (one["stability_limit_tokens_per_minute"] for one in (before, after))
    assert now["low"] < was["estimate"] < now["high"]
    assert after["evidence"]["age_seconds"] > before["evidence"]["age_seconds"] + 30.0
