"""Where two stretches of time cover a moment, the later written counts."""

from hypothesis import given
from hypothesis import strategies as st

from agent.store.spans import visible

_STRETCHES = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))),
    max_size=8,
)


@given(_STRETCHES, st.integers(-2, 40), st.integers(-2, 45))
def test_each_moment_belongs_to_the_last_that_covers_it(
    stretches: list[tuple[int, int]], first: int, last: int
):
    """The pieces, moment by moment, are what a look at every stretch gives; they are in order."""
    pieces = visible(stretches, first, last)
    found = {
        moment: piece.stretch for piece in pieces for moment in range(piece.first, piece.last + 1)
    }
    wanted = {
        moment: index
        for index, (begin, end) in enumerate(stretches)
        for moment in range(max(begin, first), min(end, last) + 1)
    }
    assert found == wanted
    bounds = [moment for piece in pieces for moment in (piece.first, piece.last)]
    assert bounds == sorted(bounds)
