"""What is asked for at tick after tick is told as what is asked for once."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import Frame, SeriesTable
from agent.store.exact import are_exact, is_exact
from agent.store.history import History
from agent.store.recent import Columns, Newest, Recent
from agent.store.series import Matcher, MatchOp, milliseconds
from tests.fakes.clock import ManualClock
from tests.fakes.history import FULL, frame, named, series

START = 1_800_000_000.0
_VALUES = st.sampled_from([0.0, 0.0, 0.0, -0.0, 1.0, 0.5, -(2.0**32), math.inf, math.nan])
_STRETCHES = st.lists(
    st.tuples(
        st.sets(st.sampled_from("abcd"), min_size=1),
        st.lists(st.tuples(st.tuples(*[_VALUES] * 4), st.sets(st.integers(0, 5))), max_size=6),
    ),
    min_size=1,
    max_size=4,
)
_ONE = [(*named(FULL), Matcher("x", MatchOp.EQUAL, name)) for name in "abc"]
_SELECTORS = [
    *_ONE,
    named(FULL),
    (*named(FULL), Matcher("x", MatchOp.REGEX, "c|d")),
    (*named(FULL), Matcher("x", MatchOp.EQUAL, "nowhere")),
]


def _newest(found: Newest | None) -> object:
    """Return what can be compared of an answer, NaN and the sign of zero included."""
    return found and ([*found.labels], repr(found.values), found.time)


def _columns(parts: tuple[Columns, ...] | None) -> object:
    """Return what can be compared of columns; that sums are exact need not be found out."""
    assert all(is_exact(it.block()) for it in parts or () if it.exact())
    return parts and [
        ([*it.labels], [*it.times], it.constant, it.falls(), repr(it.values()), repr(it.last()))
        for it in parts
    ]


def _answers(recent: Recent, asked: set[int], now: int) -> list[object]:
    """Return what memory says to some questions."""
    return [
        answer
        for number in sorted(asked)
        for answer in (
            _newest(recent.newest(_SELECTORS[number], now - 300_000, now)),
            *(
                _columns(recent.columns(_SELECTORS[number], now - back * 1000, now))
                for back in (3, 7)
            ),
        )
    ]


@settings(deadline=None)
@given(_STRETCHES)
def test_who_asks_always_hears_what_who_asks_once_does(
    stretches: list[tuple[set[str], list[tuple[tuple[float, ...], set[int]]]]],
):
    """Whatever comes, goes or is no number between two questions, and whoever asks with others."""
    table = SeriesTable()
    always = History(table, clock=ManualClock())
    frames: list[Frame] = []
    for names, ticks in stretches:
        ids = [series(table, FULL, name) for name in sorted(names)]
        for values, asked in ticks:
            time = START + len(frames)
            frames.append(frame(table, time, dict(zip(ids, values, strict=False))))
            always.append(frames[-1])
            once = History(table, clock=ManualClock())
            for one in frames:
                once.append(one)
            now = milliseconds(time)
            assert _answers(always.recent(), asked, now) == _answers(once.recent(), asked, now)


def test_what_is_asked_for_twice_in_a_row_is_looked_up_with_others():
    """From the third tick on; and no more once nobody has asked, when it is all found anew."""
    table = SeriesTable()
    history = History(table, clock=ManualClock())
    ids = [series(table, FULL, name) for name in "ab"]
    together: list[int] = []
    for second in range(12):
        history.append(frame(table, START + second, dict.fromkeys(ids, float(second))))
        now = milliseconds(START + second)
        recent = history.recent()
        for selector in _ONE[:2] if second < 3 else _ONE[:1]:
            assert recent.newest(selector, now - 5000, now) is not None
        together.append(len(recent._questions.values))
        if second == 9:  # another layout: all is looked for anew
            ids.append(series(table, FULL, "c"))
    assert together == [0, 0, *[2] * 8, 1, 1]


def test_sums_of_whole_numbers_are_known_to_be_exact():
    """Tick after tick, and anew once another number has left the window."""
    table = SeriesTable()
    history = History(table, clock=ManualClock())
    ids = [series(table, FULL, name) for name in "ab"]
    told: list[bool] = []
    for second, value in enumerate([1.0, 2.0, 3.0, 0.5, 4.0, 5.0, 6.0, 7.0]):
        history.append(frame(table, START + second, dict.fromkeys(ids, value)))
        now = milliseconds(START + second)
        (columns,) = history.recent().columns(named(FULL), now - 3000, now) or ()
        told.append(columns.exact())
    assert told == [True, True, True, False, False, False, True, True]


def test_sums_over_a_longer_window_are_looked_at_by_themselves():
    """What is known of the last seconds says nothing of those before, which are whole as well."""
    table = SeriesTable()
    history = History(table, clock=ManualClock())
    one = series(table, FULL, "a")
    for second, value in enumerate([1.0, 5.0, 1.0, 2.0, 3.0]):
        history.append(frame(table, START + second, {one: value}))
    now, recent = milliseconds(START + 4), history.recent()
    told: list[bool] = []
    for back in (2000, 4000, 2000):
        (columns,) = recent.columns(named(FULL), now - back, now) or ()
        told.append(columns.exact())
    assert told == [True, True, True]


@given(st.lists(st.floats() | st.sampled_from([2.0**32, 2.0**32 - 1, -(2.0**32), 1.0]), max_size=4))
def test_a_few_numbers_are_judged_as_many(values: list[float]):
    """Without numpy as with it."""
    assert are_exact(values) is is_exact(np.array(values))
