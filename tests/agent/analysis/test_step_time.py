"""The part of the analysis that learns the step time, on recordings of real engines."""

import json
from pathlib import Path

import pytest

from agent.analysis import step_time
from agent.analysis.replicas import Replicas
from agent.analysis.step_time import StepTime
from agent.analysis.window import View, Window
from agent.app.conclusions import new_pipeline
from agent.catalog import engine, metrics_of
from agent.catalog import latency as catalog
from agent.model import Reading, SeriesTable
from agent.recording import RecordingReader
from agent.replay import play

RECORDINGS = Path(__file__).parents[2] / "recordings"
LABELS = ("vllm", "chat", "m", "0")


def _view(name: str) -> View:
    """Return all of a recording."""
    table = SeriesTable()
    pipeline = new_pipeline(table)
    window = Window(metrics_of(engine), span=1e9)
    for tick in RecordingReader(RECORDINGS / f"{name}.rec.gz", table).ticks():
        window.append(play(pipeline, tick, Reading([], [])))
    return next(iter(Replicas(window).views(table).values()))


@pytest.fixture(scope="module")
def capacity() -> View:
    """Return a real vLLM under rising load."""
    return _view("vllm-capacity")


def _played(view: View, *, every: int = 3) -> StepTime:
    """Return the part after it has seen a view as the agent shows it."""
    part = StepTime()
    for end in range(1, len(view) + 1, every):
        part.observe(view.rows(max(0, end - 300), end))
    part.observe(view)
    return part


def test_real_engine_has_its_law_found(capacity: View):
    """Of a real vLLM the law explains nearly all, and agrees with its saturated throughput.

    31 sequences and 80 prompt tokens a step took 0.174 s, the mean of its last busy seconds, in
    which other work disturbed it; the law leaves such seconds out and stays below.
    """
    model = _played(capacity).observe(capacity).model
    assert model is not None
    assert model.identifiable
    assert model.explained > 0.95
    assert model.residual < 0.08
    assert model.predict(80.5, 31.2, 12800).estimate == pytest.approx(0.174, rel=0.1)


def test_llamacpp_has_a_law_without_histograms():
    """An engine without histograms is learned from its steps, prompt tokens and slots."""
    view = _view("llama-ramp")
    model = _played(view).observe(view).model
    assert model is not None
    assert model.explained > 0.8
    assert model.batch == pytest.approx((1.0, 4.0))


def test_samples_are_of_the_catalogue(capacity: View):
    """Each sample has as many label values as its metric, and the coefficients are bounded."""
    result = _played(capacity).observe(capacity)
    found = list(step_time.samples(result, LABELS))
    assert {metric for metric, _labels, _value in found} <= set(metrics_of(catalog))
    assert all(len(labels) == len(metric.labels) for metric, labels, _value in found)
    values = {(metric, labels[4:]): value for metric, labels, value in found}
    assert values[catalog.STEP_TIME_IDENTIFIABLE, ()] == 1.0
    for term in ("base", "prefill"):
        low = values[catalog.STEP_TIME_COEFFICIENT_LOW, (term,)]
        high = values[catalog.STEP_TIME_COEFFICIENT_HIGH, (term,)]
        assert low <= values[catalog.STEP_TIME_COEFFICIENT, (term,)] <= high


def test_nothing_is_claimed_of_an_idle_engine(capacity: View):
    """Before there is work there is no law, and no coefficient of 0."""
    part = StepTime()
    result = part.observe(capacity.rows(0, 5))
    assert result.model is None
    assert {metric for metric, _labels, _value in step_time.samples(result)} == {
        catalog.STEP_TIME_STRETCHES
    }
    assert step_time.as_json(result)["state"] == "too_few_stretches"


def test_json(capacity: View):
    """What is told can be written as JSON, with interval, trust and step times by batch."""
    told = json.loads(json.dumps(step_time.as_json(_played(capacity).observe(capacity))))
    assert told["state"] == "fitted"
    assert told["trusted_to_batch"] >= told["largest_batch_seen"] * 0.9
    assert all(one["low"] < one["estimate"] < one["high"] for one in told["step_seconds_by_batch"])


def test_state_goes_on_after_a_restart(capacity: View):
    """A part restored from its state knows what it knew, and learns on."""
    part = _played(capacity.rows(0, 250))
    before = part.observe(capacity.rows(0, 250))
    again = StepTime()
    again.restore(json.loads(json.dumps(part.state())))
    after = again.observe(capacity.rows(250, 251))
    assert after.model == before.model
    assert after.stretches == before.stretches
    more = again.observe(capacity.rows(250, len(capacity)))
    assert more.model is not None
    assert more.stretches > before.stretches


def test_called_each_tick_or_each_third_is_the_same_data(capacity: View):
    """The stretches do not depend on how often the part is called."""
    some, all_of = _played(capacity, every=3), _played(capacity, every=1)
    assert some.state()["stretches"] == all_of.state()["stretches"]


def test_what_the_law_rests_on_is_known_after_a_restart_too(capacity: View):
    """The evidence is that of the stretches kept: those of the last fit, and what came since."""
    part = _played(capacity)
    before = part.observe(capacity).evidence
    other = StepTime()
    other.restore(json.loads(json.dumps(part.state())))
    after = other.observe(capacity.rows(0, 0)).evidence
    assert before is not None
    assert after is not None
    assert len(before.seconds) >= 8
    assert set(before.seconds) <= set(after.seconds)
    assert 0.0 < before.weights.max() <= 1.0
