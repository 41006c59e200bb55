"""Numbers and times as Prometheus writes them."""

import math
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.queries.numbers import exponent_text, sample_text, scalar_text, seconds_text


@pytest.mark.parametrize(
    ("value", "sample", "scalar"),
    [
        (0.0, "0", "0"),
        (-0.0, "-0", "-0"),
        (1.0, "1", "1"),
        (0.1, "0.1", "0.1"),
        (123456789012345680.0, "123456789012345680", "123456789012345680"),
        (1e20, "100000000000000000000", "100000000000000000000"),
        (1e21, "1e+21", "1000000000000000000000"),
        (-1.5e22, "-1.5e+22", "-15000000000000000000000"),
        (1e-6, "0.000001", "0.000001"),
        (1.5e-5, "0.000015", "0.000015"),
        (1e-7, "1e-07", "0.0000001"),
        (5e-324, "5e-324", "0." + "0" * 323 + "5"),
        (math.nan, "NaN", "NaN"),
        (math.inf, "+Inf", "+Inf"),
        (-math.inf, "-Inf", "-Inf"),
    ],
)
def test_numbers_are_written_as_go_writes_them(value: float, sample: str, scalar: str):
    """Samples have an exponent from 1e21 on and below 1e-6; scalars never have one."""
    assert (sample_text(value), scalar_text(value)) == (sample, scalar)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0e+00"), (-0.0, "-0e+00"), (1.0, "1e+00"), (10.0, "1e+01"), (123456.0, "1.23456e+05"),
     (-0.00015, "-1.5e-04"), (1e100, "1e+100"), (math.nan, "NaN"), (-math.inf, "-Inf")],
)  # fmt: skip
def test_values_of_alerts_have_an_exponent(value: float, text: str):
    """As `strconv.FormatFloat(value, 'e', -1, 64)` has it."""
    assert exponent_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_whatever_is_written_reads_as_the_same_number(value: float):
    """To the last bit, and in the shape that each format has."""
    for write in (sample_text, scalar_text, exponent_text):
        assert float(write(value)).hex() == value.hex()
    assert re.fullmatch(r"-?\d+(\.\d*[1-9])?", scalar_text(value))
    assert re.fullmatch(r"-?\d(\.\d*[1-9])?e[+-]\d\d+", exponent_text(value))
    assert ("e" in sample_text(value)) is (value != 0 and not 1e-6 <= abs(value) < 1e21)


@given(st.integers(-(10**15), 10**15))
def test_times_have_three_digits_or_none(moment: int):
    """Milliseconds are seconds with as much behind the point as there is to say."""
    text = seconds_text(moment)

    assert Decimal(text) * 1000 == moment
    assert re.fullmatch(r"-?\d+(\.\d{3})?", text)
    assert not text.endswith(".000")
