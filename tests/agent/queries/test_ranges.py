"""Range queries in pieces have the result of the whole."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import SeriesTable
from agent.promql import Matrix, Notes, Options, evaluate_range, parse
from agent.promql.errors import TooManySamplesError
from agent.queries.ranges import evaluate_in_pieces
from agent.store.history import History
from tests.agent.queries.borrowed import Borrowed
from tests.fakes.clock import ManualClock
from tests.fakes.history import FULL, bits, frame, series

START = 1_800_000_000.0
QUERIES = [
    FULL.name,
    f"rate({FULL.name}[7s])",
    f"rate({FULL.name}[20s] offset -3s)",
    f"max_over_time(sum({FULL.name})[30s:3s])",
    f"topk(2, {FULL.name})",
    f"{FULL.name} - {FULL.name} @ end()",
    "sum_over_time(vector(time())[20s:] @ start())",
    f"avg_over_time({FULL.name}[10s] @ {START + 30})",
    f"{FULL.name} > 2 or label_replace({FULL.name}, 'y', '$1', 'x', '(.*)')",
    "time()",
    "7",
]


def _history() -> History:
    """Return two minutes of some series, one of which comes and goes."""
    table = SeriesTable()
    history = History(table, clock=ManualClock())
    for tick in range(120):
        names = [name for name in range(4) if name or (tick // 10) % 2]
        values = {series(table, FULL, str(name)): (tick * (name + 1)) % 17.0 for name in names}
        history.append(frame(table, START + tick, values))
    return history


HISTORY = _history()


@settings(max_examples=80, deadline=None)
@given(
    query=st.sampled_from(QUERIES),
    begin=st.integers(-40_000, 60_000),
    length=st.integers(0, 100_000),
    step=st.sampled_from([1, 10, 999, 1000, 2500, 61_000]).filter(lambda step: step > 0),
    most=st.sampled_from([2_000, 3_000, 100_000]),
)
def test_the_pieces_are_the_whole(query: str, begin: int, length: int, step: int, most: int):
    """However few samples may be in hand: the same series and values, or a refusal by name."""
    start, end = START + begin / 1000, START + min(begin + length, begin + 300 * step) / 1000
    borrowed = Borrowed(HISTORY, most=most)
    expected = evaluate_range(parse(query), HISTORY, start, end, step / 1000)

    try:
        found = evaluate_in_pieces(
            parse(query),
            borrowed.source(),
            start=start,
            end=end,
            step=step / 1000,
            enough=most // 4,
            options=Options(),
            notes=Notes(),
        )
    except TooManySamplesError:
        assert most < 100_000
        assert "@" in query
        return

    assert _seen(found) == _seen(expected)


def _seen(matrix: Matrix) -> list[object]:
    """Return a result in a form that compares bit by bit."""
    return [(one.labels, list(one.times), [*map(bits, one.values)]) for one in matrix.series]


def test_a_result_that_is_too_large_is_refused():
    """Though every piece of it is small."""
    with pytest.raises(TooManySamplesError):
        evaluate_in_pieces(
            parse(FULL.name),
            Borrowed(HISTORY).source(),
            start=START,
            end=START + 119,
            step=0.01,
            enough=10_000,
            options=Options(max_samples=20_000),
            notes=Notes(),
        )


def test_what_lies_between_distant_steps_is_not_read():
    """A rate over seconds, once a minute, reads seconds of each minute."""
    borrowed = Borrowed(HISTORY)
    source = borrowed.source()
    taken: list[int] = []
    again = source.again

    def counted() -> None:
        taken.append(source.taken)
        again()

    source.again = counted  # type: ignore[method-assign]
    evaluate_in_pieces(
        parse(f"rate({FULL.name}[5s])"),
        source,
        start=START + 20,
        end=START + 119,
        step=30,
        enough=100_000,
        options=Options(),
        notes=Notes(),
    )

    assert sum(taken) + source.taken <= 4 * 4 * 6
