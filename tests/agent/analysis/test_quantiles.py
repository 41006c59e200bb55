"""Quantiles from the deltas of an engine's histograms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.quantiles import Observed, observed, observed_in
from agent.analysis.window import Histogram
from agent.catalog import engine
from tests.agent.analysis.views import view_of

BOUNDS = np.array([0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 1.0, np.inf])


def histogram(seconds: list[list[float]]) -> Histogram:
    """Return what a histogram shows at the end of each second, a first row before all included."""
    counts, sums = [np.zeros(len(BOUNDS))], [0.0]
    for values in seconds:
        inside = [(np.array(values) <= bound).sum() for bound in BOUNDS]
        counts.append(counts[-1] + inside)
        sums.append(sums[-1] + sum(values))
    rows = np.array(counts, dtype=float)
    return Histogram(BOUNDS, rows, np.array(sums), rows[:, -1])


def test_what_lies_close_together_is_found_where_it_is() -> None:
    """A constant 60 ms is 60 ms at every percentile, wherever the buckets end."""
    found = observed(histogram([[0.06] * 20] * 10))
    assert found.quantile(0.95) == pytest.approx(0.06)
    assert found.share_above(0.066) == 0.0
    assert found.count == 200


def test_a_change_between_seconds_is_seen() -> None:
    """Seconds of different means are kept apart: the percentile is that of the slow ones."""
    found = observed(histogram([[0.055] * 20] * 8 + [[0.072] * 20] * 2))
    assert found.quantile(0.5) == pytest.approx(0.055)
    assert found.quantile(0.95) == pytest.approx(0.072)
    assert found.share_above(0.066) == pytest.approx(0.2)


def test_no_observation_is_no_quantile() -> None:
    """Unknown, not zero."""
    found = observed(histogram([[], []]))
    assert found.quantile(0.95) is None
    assert found.share_above(0.1) is None
    assert observed(None).count == 0


def test_a_restart_begins_anew() -> None:
    """Counts that fall are no observations."""
    before, after = histogram([[0.06] * 5]), histogram([[0.03] * 4])
    whole = Histogram(
        BOUNDS,
        np.vstack((before.counts, after.counts)),
        np.concatenate((before.sum, after.sum)),
        np.concatenate((before.count, after.count)),
    )
    found = observed(whole)
    assert found.count == 9
    assert found.mean == pytest.approx((5 * 0.06 + 4 * 0.03) / 9)


def test_rows_without_an_answer_are_bridged() -> None:
    """What was observed meanwhile is counted."""
    full = histogram([[0.06] * 5, [0.06] * 5, [0.06] * 5])
    counts, sums, count = full.counts.copy(), full.sum.copy(), full.count.copy()
    counts[1:3], sums[1:3], count[1:3] = np.nan, np.nan, np.nan
    assert observed(Histogram(BOUNDS, counts, sums, count)).count == 15


@given(
    st.lists(st.lists(st.floats(0.001, 0.9), max_size=30), min_size=1, max_size=12).filter(any),
    st.floats(0.05, 0.99),
)
def test_a_quantile_lies_in_the_bucket_of_the_true_one(
    seconds: list[list[float]], share: float
) -> None:
    """Never further off than interpolation may be: the bucket is known for certain."""
    values = np.sort([value for second in seconds for value in second])
    true = values[max(0, int(np.ceil(share * len(values) - 1e-9)) - 1)]
    found = observed(histogram(seconds)).quantile(share)
    place = np.searchsorted(BOUNDS, true)
    low = BOUNDS[place - 1] if place else 0.0
    assert found is not None
    assert low - 1e-9 <= found <= BOUNDS[place] + 1e-9


@given(st.lists(st.lists(st.floats(0.001, 0.9), min_size=1, max_size=30), min_size=1, max_size=9))
def test_the_mean_is_exact(seconds: list[list[float]]) -> None:
    """It is the quotient of two sums."""
    values = [value for second in seconds for value in second]
    assert observed(histogram(seconds)).mean == pytest.approx(np.mean(values))


@pytest.mark.filterwarnings("error")
def test_a_count_without_buckets_has_no_share() -> None:
    """A page may count what none of its buckets holds; then nothing is above anything."""
    assert Observed(np.array([1.0, 2.0]), np.zeros(2), 1.5, 3.0).share_above(1.0) is None


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 5.0, np.nan]), min_size=1, max_size=8))
def test_what_nothing_came_to_is_not_looked_at(counted: list[float]) -> None:
    """Over restarts and gaps it is as if each bucket had been read."""
    metric = engine.TIME_TO_FIRST_TOKEN
    buckets = {(metric, "_bucket", le): counted for le in ("0.1", "+Inf")}
    sums = [0.05 * count for count in counted]
    view = view_of({**buckets, (metric, "_sum"): sums, (metric, "_count"): counted})
    found, expected = observed_in(view, metric), observed(view.histogram(metric))
    assert found.count == expected.count
    assert found.quantile(0.5) == expected.quantile(0.5)
