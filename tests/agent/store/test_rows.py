"""Rows in blocks give the columns that a list of rows gives."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.store.rows import Rows


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
