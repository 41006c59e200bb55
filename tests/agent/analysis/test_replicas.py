"""Whose columns are whose."""

import pytest

from agent.catalog import engine
from tests.agent.analysis.views import view_of


@pytest.mark.parametrize("odd", ["", "NaN", "soon", "0.5s"])
def test_a_bucket_without_a_bound_is_left_out(odd: str) -> None:
    """One engine may write anything; its other buckets, and other engines, still count."""
    view = view_of(
        {
            (engine.TIME_TO_FIRST_TOKEN, "_bucket", "0.5"): [1.0, 2.0],
            (engine.TIME_TO_FIRST_TOKEN, "_bucket", odd): [1.0, 2.0],
            (engine.TIME_TO_FIRST_TOKEN, "_bucket", "+Inf"): [1.0, 3.0],
        }
    )
    found = view.histogram(engine.TIME_TO_FIRST_TOKEN)
    assert found is not None
    assert found.bounds.tolist() == [0.5, float("inf")]
