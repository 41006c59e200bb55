"""Rates, against the same rules written out sample by sample."""

from collections.abc import Sequence
from itertools import pairwise
from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.promql.functions.counters import growth
from tests.agent.promql.asking import ask, history
from tests.promqltest.memory import MemorySource, labelled

ANY = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, -0.0, 1.0, nan, inf])


def naive_growth(values: Sequence[float]) -> float:
    """Return the growth of a counter, looking at every pair."""
    grown = values[-1] - values[0]
    for index in range(1, len(values)):
        if values[index] < values[index - 1]:
            grown += values[index - 1]
    return grown


@given(st.lists(ANY, min_size=2, max_size=150))
def test_growth_finds_every_reset(values: list[float]):
    """Asking the sort whether there is anything to sort finds what looking at pairs finds."""
    assert repr(growth(values)) == repr(naive_growth(values))


@given(st.lists(ANY, min_size=2, max_size=150))
def test_growth_of_sorted_values_is_the_difference(values: list[float]):
    """Without NaN and in order there is no reset."""
    ordered = sorted(value for value in values if not isnan(value))
    if len(ordered) > 1:
        assert repr(growth(ordered)) == repr(ordered[-1] - ordered[0])


def naive_increase(samples: list[tuple[float, float]], start: float, end: float) -> float | None:
    """Return what Prometheus's documentation of extrapolation gives, without its shortcuts."""
    inside = [(time, value) for time, value in samples if start < time <= end]
    if len(inside) < 2:
        return None
    (first, lowest), (last, _) = inside[0], inside[-1]
    result = naive_growth([value for _, value in inside])
    mean_distance = (last - first) / (len(inside) - 1)
    near = mean_distance * 1.1
    before = first - start if first - start < near else mean_distance / 2
    behind = end - last if end - last < near else mean_distance / 2
    if result > 0 and lowest >= 0:
        before = min(before, (last - first) * lowest / result)
    return result * (last - first + before + behind) / (last - first)


@given(
    st.lists(st.tuples(st.integers(1, 40), st.floats(0, 1e6)), max_size=25),
    st.integers(1, 400),
    st.integers(0, 500),
)
def test_increase(steps: list[tuple[int, float]], length: int, end: int):
    """Increase and rate are the documented extrapolation of growth, for any spacing."""
    samples, time = [], 0.0
    for step, value in steps:
        time += step
        samples.append((time, value))
    source = MemorySource()
    source.add(labelled("x_total", a="b"), samples)
    wanted = naive_increase(samples, end - length, end)
    increase = ask(source, f"increase(x_total[{length}s])", end)
    rate = ask(source, f"rate(x_total[{length}s])", end)
    if wanted is None:
        assert increase == rate == {}
    else:
        assert increase == pytest.approx({"{a=b}": wanted}, rel=1e-9, abs=1e-9)
        assert rate == pytest.approx({"{a=b}": wanted / length}, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("increase(x_total[40s])", 25.0),
        ("rate(x_total[40s])", 25.0 / 40),
        ("delta(x_total[40s])", 5.0 * 40 / 30),
        ("irate(x_total[40s])", 0.5),
        ("idelta(x_total[40s])", -15.0),
        ("resets(x_total[1m])", 1.0),
        ("changes(x_total[1m])", 3.0),
    ],
)
def test_a_counter_that_was_reset(text: str, wanted: float):
    """Growth counts what was there before the reset, and starts from zero after it."""
    source = history("x_total 0 0 10 20 5")
    assert ask(source, text, 40) == pytest.approx({"": wanted})


def test_one_sample_is_no_rate():
    """From one sample nothing follows."""
    source = history("x_total 5")
    for name in ("rate", "increase", "delta", "irate", "idelta", "deriv"):
        assert ask(source, f"{name}(x_total[1m])", 5) == {}
    assert ask(source, "resets(x_total[1m])", 5) == {"": 0}
    assert ask(source, "changes(x_total[1m])", 5) == {"": 0}


@given(st.lists(ANY, min_size=1, max_size=30))
def test_resets_and_changes(values: list[float]):
    """Counted pair by pair; NaN is no change from NaN."""
    source = MemorySource()
    source.add(labelled("x"), [(float(index), value) for index, value in enumerate(values)])
    pairs = [*pairwise(values)]
    end = len(values) - 1
    assert ask(source, "resets(x[1h])", end) == {"": sum(b < a for a, b in pairs)}
    differing = sum(a != b and not (isnan(a) and isnan(b)) for a, b in pairs)
    assert ask(source, "changes(x[1h])", end) == {"": differing}
