"""The ticks in memory come out as they went in."""

from hypothesis import given
from hypothesis import strategies as st

from agent.model import SeriesTable
from agent.store.history import History
from tests.fakes.clock import ManualClock
from tests.fakes.history import FULL, frame, series

START = 1_800_000_000.0


@given(
    st.lists(st.tuples(st.sampled_from([1.0, 1.0, 0.25, 40.0]), st.integers(1, 7)), max_size=60),
    st.integers(-5, 400),
    st.integers(-5, 400),
)
def test_rows_come_out_as_they_went_in(steps: list[tuple[float, int]], after: int, until: int):
    """Every tick in (after, until] with its series and values, over windows and layouts."""
    table = SeriesTable()
    history = History(table, clock=ManualClock())
    time = START
    expected = []
    for step, mask in steps:
        time += step
        values = {series(table, FULL, str(bit)): time + bit for bit in range(3) if mask >> bit & 1}
        history.append(frame(table, time, values))
        if START + after < time <= START + until and time > START:
            expected.append((time, values))
    newest = time
    expected = [one for one in expected if newest - one[0] <= 300]
    found = [
        (tick.time, dict(zip(tick.ids, tick.values, strict=True)))
        for tick in history.ticks(START + after, START + until)
        if newest - tick.time <= 300
    ]
    assert found == expected


def test_what_a_clock_that_stepped_back_wrote_again_is_left_out():
    """Times only ascend: rows at or before the last one given are not given."""
    table = SeriesTable()
    history = History(table, clock=ManualClock())
    one = series(table, FULL, "x")
    for time in (100.0, 101.0, 102.0, 60.0, 61.0, 103.0):
        history.append(frame(table, START + time, {one: time}))
    found = [tick.values[0] for tick in history.ticks(START, START + 200)]
    assert found == [100.0, 101.0, 102.0, 103.0]
    assert list(history.ticks(START + 103, START + 200)) == []


def test_nothing_yet():
    """A history without a tick gives none."""
    assert list(History(SeriesTable(), clock=ManualClock()).ticks(0.0, START)) == []
