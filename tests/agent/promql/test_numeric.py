"""Sums, means, variances and quantiles, against exact arithmetic."""

from fractions import Fraction
from math import inf, isinf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.promql.aggregators import foremost, written
from agent.promql.numeric import highest, lowest, mean, neumaier, quantile, total, variance

FINITE = st.floats(-1e12, 1e12)
ANY = st.floats() | st.sampled_from([nan, inf, -inf, 0.0])


@given(st.lists(FINITE, min_size=1, max_size=60))
def test_moments(values: list[float]):
    """Sum, mean and variance are those of exact arithmetic."""
    exact = [Fraction(value) for value in values]
    average = sum(exact) / len(exact)
    spread = sum((value - average) ** 2 for value in exact) / len(exact)
    assert total(values) == pytest.approx(
        float(sum(exact)), rel=1e-15, abs=1e-24 * max(map(abs, values))
    )
    assert mean(values) == pytest.approx(float(average), rel=1e-12, abs=1e-300)
    largest = max(map(abs, values))
    assert variance(values) == pytest.approx(float(spread), rel=1e-9, abs=largest**2 * 1e-28)
    assert variance(values) >= 0


@given(st.lists(st.floats(-1e300, 1e300) | st.sampled_from([1e220, -1e220, 1.0]), min_size=1))
def test_sums_are_those_of_prometheus(values: list[float]):
    """What is left where large values cancel is what compensated addition leaves."""
    added = compensation = 0.0
    for value in values:
        added, compensation = neumaier(value, added, compensation)
    if not isinf(added):
        assert total(values) == pytest.approx(added + compensation, rel=1e-9)
        if total(values) == 0:
            assert mean(values) == 0


def test_a_sum_of_many_magnitudes_is_as_wrong_as_there():
    """Where Prometheus loses small values beside large ones that cancel, so does a rule here."""
    large = [-2.258e220, -1.78264e219, 0.76, 2.3757689e217, -2.3757689e217, 2.258e220, 1.78264e219]
    assert total(large) == 0.0


@given(st.floats(-1e300, 1e300), st.integers(1, 50))
def test_equal_values_have_no_variance(value: float, count: int):
    """What does not vary has a variance of exactly zero."""
    assert variance([value] * count) == 0


def test_small_beside_large():
    """Values of other magnitudes do not swallow each other."""
    assert total([1e100, 1.0, -1e100]) == 1.0
    assert mean([1e100, 3.0, -1e100]) == 1.0


def test_overflow():
    """A mean exists where the sum overflows; the sum is infinite there."""
    assert mean([1e308, 1e308, 1e308]) == pytest.approx(1e308)
    assert total([1e308, 1e308]) == inf
    assert variance([1e180, -1e190, 1.0]) == inf


@pytest.mark.parametrize(
    ("values", "wanted"),
    [([inf, 1.0], inf), ([inf, -inf], nan), ([nan, 1.0], nan), ([-inf, -inf], -inf)],
)
def test_what_is_not_finite(values: list[float], wanted: float):
    """Infinities and NaN follow the rules of IEEE 754; their variance is NaN."""
    assert repr(total(values)) == repr(wanted)
    assert repr(mean(values)) == repr(wanted)
    assert isnan(variance(values))


@given(st.lists(ANY, min_size=1, max_size=30))
def test_extremes_ignore_nan(values: list[float]):
    """Minimum and maximum are those of the numbers; NaN only where there are none."""
    numbers = [value for value in values if not isnan(value)]
    assert repr(highest(values)) == repr(max(numbers, default=nan))
    assert repr(lowest(values)) == repr(min(numbers, default=nan))


@given(st.lists(FINITE, min_size=1, max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_quantiles(values: list[float], one: float, other: float):
    """Quantiles lie between minimum and maximum and grow with their rank."""
    low, high = quantile(min(one, other), values), quantile(max(one, other), values)
    slack = 1e-9 * max(1.0, *map(abs, values))
    assert min(values) - slack <= low <= high + slack <= max(values) + 2 * slack
    assert quantile(0, values) == min(values)
    assert quantile(1, values) == max(values)


@pytest.mark.parametrize(
    ("rank", "wanted"), [(-0.1, -inf), (1.1, inf), (nan, nan), (0.5, 2.0), (0.75, 2.5)]
)
def test_ranks(rank: float, wanted: float):
    """Ranks outside 0 to 1 are infinite; between two values lies a weighted mean."""
    assert repr(quantile(rank, [3.0, 1.0, 2.0])) == repr(wanted)
    assert isnan(quantile(0.5, []))


def test_nan_is_the_lowest_value():
    """A quantile takes NaN for the lowest value."""
    assert quantile(1, [nan, 1.0]) == 1
    assert isnan(quantile(0, [nan, 1.0]))


@given(st.lists(ANY, max_size=30), st.integers(0, 12), st.booleans())
def test_foremost(values: list[float], count: int, top: bool):  # noqa: FBT001
    """The foremost are no worse than the rest, NaN is worse than all, ties keep their order."""
    places = foremost(values, range(len(values)), count, top=top)
    assert len(places) == len(set(places)) == min(count, len(values))
    chosen = [values[place] for place in places]
    rest = [value for place, value in enumerate(values) if place not in places]
    sign = -1 if top else 1
    ranks = [(isnan(value), 0.0 if isnan(value) else sign * value) for value in chosen]
    assert ranks == sorted(ranks)
    assert all((isnan(v), 0.0 if isnan(v) else sign * v) >= ranks[-1] for v in rest if ranks)


@given(st.floats(allow_nan=False))
def test_written_numbers(value: float):
    """A number as a label has no exponent and no idle digits, and is read back the same."""
    text = written(value)
    assert "e" not in text
    assert float(text) == value
    assert isinf(value) or not ("." in text and text.endswith(("0", ".")))


def test_written_examples():
    """As Prometheus writes them."""
    values = (1.0, 0.5, -0.0, 1e21, 1e-7, inf, -inf, nan)
    wanted = ["1", "0.5", "-0", "1" + "0" * 21, "0.0000001", "+Inf", "-Inf", "NaN"]
    assert [written(value) for value in values] == wanted
