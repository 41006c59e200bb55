"""Quantiles and fractions of histograms."""

from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.promql import EvaluationError, Notes, evaluate_instant, parse
from agent.promql.functions.histogram import (
    Buckets,
    bucket_fraction,
    bucket_quantile,
    merged,
    monotonic,
)
from tests.agent.promql.asking import ask, history


@st.composite
def histograms(draw: st.DrawFn) -> Buckets:
    """Draw cumulative buckets with observations in them."""
    bounds = draw(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12, unique=True))
    counts = draw(st.lists(st.integers(0, 1000), min_size=len(bounds), max_size=len(bounds)))
    found, reached = [], 0
    for bound, count in zip(sorted(bounds), counts, strict=True):
        reached += count
        found.append((bound, float(reached)))
    return [*found, (inf, float(reached + draw(st.integers(1, 5))))]


@given(histograms(), st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_quantiles_grow_with_their_rank(buckets: Buckets, one: float, other: float):
    """A higher rank is no lower value, and values lie between zero or the bounds."""
    low, high = sorted((one, other))
    first, last = bucket_quantile(low, buckets), bucket_quantile(high, buckets)
    slack = 1e-6 * max(1.0, abs(buckets[0][0]), abs(buckets[-2][0]))
    assert min(0.0, buckets[0][0]) - slack <= first <= last + slack
    assert last <= buckets[-2][0] + slack or last <= slack


@given(histograms(), st.floats(-1e6, 1e6))
def test_a_fraction_is_the_inverse_of_a_quantile(buckets: Buckets, value: float):
    """The share below a value is at least as large as every rank whose quantile is below it."""
    share = bucket_fraction(-inf, value, buckets)
    assert 0 <= share <= 1
    rank = min(share + 1e-6, 1.0)
    if share < 1 and buckets[0][0] > 0 and value < buckets[-2][0]:
        assert bucket_quantile(rank, buckets) >= value - 1e-6 * max(1.0, abs(value))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=12))
def test_monotonic(counts: list[float]):
    """Decreases are filled up to what was reached before; nothing else changes."""
    buckets = [(float(index), count) for index, count in enumerate(counts)]
    fixed, decreases = monotonic(buckets)
    reached = [max(counts[: index + 1]) for index in range(len(counts))]
    assert [count for _, count in fixed] == pytest.approx(reached, rel=1e-11)
    assert [bound for bound, _ in fixed] == [bound for bound, _ in buckets]
    if reached == counts:
        assert not decreases


@pytest.mark.parametrize(
    ("rank", "buckets", "wanted"),
    [
        (nan, [(1.0, 1.0), (inf, 1.0)], nan),
        (-0.1, [(1.0, 1.0), (inf, 1.0)], -inf),
        (1.1, [(1.0, 1.0), (inf, 1.0)], inf),
        (0.5, [(1.0, 1.0), (2.0, 1.0)], nan),
        (0.5, [(inf, 1.0)], nan),
        (0.5, [(1.0, 0.0), (inf, 0.0)], nan),
        (0.5, [(1.0, 2.0), (inf, 2.0)], 0.5),
        (0.5, [(1.0, 1.0), (3.0, 3.0), (inf, 4.0)], 2.0),
        (0.9, [(1.0, 1.0), (3.0, 3.0), (inf, 4.0)], 3.0),
        (0.1, [(-1.0, 5.0), (1.0, 9.0), (inf, 10.0)], -1.0),
        (0.7, [(-1.0, 5.0), (1.0, 9.0), (inf, 10.0)], 0.0),
        (0.0, [(1.0, 0.0), (2.0, 4.0), (inf, 4.0)], nan),
        (0.5, [(1.0, nan), (inf, nan)], 1.0),
    ],
)
def test_quantile_corners(rank: float, buckets: Buckets, wanted: float):
    """Ranks outside, missing +Inf, nothing observed, the first and the last bucket."""
    assert repr(bucket_quantile(rank, buckets)) == repr(wanted)


def test_buckets_of_equal_bounds_are_added():
    """`1` and `1.0` are one bound."""
    assert merged([(inf, 4.0), (1.0, 1.0), (1.0, 2.0)]) == [(1.0, 3.0), (inf, 4.0)]
    source = history('h_bucket{le="1"} 1', 'h_bucket{le="1.0"} 2', 'h_bucket{le="+Inf"} 3')
    assert ask(source, "histogram_quantile(0.5, h_bucket)", 0) == {"": 0.5}


def test_series_without_a_bound_are_left_out():
    """What has no `le`, or none that is a number, is no bucket."""
    source = history(
        'h{le="1"} 1', 'h{le="+Inf"} 2', "h 7", 'h{le="no"} 7', 'h{le=" 2"} 7', 'h{le="1_0"} 7'
    )
    assert ask(source, "histogram_quantile(1, h)", 0) == {"": 1}


def test_one_answer_for_each_histogram():
    """All labels but `le` tell histograms apart; equal without their names they collide."""
    source = history('h{le="+Inf",a="1"} 2', 'h{le="4",a="1"} 2', 'h{le="+Inf",a="2"} 2')
    found = ask(source, "histogram_quantile(0.5, h)", 0)
    assert found["{a=1}"] == 2
    assert isnan(found["{a=2}"])
    twins = history('a{le="+Inf"} 1', 'b{le="+Inf"} 1')
    with pytest.raises(EvaluationError, match="same labelset"):
        ask(twins, 'histogram_quantile(0.5, {le!=""})', 0)


@pytest.mark.parametrize(
    ("lower", "upper", "wanted"),
    [
        ("-Inf", "+Inf", 1.0),
        ("0", "1", 0.25),
        ("0", "2", 0.5),
        ("2", "+Inf", 0.5),
        ("3", "100", 0.0),
        ("2", "1", 0.0),
        ("NaN", "1", nan),
    ],
)
def test_fractions(lower: str, upper: str, wanted: float):
    """The share of the observations between two values, interpolated within buckets."""
    source = history('h{le="1"} 1', 'h{le="3"} 3', 'h{le="+Inf"} 4')
    found = ask(source, f"histogram_fraction({lower}, {upper}, h)", 0)
    assert repr(found[""]) == repr(wanted)


def test_fractions_of_what_is_no_histogram():
    """Without a last bucket, or without observations, there is no share."""
    assert isnan(ask(history('h{le="1"} 1'), "histogram_fraction(0, 1, h)", 0)[""])
    assert isnan(ask(history('h{le="+Inf"} 0'), "histogram_fraction(0, 1, h)", 0)[""])


def test_forced_monotonicity_is_told():
    """Whoever asks learns that counts went down, but not where it was rounding only."""
    fixed = (
        "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see "
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
    )
    for text, middle, told in (
        ("histogram_quantile(0.5, h)", 4.0, [f'{fixed} for metric name "h" (1:25)']),
        ("histogram_quantile(0.5, h + 0)", 4.0, [f"{fixed} (1:25)"]),
        ("histogram_quantile(0.5, h)", 5.0 - 1e-13, []),
        # Nothing is read off the buckets here.
        ("histogram_quantile(2, h)", 4.0, []),
        ("histogram_quantile(NaN, h)", 4.0, []),
        ('histogram_quantile(0.5, h{le!="+Inf"})', 4.0, []),
    ):
        source = history('h{le="1"} 5', f'h{{le="2"}} {middle!r}', 'h{le="+Inf"} 6')
        notes = Notes()
        evaluate_instant(parse(text), source, 0, notes=notes)
        assert notes.infos == told
