"""How long tokens and requests take: now, by batch, by KV fill, cold and warm."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis import latency
from agent.analysis.latency import Latency, LatencyResult
from agent.analysis.latency_table import (
    BATCHES,
    batch_bucket,
    batch_name,
    fill_bucket,
    fill_name,
)
from agent.analysis.window import View
from agent.catalog import engine, metrics_of
from agent.catalog import latency as catalog
from agent.catalog.latency import Quantity
from tests.agent.analysis.views import START, Key, latency_columns, view_of

BOUNDS = ("0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "+Inf")
LABELS = ("vllm", "chat", "m", "0")


def _columns(
    batches: Sequence[float], gap: Sequence[float], *, first: float = 0.2
) -> dict[Key, Sequence[float]]:
    """Return an engine that has so many requests each second, a gap after each token of each."""
    gaps = [[each] * int(batch) for batch, each in zip(batches, gap, strict=True)]
    return {
        (engine.REQUESTS_RUNNING, ""): list(batches),
        (engine.REQUESTS_WAITING, ""): [0.0] * len(batches),
        (engine.KV_CACHE_USAGE, ""): [0.3] * len(batches),
        (engine.GENERATION_TOKENS, ""): [float(sum(batches[: n + 1])) for n in range(len(batches))],
        **latency_columns(engine.INTER_TOKEN_LATENCY, gaps, BOUNDS),
        **latency_columns(engine.TIME_TO_FIRST_TOKEN, [[first]] * len(batches), BOUNDS),
    }


def _played(view: View, *, every: int = 3) -> LatencyResult:
    """Return what is known after a view, shown as the agent shows it."""
    part = Latency()
    for end in range(1, len(view), every):
        part.observe(view.rows(max(0, end - 100), end))
    return part.observe(view)


def test_now_is_the_last_minute():
    """What was so more than a minute ago is no longer in the values of now."""
    view = view_of(_columns([4.0] * 201, [0.2] * 100 + [0.03] * 101))
    recent = _played(view).recent[Quantity.INTER_TOKEN]
    assert recent.mean == pytest.approx(0.03)
    assert recent.quantile(0.95) == pytest.approx(0.03, abs=0.002)
    assert recent.count <= 4 * 70


def test_mean_is_exact_and_rates_follow():
    """Mean latency, tokens a second in all and for one request, as counted."""
    result = _played(view_of(_columns([4.0] * 101, [0.04] * 101)))
    assert result.recent[Quantity.INTER_TOKEN].mean == pytest.approx(0.04)
    assert result.tokens_per_second == pytest.approx(4.0)
    assert result.stream_tokens_per_second == pytest.approx(25.0)


def test_batches_are_kept_apart():
    """Each batch has its own latency; of a change the tick between lies between."""
    view = view_of(_columns([2.0] * 50 + [12.0] * 51, [0.02] * 50 + [0.08] * 51))
    table = dict(_played(view).by_batch.items())
    assert table[batch_bucket(2)].tallies[Quantity.INTER_TOKEN].mean == pytest.approx(0.02)
    assert table[batch_bucket(12)].tallies[Quantity.INTER_TOKEN].mean == pytest.approx(0.08)
    assert table[batch_bucket(2)].seconds == pytest.approx(49.0, rel=0.02)


def test_idle_time_is_at_no_batch():
    """Seconds without a request are in neither table."""
    result = _played(view_of(_columns([0.0] * 100, [0.02] * 100)))
    assert list(result.by_batch.items()) == []
    assert list(result.by_fill.items()) == []


def test_rows_are_counted_once_however_often_it_is_called():
    """Called at each tick or each third, every token is in the tables once."""
    view = view_of(_columns([3.0] * 100, [0.02] * 100))
    counts = [
        _played(view, every=every).by_batch.entry(batch_bucket(3), START + 99)
        for every in (1, 3, 50)
    ]
    tokens = [entry.tallies[Quantity.INTER_TOKEN].count for entry in counts]
    # The newest seconds wait for the next turn; what is old has faded a little.
    assert all(3 * 90 * 0.98 <= count <= 3 * 99 for count in tokens)


def test_cold_requests_are_kept_from_the_warm_ones():
    """The first requests after a start are in the cold mean alone."""
    columns = _columns([1.0] * 60, [0.02] * 60)
    slow = [[], *[[2.0]] * 4, *[[0.2]] * 55]
    columns |= latency_columns(engine.TIME_TO_FIRST_TOKEN, slow, BOUNDS)
    result = _played(view_of(columns))
    assert result.cold.cold.mean == pytest.approx(2.0)
    assert result.cold.warm.mean == pytest.approx(0.2)


def test_samples_are_of_the_catalogue_and_bounded():
    """Each sample has the labels of its metric; there are at most twelve batches."""
    sizes = [float(2**power) for power in range(9) for _second in range(12)]
    result = _played(view_of(_columns(sizes, [0.02] * len(sizes))))
    found = list(latency.samples(result, LABELS))
    assert {metric for metric, _labels, _value in found} <= set(metrics_of(catalog))
    assert all(len(labels) == len(metric.labels) for metric, labels, _value in found)
    assert len({(metric, labels) for metric, labels, _value in found}) == len(found)
    batches = {labels[-1] for metric, labels, _v in found if metric is catalog.BATCH_LATENCY_P95}
    assert 8 <= len(batches) <= BATCHES


def test_unknown_is_absent():
    """An engine without histograms has token rates and nothing else; one call gives nothing."""
    columns = {
        key: column
        for key, column in _columns([4.0] * 40, [0.02] * 40).items()
        if key[0] in (engine.REQUESTS_RUNNING, engine.GENERATION_TOKENS)
    }
    columns[engine.GENERATION_SECONDS, ""] = [0.1 * value for value in range(40)]
    view = view_of(columns)
    samples = {metric: value for metric, _labels, value in latency.samples(_played(view))}
    assert samples[catalog.TOKENS_PER_SECOND] == pytest.approx(4.0)
    assert samples[catalog.STREAM_TOKENS_PER_SECOND] == pytest.approx(40.0)
    assert len(samples) == 2
    assert list(latency.samples(Latency().observe(view.rows(0, 1)))) == []


def test_clock_set_back():
    """Rows from before the last one are taken as new, and nothing is counted twice or negative."""
    part = Latency()
    view = view_of(_columns([4.0] * 60, [0.02] * 60))
    part.observe(view)
    part.observe(view.rows(0, 20))
    result = part.observe(view.rows(0, 40))
    assert result.tokens_per_second == pytest.approx(4.0, rel=0.05)


def test_json():
    """All of it can be written as JSON, with the width of the engine's buckets."""
    told = json.loads(
        json.dumps(latency.as_json(_played(view_of(_columns([4.0] * 60, [0.03] * 60)))))
    )
    assert told["recent"]["inter_token_seconds"]["p95_bucket"] == [0.025, 0.05]
    assert told["by_batch"]["3-4"]["inter_token_seconds"]["mean"] == pytest.approx(0.03)
    assert told["by_kv_fill"]["25-50%"]["tokens_per_second"] == pytest.approx(4.0)


@given(st.integers(1, 5000))
def test_batch_is_in_the_bucket_of_its_name(batch: int):
    """Names and buckets agree, for every batch."""
    name = batch_name(batch_bucket(batch))
    if name.endswith("+"):
        assert batch >= int(name[:-1])
    else:
        low, _dash, high = name.partition("-")
        assert int(low) <= batch <= int(high or low)


@given(st.floats(0.0, 1.0))
def test_fill_is_in_the_bucket_of_its_name(usage: float):
    """Names and quarters agree, the full cache included."""
    low, _dash, high = fill_name(fill_bucket(usage)).removesuffix("%").partition("-")
    assert int(low) <= 100 * usage <= int(high) + 1e-9
