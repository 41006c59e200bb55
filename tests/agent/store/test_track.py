"""A track gives the values of rows, however it grew."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.store.track import Track


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 60)), min_size=1, max_size=30),
    st.integers(0, 9),
)
def test_values_are_those_that_were_added(steps: list[tuple[int, int]], first: int):
    """From any tick that is kept; and what was asked for lately is kept."""
    track = Track((1, 2), first)
    rows: list[float] = []
    longest = 0
    for count, back in steps:
        new = [float(first + len(rows) + number) for number in range(count)]
        rows += new
        track.add(np.array([new, [-value for value in new]]).reshape(2, count))
        assert track.next == first + len(rows)
        assert track.first <= max(first, track.next - longest - count)
        since = max(track.first, track.next - back)
        values = track.since(since).tolist()
        wanted = rows[since - first :]
        assert values == [wanted, [-value for value in wanted]]
        longest = max(longest, track.next - since)
