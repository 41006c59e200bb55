"""Latencies of histograms, with the numbers that PromQL would give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.promql import Vector, evaluate_instant, parse
from agent.report.tail import Tail, added, quantiles
from tests.promqltest.memory import MemorySource

BOUNDS = np.array([0.1, 0.5, 1.0, np.inf])
NAN = float("nan")

_COUNTS = st.lists(st.integers(0, 1000), min_size=4, max_size=4)


def _tail(*rows: list[float]) -> Tail:
    """Return observations by window and bucket."""
    return Tail(BOUNDS, np.array(rows, dtype=float), np.empty(0))


@given(_COUNTS, st.floats(0.01, 0.99))
def test_quantiles_are_those_of_promql(counts: list[int], share: float):
    """`histogram_quantile` of the same buckets gives the same."""
    source = MemorySource()
    for bound, reached in zip(("0.1", "0.5", "1", "+Inf"), np.cumsum(counts), strict=True):
        source.add((("__name__", "b"), ("le", bound)), [(0.0, float(reached))])
    found = evaluate_instant(parse(f"histogram_quantile({share!r}, b)"), source, 0.0)
    assert isinstance(found, Vector)

    own = quantiles(BOUNDS, np.array([counts], dtype=float), share)[0]

    assert own == pytest.approx(found.values[0], nan_ok=True)


@given(_COUNTS, st.floats(0.01, 2.0))
def test_what_is_over_a_limit_is_a_share(counts: list[int], limit: float):
    """Between none and all, less the higher the limit is; None only of nothing."""
    tail = _tail(counts)

    over, further = tail.share_over(limit), tail.share_over(limit * 1.5)

    assert (over is None) == (sum(counts) == 0)
    if over is not None and further is not None:
        assert 0.0 <= further <= over <= 1.0


def test_a_limit_at_a_bound_is_exact():
    """Where the target is a bound of the buckets, nothing is interpolated."""
    assert _tail([10, 20, 60, 10]).share_over(1.0) == 0.1
    assert _tail([10, 20, 60, 10]).share_over(0.5) == 0.7


def test_windows_that_are_not_known_are_left_out():
    """A gap in the history takes nothing from what was observed around it."""
    tail = _tail([0, 10, 0, 0], [NAN] * 4, [0, 0, 10, 0])

    assert tail.overall() == (pytest.approx(0.95), 20.0)
    assert np.isnan(tail.counts[1])


def test_replicas_add_up():
    """Observations of two replicas are those of one; of unlike buckets nothing can be said."""
    both = added([_tail([1, 2, 3, 4]), _tail([NAN] * 4)])
    other = Tail(np.array([0.2, np.inf]), np.ones((1, 2)), np.empty(0))

    assert both is not None
    assert both.each.tolist() == [[1, 2, 3, 4]]
    assert added([_tail([1, 2, 3, 4]), other]) is None
    assert added([]) is None
