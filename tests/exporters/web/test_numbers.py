"""Sizes and times as people read them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.web.numbers import lasted, quick, size, whole

_UNITS = {"s": 1, "min": 60, "h": 3600, "days": 86_400}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1.0, "0 s"),
        (59.4, "59 s"),
        (65.0, "1 min 5 s"),
        (660.0, "11 min"),
        (725.0, "12 min"),
        (20_520.0, "5 h 42 min"),
        (180_000.0, "2 days 2 h"),
    ],
)
def test_how_long(seconds: float, text: str):
    """Two units where the small one still says something."""
    assert lasted(seconds) == text


@given(st.floats(0, 1e8))
def test_how_long_is_never_far_off(seconds: float):
    """What is read back is within a tenth, and a second, of what was given."""
    parts = re.findall(r"(\d+) (s|min|h|days)", lasted(seconds))
    told = sum(int(number) * _UNITS[unit] for number, unit in parts)
    assert abs(told - seconds) <= 1 + seconds / 10


@given(st.floats(0, 1e15))
def test_sizes_have_three_digits(value: float):
    """Never more than four digits before the unit, and within a hundredth of the truth."""
    number, unit = size(value).split(" ")
    scale = 1024.0 ** ["B", "KiB", "MiB", "GiB", "TiB"].index(unit)
    assert float(number) < 1025
    assert float(number) * scale == pytest.approx(value, rel=0.01, abs=0.51)


def test_little_is_not_nothing():
    """A share and a latency that are small are told."""
    assert (whole(0.0), whole(0.001), whole(0.5)) == ("0 %", "< 1 %", "50 %")
    assert (whole(-0.001), whole(-0.0267), whole(1.6)) == ("> -1 %", "-3 %", "160 %")
    assert (quick(0.0034), quick(2.5), quick(61.0)) == ("3.4 ms", "2.5 s", "1 min 1 s")
