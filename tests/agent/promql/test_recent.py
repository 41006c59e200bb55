"""Columns out of memory against samples one by one: the same results, to the last bit."""

import struct
from collections.abc import Iterator, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.alerts.source import OneTick
from agent.alerts.standing import Standing
from agent.model import Frame, Metric, MetricType, SeriesTable
from agent.promql import EvaluationError, Options, Query, Value, Vector, evaluate_instant, parse
from agent.store.history import History
from agent.store.series import STALE, Labels, Matcher, SeriesSamples
from tests.fakes.clock import ManualClock

START = 1_799_999_990.0
"""Some seconds before a segment ends."""

METRICS = [
    Metric(
        name=f"inferwatch_made_up_{name}", type=MetricType.GAUGE, help="Made up.", labels=("a", "b")
    )
    for name in ("x", "y")
]
SERIES = 6

_FUNCTIONS = (
    *("rate", "increase", "delta", "irate", "idelta", "resets", "changes", "deriv"),
    *("avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time"),
    *("stddev_over_time", "last_over_time", "first_over_time", "present_over_time"),
)
X, Y = (metric.name for metric in METRICS)
QUERIES = [
    parse(text.replace("X", X).replace("Y", Y))
    for text in (
        *(f"{name}(X[{span}])" for name in _FUNCTIONS for span in ("3s", "30s")),
        "X",
        'X{a="1"} > 1',
        "rate(X[10s] offset 2s)",
        "rate(X[10s] offset -2s)",
        "quantile_over_time(0.4, X[10s])",
        "predict_linear(X[10s], 60)",
        "last_over_time(X[5s]) + on (a, b) Y",
        "X - ignoring (b) group_left () sum without (b) (Y)",
        "sum without (b) (rate(X[10s])) / (sum without (b) (avg_over_time(Y[10s])) > 0)",
        'max by (a) (X or Y{b!="0"})',
        "X > on (a, b) Y or X unless ignoring (b) Y == 1",
        "X == bool on (a, b) Y",
        "count(X) + avg(Y)",
        "topk(9, X) and changes(Y[5s]) == 0",
        "absent(Y) or absent_over_time(X[3s])",
        "timestamp(X) - time()",
        "max_over_time(rate(X[5s])[10s:2s])",
        "histogram_quantile(0.5, Y)",
    )
]

_VALUES = st.sampled_from([0.0, 0.0, 0.0, -0.0, 1.0, 1.0, 0.1, 3.7, 1e300, float("inf")])
_ODD = st.sampled_from([float("nan"), STALE])
_STEPS = st.one_of(
    st.just(1.0), st.just(1.0), st.sampled_from([0.0, 0.001, 0.999, 2.5, 12.0, 400.0, -3.0, -30.0])
)
_LAYOUTS = st.one_of(
    st.just(tuple(range(SERIES))),
    st.lists(st.integers(0, SERIES - 1), unique=True).map(tuple),
)
_STRETCHES = st.lists(
    st.tuples(
        _LAYOUTS,
        st.lists(st.tuples(st.integers(0, SERIES - 1), st.one_of(_VALUES, _VALUES, _ODD))),
        st.lists(_STEPS, min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=6,
)


class OneByOne:
    """A history that knows no shorter way."""

    def __init__(self, history: History) -> None:
        self._history = history

    def select(
        self, matchers: Sequence[Matcher], start: float, end: float
    ) -> Sequence[SeriesSamples]:
        """Return the samples, series by series."""
        return self._history.select(matchers, start, end)


def _answer(query: Query, source: OneTick | OneByOne, time: float, options: Options) -> object:
    """Return what a query gives, with bits in place of numbers."""
    try:
        return _bits(evaluate_instant(query, source, time, options=options))
    except EvaluationError as error:
        # Which of several pairs of series is named depends on their order.
        return str(error).split("[", maxsplit=1)[0]


def _standing(standing: Standing, tick: OneTick, time: float) -> object:
    """Return what a rule would have, with bits in place of numbers."""
    try:
        return _bits(standing.at(tick, time))
    except EvaluationError as error:
        return str(error).split("[", maxsplit=1)[0]


def _bits(value: Value) -> object:
    """Return labels and bits; one NaN is as good as another."""
    assert isinstance(value, Vector)
    return {labels: "NaN" if v != v else struct.pack("<d", v) for labels, v in value}  # noqa: PLR0124


def _intern(table: SeriesTable, number: int) -> int:
    """Return one of the series: three of each metric."""
    return table.intern(METRICS[number % 2], (str(number // 2), str(number // 4)))


Stretch = tuple[tuple[int, ...], list[tuple[int, float]], list[float]]
"""Series that are there, what changes of them at each tick, and the seconds to each tick."""


def _appended(
    history: History, table: SeriesTable, stretches: list[Stretch]
) -> Iterator[tuple[float, bool]]:
    """Append tick after tick; yield the time of each, and whether its stretch is whole."""
    time = START
    current = [0.0] * SERIES
    for layout, changes, steps in stretches:
        ids = [_intern(table, number) for number in layout]
        for place, step in enumerate(steps):
            time += step
            for number, value in changes[place : place + 1]:
                current[number] = value
            history.append(Frame(time, table, ids, [current[number] for number in layout]))
            yield time, place == len(steps) - 1


@settings(deadline=None, max_examples=60)
@given(_STRETCHES, st.booleans())
def test_results_are_those_of_samples_one_by_one(
    stretches: list[Stretch],
    delayed: bool,  # noqa: FBT001 - Hypothesis gives it by place
):
    """Whatever comes and goes, falls, is no number, and wherever the clock jumps."""
    table = SeriesTable()
    history = History(table, clock=ManualClock(), span=60.0)
    options = Options(delayed_names=delayed)
    for time, whole in _appended(history, table, stretches):
        if not whole:
            continue
        tick, plain = OneTick(history), OneByOne(history)
        for query in QUERIES:
            wanted = _answer(query, plain, time, options)
            assert _answer(query, tick, time, options) == wanted, query.text


_STANDING = [
    parse(text.replace("X", X).replace("Y", Y))
    for text in (
        "X > 0 unless rate(Y[3s]) > 0",
        "X == 0 and changes(Y[10s]) == 0 and time() - X > 5",
        "avg_over_time(X[3s]) + count_over_time(Y[10s])",
        "avg_over_time(X[10s])",
        "sum without (b) (increase(X[3s])) or absent(Y)",
        'max_over_time(X{a="1"}[3s]) - deriv(Y[10s])',
        "timestamp(X)",
        "year() + on () group_right () X",
        "last_over_time(X[3s] offset 2s)",
        "rate(X[3s] offset -2s) or increase(Y[5s] offset -1s)",
        "max_over_time(X[10s:2s])",
    )
]


@settings(deadline=None, max_examples=40)
@given(_STRETCHES)
def test_results_stand_only_while_they_would_come_out_the_same(
    stretches: list[Stretch],
):
    """At every tick, whatever has changed since, come, gone or only become older."""
    table = SeriesTable()
    history = History(table, clock=ManualClock(), span=60.0)
    standing = [Standing(query) for query in _STANDING]
    for time, _whole in _appended(history, table, stretches):
        tick, plain = OneTick(history), OneByOne(history)
        for query, stands in zip(_STANDING, standing, strict=True):
            wanted = _answer(query, plain, time, Options())
            assert _standing(stands, tick, time) == wanted, query.text


def _steady(seconds: int) -> tuple[SeriesTable, History, float]:
    """Return a history of all series at 1 Hz, and its last time."""
    table = SeriesTable()
    history = History(table, clock=ManualClock())
    ids = [_intern(table, number) for number in range(SERIES)]
    for second in range(seconds):
        values = [float(second * number) for number in range(SERIES)]
        history.append(Frame(START + second, table, ids, values))
    return table, history, START + seconds - 1


def test_no_sample_is_fetched_where_all_series_have_the_same_ticks():
    """On a host at work no rule goes through samples one by one; across two segments, too."""
    history, end = _steady(60)[1:]

    class Watched(OneTick):
        def select(
            self, matchers: Sequence[Matcher], start: float, end: float
        ) -> Sequence[SeriesSamples]:
            raise AssertionError(matchers, start, end)

        def latest(
            self, matchers: Sequence[Matcher], start: float, end: float
        ) -> Sequence[tuple[Labels, float, float]]:
            raise AssertionError(matchers, start, end)

    for query in QUERIES:
        text = query.text
        if "offset" not in text and "timestamp" not in text and ":2s" not in text:
            evaluate_instant(query, Watched(history), end)


def test_labels_are_the_same_object_at_every_tick():
    """What was worked out for labels is found again in the next second, also in a new layout."""
    table, history, end = _steady(20)
    query = parse(f"sum without (b) (rate({X}[10s])) / sum without (b) (avg_over_time({Y}[5s]))")

    def labels() -> object:
        found = evaluate_instant(query, OneTick(history), end)
        assert isinstance(found, Vector)
        return found.labels

    before = labels()
    assert before
    ids = [_intern(table, number) for number in range(SERIES)]
    other = table.intern(Metric(name="inferwatch_other", type=MetricType.GAUGE, help="Made up."))
    for _second in range(2):
        end += 1
        history.append(Frame(end, table, [other, *ids], [0.0] * (SERIES + 1)))
    assert labels() is before


def test_a_range_that_ends_in_the_future_stands_no_longer_than_its_samples_last():
    """Two samples in the second that `[3s] offset -2s` has of the past are none two seconds on."""
    table = SeriesTable()
    history = History(table, clock=ManualClock())
    ids = [_intern(table, number) for number in range(SERIES)]
    standing = Standing(parse(f"rate({X}[3s] offset -2s)"))
    time, found = START, []
    for step in (0.4, 0.4, 2.0):
        time += step
        history.append(Frame(time, table, ids, [1.0] * SERIES))
        value = standing.at(OneTick(history), time)
        assert isinstance(value, Vector)
        found.append(len(value))
    assert found == [0, SERIES // 2, 0]
