"""What is inferred from a page, against what the client of that engine measured."""

import pytest

from evaluation.captures import CAPTURES, Row, latencies, step_times

needs_captures = pytest.mark.skipif(
    not (CAPTURES / "vllm-ramp.requests.jsonl.gz").exists(),
    reason="the clients' measurements are not in the repository",
)


@pytest.fixture(scope="module")
def compared() -> list[Row]:
    """Return the whole table."""
    return list(latencies())


@needs_captures
def test_means_agree_with_the_client(compared: list[Row]):
    """Mean times per request are within 1.5 %: the engine's sums are exact, the clocks are two."""
    rows = [row for row in compared if row.quantity.endswith(" mean")]
    each = [row for row in rows if not row.quantity.startswith("inter-token")]
    assert len({(row.recording, row.step) for row in each}) == 13
    assert max(abs(row.error) for row in each) < 0.015


@needs_captures
def test_percentiles_are_nearer_than_interpolation(compared: list[Row]):
    """Over all steps the finer bins are nearer to the client than the engine's buckets alone."""
    rows = [row for row in compared if row.interpolated is not None]
    ours = sum(abs(row.error) for row in rows)
    plain = sum(abs((row.interpolated or 0.0) / row.client - 1.0) for row in rows)
    assert len(rows) > 50
    assert ours < 0.7 * plain
    assert ours / len(rows) < 0.07


def test_law_of_low_batches_foretells_high_ones():
    """Fitted to at most half of the batch, the law of a real vLLM is right within 10 % above it."""
    rows = {row.recording: row for row in step_times()}
    capacity = rows["vllm-capacity"]
    assert capacity.held_out >= 10
    assert capacity.error is not None
    assert capacity.error < 0.10
    assert all(row.residual < 0.15 for row in rows.values())
