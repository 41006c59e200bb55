"""Rows in blocks give the columns that a list of rows gives."""

import math
import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.store.rows import Rows
from agent.store.series import STALE


@given(st.integers(0, 300), st.lists(st.integers(0, 4), max_size=6), st.integers(0, 300), st.data())
def test_columns_are_those_of_the_rows(
    count: int, places: list[int], low: int, data: st.DataObject
):
    """Any range of any columns, also over the ends of blocks."""
    rows = Rows(5)
    given_rows = [[float(10 * number + place) for place in range(5)] for number in range(count)]
    for row in given_rows:
        rows.append(np.array(row))
    low = min(low, count)
    high = data.draw(st.integers(low, count))
    found = rows.columns(np.array(places, dtype=np.intp), low, high).tolist()
    assert found == [[row[place] for row in given_rows[low:high]] for place in places]
    assert len(rows) == count
    if count:
        assert rows.row(count - 1).tolist() == given_rows[-1]


def test_what_was_taken_does_not_change_with_the_rows():
    """A reader keeps what it was given while rows are added."""
    rows = Rows(2)
    rows.append(np.array([1.0, 2.0]))
    column = rows.columns(np.array([1]), 0, 1)
    for _row in range(100):
        rows.append(np.array([3.0, 4.0]))
    assert column.tolist() == [[2.0]]
    assert rows.row(0).tolist() == [1.0, 2.0]


# Of counters, some that grow by more or less than sixteen bits hold.
_COUNTED = (3.0, 32_770.0, 32_771.0, -32_766.0, 1e15, 1e15 + 0.125, 1e15 + 7.0, 1e300, -1e300)
_BITS = st.sampled_from([0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, STALE, *_COUNTED])


@given(
    st.lists(st.lists(_BITS, min_size=4, max_size=4), min_size=1, max_size=90),
    st.sets(st.integers(0, 3)),
    st.data(),
)
def test_what_stands_still_comes_back_bit_for_bit(
    given_rows: list[list[float]], still: set[int], data: st.DataObject
):
    """Columns that are kept once have their markers and the signs of their zeros still."""
    block = np.array(given_rows)
    for place in still:
        block[:, place] = block[0, place]
    rows = Rows(4)
    for row in block:
        rows.append(row)
    if data.draw(st.booleans()):
        rows.complete()
    low = data.draw(st.integers(0, len(block) - 1))
    high = data.draw(st.integers(low, len(block)))
    places = np.array(data.draw(st.lists(st.integers(0, 3), max_size=6)), dtype=np.intp)
    assert rows.columns(places, low, high).tobytes() == block[low:high, places].T.tobytes()
    assert rows.row(low).tobytes() == block[low].tobytes()


def test_what_stands_still_is_kept_once():
    """A thousand rows of which little moves take little more than what moves."""
    rows = Rows(1000)
    tracemalloc.start()
    try:
        for number in range(1000):
            row = np.zeros(1000)
            row[0] = number
            rows.append(row)
        taken, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 0.2 * 1000 * 1000 * 8


def test_what_counts_is_kept_in_a_quarter():
    """A thousand rows of counters, each about a million and growing, take a quarter of theirs."""
    rows = Rows(1000)
    each = np.arange(1000.0) % 500.0
    tracemalloc.start()
    try:
        for number in range(1000):
            rows.append(1e6 + each * number)
        rows.complete()
        taken, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 0.32 * 1000 * 1000 * 8
    found = rows.columns(np.arange(1000), 0, 1000)
    np.testing.assert_array_equal(found.T, 1e6 + np.outer(np.arange(1000.0), each))
