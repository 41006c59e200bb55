"""Columns of decimal numbers come back bit for bit, in few bytes."""

import math
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.store import decimal
from agent.store.decimal import unpack

_DECIMALS = st.builds(
    lambda places, numbers: [number / 10**places for number in numbers],
    st.integers(0, 6),
    st.lists(st.integers(-(10**9), 10**9), min_size=2, max_size=100),
)


def pack(column: "array[float]") -> bytes | None:
    """Return the bytes of one column."""
    return decimal.pack(np.frombuffer(column).reshape(1, -1))[0]


@given(
    st.lists(
        st.lists(
            st.one_of(st.floats(), st.decimals(-99, 99, places=2).map(float)),
            min_size=6,
            max_size=6,
        ),
        min_size=1,
        max_size=20,
    )
)
def test_columns_together_are_written_as_each_alone(rows: list[list[float]]):
    """Whatever is in its neighbours, decimal numbers or not."""
    alone = [pack(array("d", row)) for row in rows]
    assert decimal.pack(np.array(rows)) == alone


@given(_DECIMALS)
def test_decimal_numbers_come_back(values: list[float]):
    """Numbers with up to six digits after the point, of any sign."""
    column = array("d", values)
    packed = pack(column)
    if any(value == 0 and math.copysign(1, value) < 0 for value in values):
        assert packed is None
        return
    assert packed is not None
    assert unpack(packed, len(column)) == column.tobytes()


@given(st.lists(st.floats(), min_size=2, max_size=40))
def test_what_would_not_come_back_is_not_taken(values: list[float]):
    """Any floats: they come back or are left to another way of writing."""
    column = array("d", values)
    packed = pack(column)
    assert packed is None or unpack(packed, len(column)) == column.tobytes()


@pytest.mark.parametrize(
    "odd", [math.nan, math.inf, -0.0, 1e300, 1e-7, 2.0**53, 1 / 3, 5e-324, 0.1 + 0.2]
)
@pytest.mark.parametrize("place", [0, 1, 2, 9])
def test_one_other_number_is_enough(odd: float, place: int):
    """Wherever it stands, also where it was not among the first that were looked at."""
    column = array("d", [1.5] * 10)
    column[place] = odd
    packed = pack(column)
    assert packed is None or unpack(packed, 10) == column.tobytes()
    if odd != 1e-7:  # which has few digits
        assert packed is None


def test_few_bytes_are_written():
    """Milliwatts with noise: 3 bytes of a difference; a counter that grows evenly: a head."""
    noise = array("d", [(500_000 + 37_019 * number % 60_000) / 1000 for number in range(300)])
    even = array("d", [7.0 * number for number in range(300)])
    packed, evenly = pack(noise), pack(even)
    assert packed is not None
    assert len(packed) < 3.1 * 300
    assert evenly is not None
    assert len(evenly) < 30


@given(st.binary(max_size=120), st.integers(0, 50))
def test_other_bytes_are_refused(data: bytes, count: int):
    """Bytes that were not written here give nothing, or as many numbers as were asked for."""
    found = unpack(data, count)
    assert found is None or len(found) == 8 * count


@given(_DECIMALS, st.data())
def test_damage_is_noticed(values: list[float], data: st.DataObject):
    """A flipped byte behind the head fails the checksum."""
    packed = pack(array("d", values))
    if packed is None or len(packed) == 23:
        return
    damaged = bytearray(packed)
    damaged[data.draw(st.integers(23, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    assert unpack(bytes(damaged), len(values)) is None
