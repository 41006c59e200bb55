"""What goes through the socket comes out as it went in."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from agent.framing import Unframer
from agent.queries import wire
from agent.store.segment import Column
from tests.fakes.history import bits

_NUMBERS = st.lists(st.integers(0, 2**31 - 1), max_size=5)


@st.composite
def columns(draw: st.DrawFn) -> Column:
    """Give a column with pauses."""
    column = Column([], array("d"))
    tick = draw(st.integers(0, 100))
    for _run in range(draw(st.integers(1, 4))):
        values = draw(st.lists(st.floats(), min_size=1, max_size=5))
        column.add(tick, values)
        tick += len(values) + draw(st.integers(1, 9))
    return column


@given(st.lists(st.tuples(st.integers(0, 2**31 - 1), columns()), max_size=4), st.integers(0, 50))
def test_columns_arrive_bit_by_bit(found: list[tuple[int, Column]], low: int):
    """Ticks count from the first that was sent, NaNs keep what is in them."""
    for _number, column in found:
        column.runs = [(begin + low, end + low) for begin, end in column.runs]
    ((kind, body),) = Unframer().feed(wire.columns_frame(found, low))

    received = list(wire.columns_of(body))

    assert kind == wire.COLUMNS
    assert [(number, one.runs) for number, one in received] == [
        (number, [(begin - low, end - low) for begin, end in one.runs]) for number, one in found
    ]
    assert [[*map(bits, one.values)] for _n, one in received] == [
        [*map(bits, one.values)] for _n, one in found
    ]


@given(st.integers(0, 2**31), st.integers(-(2**60), 2**60), st.booleans(), _NUMBERS)
def test_requests_for_samples_arrive(place: int, first: int, newest: bool, ids: list[int]):  # noqa: FBT001
    """Whatever they ask for."""
    wanted = wire.Wanted(place, first, first + 7, newest, array("i", ids))

    ((kind, body),) = Unframer().feed(wire.read_frame(wanted))

    assert kind == wire.READ
    assert wire.wanted_of(body) == wanted
