"""Latency targets as series: whose, which bound stands for them, and when they change."""

import math

from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.bottleneck import Targets
from agent.analysis.latency_targets import LatencyTargets, standing_for
from agent.catalog import engine
from agent.catalog.latency import LATENCY_TARGET
from agent.model import Frame, Reading, SeriesTable

CHAT = ("vllm", "chat", "big")


def frame(table: SeriesTable, *bounds: str, model: tuple[str, ...] = CHAT) -> Frame:
    """Return a frame of two ranks of a model whose histograms have some bounds."""
    ids = [table.intern(engine.REQUESTS_RUNNING, (*model, rank)) for rank in ("0", "1")]
    for metric in (engine.TIME_TO_FIRST_TOKEN, engine.INTER_TOKEN_LATENCY):
        ids += [
            table.intern(metric, (*model, rank), suffix="_bucket", le=le)
            for rank in ("0", "1")
            for le in bounds
        ]
    return Frame(0.0, table, ids, [0.0] * len(ids))


def said(table: SeriesTable, reading: Reading) -> dict[tuple[str, ...], float]:
    """Return the targets by their labels."""
    assert all(table[series_id].metric is LATENCY_TARGET for series_id in reading.ids)
    return {
        table[series_id].labels: value
        for series_id, value in zip(reading.ids, reading.values, strict=True)
    }


def test_each_model_has_its_targets_and_their_bounds():
    """One series for each latency of a model, whatever ranks it has; `.0` is left out."""
    table = SeriesTable()
    targets = LatencyTargets(lambda _model: Targets())
    assert said(table, targets.observe(frame(table, "0.05", "0.075", "1.0", "+Inf"))) == {
        (*CHAT, "time_to_first_token", "1"): 1.0,
        (*CHAT, "inter_token_latency", "0.075"): 0.066,
    }


def test_an_engine_without_histograms_has_targets_without_bounds():
    """Its target is known all the same, for rules about its mean."""
    table = SeriesTable()
    targets = LatencyTargets(lambda _model: Targets())
    assert {labels[-1] for labels in said(table, targets.observe(frame(table)))} == {""}


def test_other_targets_and_other_engines_are_said_at_once():
    """A reload and a new engine change what is said; else the same reading is said again."""
    table = SeriesTable()
    targets = LatencyTargets(lambda _model: Targets())
    first = frame(table, "0.05", "0.1", "nonsense")
    before = targets.observe(first)
    assert targets.observe(first) is before
    targets.use(lambda model: Targets(inter_token_latency=0.04 if model == "big" else 0.1))
    assert said(table, targets.observe(first))[*CHAT, "inter_token_latency", "0.05"] == 0.04
    other = ("vllm", "chat", "other")
    now = said(table, targets.observe(frame(table, "0.05", "0.1", model=other)))
    assert now[*other, "inter_token_latency", "0.1"] == 0.1
    assert not any(labels[:3] == CHAT for labels in now)


@given(
    target=st.floats(0.001, 100.0),
    bounds=st.lists(st.floats(0.001, 1000.0) | st.just(math.inf), unique=True),
)
def test_the_bound_fails_nothing_that_meets_the_target(target: float, bounds: list[float]):
    """It is never below the target, and none between the two is there."""
    found = standing_for(target, {bound: repr(bound) for bound in bounds})
    if not found:
        assert not any(bound >= target for bound in bounds)
        return
    assert float(found) >= target
    assert not any(target <= bound < float(found) for bound in bounds)
