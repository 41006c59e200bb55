"""When memory answers at once, and when the samples have to be looked for."""

from agent.model import SeriesTable
from agent.store.history import History
from agent.store.recent import Columns
from agent.store.series import Matcher, MatchOp, milliseconds
from tests.fakes.clock import ManualClock
from tests.fakes.history import FULL, frame, named, series

START = 1_800_000_000.0
NOW = milliseconds(START + 9)
SINCE = NOW - 5000


def _history(values: dict[float, dict[str, float]]) -> History:
    """Return a history of rows by second."""
    table = SeriesTable()
    history = History(table, clock=ManualClock())
    for second, row in values.items():
        given = {series(table, FULL, name): value for name, value in row.items()}
        history.append(frame(table, START + second, given))
    return history


def _only(parts: tuple[Columns, ...] | None) -> Columns:
    """Return the columns of series that share their times."""
    assert parts is not None
    (columns,) = parts
    return columns


def _steady(**others: float) -> dict[float, dict[str, float]]:
    """Return ten seconds of two series and others."""
    return {float(s): {"a": float(s), "b": 1.0, **others} for s in range(10)}


def test_columns_share_their_times():
    """Series with a sample at every tick: first, last, all, and what changed."""
    columns = _only(_history(_steady()).recent().columns(named(FULL), SINCE, NOW))
    assert [dict(labels)["x"] for labels in columns.labels] == ["a", "b"]
    assert [*columns.times] == [START + second for second in range(5, 10)]
    assert columns.first() == [5.0, 1.0]
    assert columns.last() == [9.0, 1.0]
    assert columns.values() == [[5.0, 6.0, 7.0, 8.0, 9.0], [1.0] * 5]
    assert not columns.constant
    assert columns.falls() == []


def test_falls_are_told_in_the_order_of_time():
    """Each value below its predecessor, with that predecessor; not the first of the window."""
    rows = _steady()
    for second, value in ((5.0, 0.0), (7.0, 2.0), (9.0, 1.0)):
        rows[second]["a"] = value
    rows[4.0]["b"] = 5.0  # it falls with the first tick of the window, from a value before it
    columns = _only(_history(rows).recent().columns(named(FULL), SINCE, NOW))
    assert columns.falls() == [(0, 6.0), (0, 8.0)]


def test_what_stands_still_is_known_to():
    """Also over the seam of two layouts."""
    rows = _steady()
    for second in range(7, 10):
        rows[float(second)] = {"new": 1.0, **rows[float(second)]}
    one = (*named(FULL), Matcher("x", MatchOp.EQUAL, "b"))
    columns = _only(_history(rows).recent().columns(one, SINCE, NOW))
    assert columns.constant
    assert columns.values() == [[1.0] * 5]


def test_series_that_came_at_different_ticks_are_in_different_columns():
    """Each with the ticks since it came, and only once it is older than the window with others."""
    rows = _steady()
    for second in range(6, 10):
        rows[float(second)] = {"c": 10.0 - second, **rows[float(second)]}
    for second in range(8, 10):
        rows[float(second)]["d"] = 4.0
    recent = _history(rows).recent()
    parts = recent.columns(named(FULL), SINCE, NOW)
    assert parts is not None
    found = {
        dict(labels)["x"]: (len(part.times), values, part.constant)
        for part in parts
        for labels, values in zip(part.labels, part.values(), strict=True)
    }
    assert found == {
        "a": (5, [5.0, 6.0, 7.0, 8.0, 9.0], False),
        "b": (5, [1.0] * 5, False),
        "c": (4, [4.0, 3.0, 2.0, 1.0], False),
        "d": (2, [4.0] * 2, True),
    }
    assert [part.falls() for part in parts] == [[(0, 4.0), (0, 3.0), (0, 2.0)], [], []]
    assert len(_only(recent.columns(named(FULL), NOW - 2000, NOW)).labels) == 4


def test_no_series_give_no_columns():
    """That is an answer, too."""
    other = (Matcher("__name__", MatchOp.EQUAL, "inferwatch_made_up_other"),)
    assert _history(_steady()).recent().columns(other, SINCE, NOW) == ()


def test_there_is_no_answer_where_a_series_went():
    """Then its samples have to be looked for; once it is older than the window it is one more."""
    rows = _steady()
    rows[6.0]["new"] = rows[7.0]["new"] = 1.0
    recent = _history(rows).recent()
    assert recent.columns(named(FULL), SINCE, NOW) is None
    assert recent.columns(named(FULL), NOW - 1000, NOW) is not None
    newest = recent.newest(named(FULL), SINCE, NOW)
    assert newest is not None
    assert newest.values == [9.0, 1.0]
    assert newest.time == START + 9


def test_there_is_no_answer_where_a_value_is_no_number():
    """Not while it is in the window: it may be the end of a series."""
    rows = _steady()
    rows[5.0]["b"] = float("nan")
    recent = _history(rows).recent()
    assert recent.columns(named(FULL), SINCE, NOW) is None
    assert recent.columns(named(FULL), SINCE + 1000, NOW) is not None
    assert recent.newest(named(FULL), SINCE, NOW) is not None


def test_there_is_no_answer_for_another_moment_or_a_pattern_or_a_clock_that_was_set():
    """Only for windows that end with the newest tick, of one name, of time that went forward."""
    recent = _history(_steady()).recent()
    assert recent.columns(named(FULL), SINCE, NOW - 1) is None
    assert recent.newest(named(FULL), SINCE - 5000, NOW - 1) is None
    anything = (Matcher("__name__", MatchOp.REGEX, ".+"),)
    assert recent.columns(anything, SINCE, NOW) is None
    set_back = {**_steady(), -100.0: {"a": 1.0, "b": 1.0}}
    then = milliseconds(START - 100)
    assert _history(set_back).recent().columns(named(FULL), then - 5000, then) is None


def test_there_is_no_answer_before_the_first_tick():
    """Also at the beginning of time, where tests and promtool begin."""
    history = History(SeriesTable(), clock=ManualClock())
    assert history.recent().columns(named(FULL), -3000, 0) is None
    assert history.recent().newest(named(FULL), -3000, 0) is None


def test_there_is_no_answer_for_a_name_that_rules_write():
    """Their series are in another stream."""
    table = SeriesTable()
    history = History(table, clock=ManualClock())
    one = series(table, FULL, "a")
    history.append(frame(table, START, {one: 1.0}))
    moment = milliseconds(START)
    assert history.recent().newest(named(FULL), moment - 1, moment) is not None
    history.record(START, [series(table, FULL, "b")], [2.0])
    assert history.recent().newest(named(FULL), moment - 1, moment) is None


def test_the_same_window_is_cut_once():
    """Two rules that ask for the same get the same columns."""
    recent = _history(_steady()).recent()
    first = recent.columns(named(FULL), SINCE, NOW)
    assert first is not None
    assert recent.columns(named(FULL), SINCE, NOW) is first
    assert _only(first).values() is _only(first).values()
