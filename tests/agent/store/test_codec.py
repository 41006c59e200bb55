"""Columns come back bit for bit; bytes that are not columns are refused."""

import contextlib
import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.store import chunk, five
from agent.store.chunk import GROUP
from agent.store.codec import DamagedError, decode, encode
from agent.store.segment import Column
from agent.store.series import STALE

_BITS = st.one_of(
    st.integers(0, 2**64 - 1),
    st.sampled_from([0x7FF0000000000002, 0x7FF8000000000001, 1 << 63, 0x7FF << 52, 0xFFF << 52]),
    st.floats().map(lambda value: struct.unpack("<Q", struct.pack("<d", value))[0]),
)


def _column(bits: list[int]) -> "array[float]":
    """Return floats of these bits."""
    column = array("d")
    column.frombytes(struct.pack(f"={len(bits)}Q", *bits))
    return column


@given(st.lists(_BITS, min_size=1, max_size=400))
def test_a_column_comes_back_bit_for_bit(bits: list[int]):
    """Any floats, NaN payloads, infinities and negative zero included, survive."""
    column = _column(bits)
    assert decode(encode([column])[0], len(column)).tobytes() == column.tobytes()


def test_a_column_that_never_changes_is_one_number():
    """What stands still costs nine bytes, however long it stands."""
    assert len(encode([array("d", [3.5] * 300)])[0]) == 9


def test_negative_zero_is_not_zero():
    """Values that compare equal and differ in their bits are not taken for one another."""
    column = array("d", [0.0, -0.0] * 5)
    assert decode(encode([column])[0], 10).tobytes() == column.tobytes()


@given(st.binary(max_size=200), st.integers(0, 50))
def test_bytes_that_are_no_column_are_refused(data: bytes, count: int):
    """Whatever the bytes are, the answer is a column of the right length or a DamagedError."""
    with contextlib.suppress(DamagedError):
        assert len(decode(data, count)) == count


@given(st.data())
def test_one_flipped_byte_in_a_deflated_column_is_noticed(data: st.DataObject):
    """The checksum over a column finds damage inside it."""
    column = array("d", data.draw(st.lists(st.floats(0, 1e6), min_size=40, max_size=60)))
    written = bytearray(encode([column])[0])
    if written[0] != 2:
        return
    written[data.draw(st.integers(1, len(written) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = decode(bytes(written), len(column))
    except DamagedError:
        return
    assert found.tobytes() == column.tobytes()


@st.composite
def _columns(draw: st.DrawFn, ticks: int = 40) -> dict[int, Column]:
    """Draw some columns of a group, each with values at some of the ticks."""
    columns: dict[int, Column] = {}
    for place in draw(st.sets(st.integers(0, GROUP - 1), min_size=1)):
        present = draw(st.sets(st.integers(0, ticks - 1), min_size=1))
        column = columns[place] = Column([], array("d"))
        for tick in sorted(present):
            column.add(tick, (draw(st.floats()),))
    return columns


@given(_columns())
def test_a_chunk_gives_each_series_and_only_those(columns: dict[int, Column]):
    """Every place of a group gives the ticks and values that it was given, or nothing."""
    blob = chunk.pack(columns, 40)
    for place in range(GROUP):
        found = chunk.unpack(blob, place, 40)
        wanted = columns.get(place)
        if wanted is None:
            assert found is None
        else:
            assert found is not None
            assert found.runs == wanted.runs
            assert found.values.tobytes() == wanted.values.tobytes()


@given(_columns(), st.data())
def test_a_damaged_chunk_gives_ticks_in_order_or_is_refused(
    columns: dict[int, Column], data: st.DataObject
):
    """No byte of a chunk, changed or cut off, leads to anything but a column or a DamagedError."""
    blob = bytearray(chunk.pack(columns, 40))
    for _change in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(blob)))
    for place in range(GROUP):
        try:
            found = chunk.unpack(bytes(blob[:cut]), place, 40)
        except DamagedError:
            continue
        if found is not None:
            ticks = [tick for run in found.runs for tick in range(*run)]
            assert ticks == sorted(set(ticks))
            assert all(0 <= tick < 40 for tick in ticks)
            assert len(found.values) == len(ticks)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_a_summary_bounds_its_values(values: list[float]):
    """Minimum and maximum are among the values, the mean lies between, the last is the last."""
    (summary,) = five.summarise([array("d", values)])
    assert summary is not None
    low, high, mean, last = summary.parts
    assert (low, high, last, summary.count) == (min(values), max(values), values[-1], len(values))
    slack = 1e-9 * max(abs(low), abs(high))
    assert low - slack <= mean <= high + slack


@given(st.lists(st.lists(_BITS, min_size=1, max_size=4).map(_column), min_size=1, max_size=20))
def test_columns_together_are_summarised_as_each_alone(columns: "list[array[float]]"):
    """Whatever is in its neighbours, and however long they are."""
    alone = [five.summarise([column])[0] for column in columns]
    assert repr(five.summarise(columns)) == repr(alone)


def test_a_summary_leaves_out_what_is_no_number():
    """The end of a series is not its last value; a series of no numbers has no summary."""
    ended, none = array("d", [1.0, float("nan"), 3.0, STALE]), array("d", [STALE])
    assert five.summarise([ended, none]) == [five.Summary(2, (1.0, 3.0, 2.0, 3.0)), None]


@given(st.dictionaries(st.integers(0, GROUP - 1), st.tuples(*[st.floats(allow_nan=False)] * 4)))
def test_summaries_come_back(parts: dict[int, tuple[float, float, float, float]]):
    """Each place of a group has the summary that it was given."""
    summaries = {place: five.Summary(place + 1, four) for place, four in parts.items()}
    assert five.unpack(five.pack(summaries)) == summaries


@given(st.binary(max_size=100))
def test_bytes_that_are_no_summaries_are_refused(data: bytes):
    """Damage is a DamagedError and nothing else."""
    with pytest.raises(DamagedError):
        five.unpack(data)
