"""What is recommended, from the numbers of a subject."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.report.advice import FILL, advice

NOW = 1_800_000_000.0
DAY = 86_400.0


def subject(
    *,
    peak: float = 1000.0,
    low: float = 2000.0,
    replicas: int = 1,
    binding: str = "inter_token",
    kv: float = 0.5,
    days: tuple[float, float | None, float | None] | None = None,
    **verdicts: float,
) -> dict[str, Any]:
    """Return the part of a document that recommendations follow from."""
    left = None if days is None else dict(zip(("low", "estimate", "high"), days, strict=True))
    return {
        "replicas": replicas,
        "load": {"kv_cache_usage_peak_ratio": kv},
        "limits": {"max_num_seqs": 8.0, "max_model_len_tokens": 8192.0},
        "capacity": {"known": True, "binding": binding},
        "headroom_at_peak": {
            "basis": "demand",
            "demand_tokens_per_minute": peak,
            "capacity_low_tokens_per_minute": low,
            "share": (low - peak) / low,
        },
        "growth": {
            "days_until_exhausted": left,
            "share_per_week": {"estimate": 0.05, "low": 0.03, "high": 0.07},
        },
        "verdicts": verdicts,
    }


def actions(**facts: Any) -> list[str]:
    """Return what is recommended, in one word each."""
    return [one["action"] for one in advice(subject(**facts), now=NOW)]


def test_half_full_needs_nothing():
    """There is always something said, and here it is that nothing is to be done."""
    assert actions() == ["nothing"]


@given(st.floats(1, 1e7), st.floats(1, 1e7), st.integers(1, 20))
def test_replicas_are_as_many_as_are_needed(peak: float, low: float, replicas: int):
    """With those that are added the peak is within the fill, and one fewer would not do."""
    found = advice(subject(peak=peak, low=low, replicas=replicas), now=NOW)

    added = [one["replicas"] for one in found if one["action"] == "add_replicas"]
    each = low / replicas
    if added:
        assert peak <= FILL * each * (replicas + added[0]) * (1 + 1e-9)
        assert peak > FILL * each * (replicas + added[0] - 1) * (1 - 1e-9)
    else:
        assert (low - peak) / low >= 0.1 * (1 - 1e-9)


def test_replicas_by_a_date():
    """Growth that reaches the capacity within a month asks for replicas before its earliest day."""
    (found,) = advice(subject(peak=1600.0, days=(12.0, 20.0, 40.0)), now=NOW)

    assert found["action"] == "add_replicas"
    assert found["by_timestamp_seconds"] == NOW + 12 * DAY
    assert "2027-01-27" in found["sentence"]


def test_growth_far_ahead_is_no_hurry():
    """What runs out in a year is not for now."""
    assert actions(days=(200.0, 300.0, None)) == ["nothing"]


def test_seats_are_advised_where_memory_is_left():
    """The sequence limit is to be raised while the KV cache has room, and not otherwise."""
    assert "raise_sequence_limit" in actions(sequence_limit=0.2)
    assert "raise_sequence_limit" not in actions(sequence_limit=0.2, kv=0.95)


def test_lengths_are_advised_where_memory_is_short():
    """The sentence has the limit that the engine was started with."""
    found = advice(subject(kv_memory=0.1), now=NOW)

    assert [one["action"] for one in found] == ["lower_longest_length"]
    assert "8,192" in found[0]["sentence"]
    assert "10.0% of the time" in found[0]["sentence"]


@pytest.mark.parametrize("cause", ["co_tenant", "power_thermal", "host_cpu", "stalled"])
def test_what_slows_from_outside_is_named(cause: str):
    """No replica cures that."""
    assert actions(**{cause: 0.3}) == [f"relieve_{cause}"]


def test_replicas_too_many():
    """Four of which one would do; of a single one nothing can go."""
    assert actions(peak=100.0, low=4000.0, replicas=4) == ["remove_replicas"]
    assert actions(peak=100.0, low=4000.0, replicas=1) == ["nothing"]


def test_unknown_headroom_recommends_nothing():
    """Without a capacity nobody is told that all is well."""
    unknown = {**subject(), "headroom_at_peak": None, "capacity": {"known": False}}

    (found,) = advice(unknown, now=NOW)

    assert found["action"] == "unknown"
    assert "the capacity is not" in found["sentence"]
