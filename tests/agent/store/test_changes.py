"""What is said of samples without looking at them is what looking at them says."""

import math
import struct
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.store.changes import Changes

_VALUES = st.sampled_from([0.0, 0.0, -0.0, 1.0, 2.0, math.inf, math.nan])
_ROWS = st.lists(
    st.dictionaries(st.integers(0, 3), _VALUES, min_size=1).map(lambda row: sorted(row.items())),
    min_size=1,
    max_size=12,
)


def _bits(value: float) -> bytes:
    """Return what a float is."""
    return struct.pack("<d", value)


@given(_ROWS, st.data())
def test_series_that_stand_still_fall_or_are_no_number(
    rows: list[list[tuple[int, float]]], data: st.DataObject
):
    """For a series present from a row on, whatever came and went beside it."""
    changes = Changes()
    before: dict[int, int] = {}
    ids: list[int] = []
    for row in rows:
        if [number for number, _value in row] != ids:
            ids = [number for number, _value in row]
            changes.lay_out(np.array([before.get(number, -1) for number in ids]))
            before = {number: place for place, number in enumerate(ids)}
        changes.add(np.array([value for _number, value in row]))
    series = data.draw(st.sampled_from(ids))
    columns = [dict(row).get(series) for row in rows]
    since = data.draw(st.integers(0, len(rows) - 1))
    values = [value for value in columns[since:] if value is not None]
    if len(values) < len(rows) - since:
        return
    places = np.array([before[series]])
    finite = all(map(math.isfinite, values))
    assert changes.finite(places, since) is finite
    assert changes.constant(places, since) is (len(set(map(_bits, values))) == 1)
    assert changes.fell(places, since) is any(
        later < earlier for earlier, later in pairwise(values)
    )


def test_of_no_series_everything_is_true():
    """A selector that finds nothing finds nothing that changed."""
    changes = Changes()
    changes.lay_out(np.array([-1]))
    changes.add(np.array([math.nan]))
    none = np.empty(0, dtype=np.intp)
    assert changes.constant(none, 0)
    assert changes.finite(none, 0)
    assert not changes.fell(none, 0)
