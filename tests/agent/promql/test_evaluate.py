"""Instants and ranges: which samples count at which time, and what comes back."""

from collections.abc import Sequence
from math import isnan
from random import Random

import pytest

from agent.promql import (
    EvaluationError,
    Matrix,
    Notes,
    Options,
    PromqlError,
    Query,
    Scalar,
    String,
    Vector,
    evaluate_instant,
    evaluate_range,
    parse,
)
from agent.store.series import STALE, Matcher, SeriesSamples
from tests.agent.promql.asking import DELAYED, ask, ask_range, history
from tests.agent.promql.grammar import LENGTH, START, Grammar, samples, source_of
from tests.promqltest.memory import MemorySource, labelled


@pytest.mark.parametrize(
    ("time", "found"),
    [(9.999, None), (10, 1.0), (309.999, 1.0), (310, None), (310.001, None)],
)
def test_a_sample_stands_for_its_series_for_the_lookback(time: float, found: float | None):
    """From its own millisecond until, and without, the one that is the lookback later."""
    assert ask(history("x _ 1"), "x", time) == ({} if found is None else {"x": found})


def test_another_lookback():
    """The lookback is a setting."""
    assert ask(history("x 1"), "x", 14.999, Options(lookback=15)) == {"x": 1}
    assert ask(history("x 1"), "x", 15, Options(lookback=15)) == {}


@pytest.mark.parametrize(
    ("length", "time", "count"),
    [
        ("20s", 20, 2),
        ("20001ms", 20, 3),
        ("20s", 19.999, 2),
        ("20s", 20.001, 2),
        ("20s", 29.999, 2),
        ("20s", 30, 2),
        ("1ms", 30, 1),
        ("1ms", 30.001, 0),
        ("10s", 40, 0),
    ],
)
def test_ranges_are_open_on_the_left(length: str, time: float, count: int):
    """A range has the sample at its end and not the one at its beginning, to the millisecond."""
    found = ask(history("x 1 1 1 1"), f"count_over_time(x[{length}])", time)
    assert found == ({"": count} if count else {})


def test_stale_markers_end_a_series_and_are_no_samples():
    """After the marker a series is absent at once; in a range the marker is not there."""
    source = history("x 1 2 stale 4")
    assert [ask(source, "x", time) for time in (10, 19, 20, 29, 30)] == [
        {"x": 2},
        {"x": 2},
        {},
        {},
        {"x": 4},
    ]
    assert ask(source, "sum_over_time(x[1m])", 30) == {"": 7}
    assert ask(source, "last_over_time(x[15s])", 20) == {"x": 2}
    assert ask(source, "count_over_time(x[5s])", 20) == {}


def test_other_nans_are_values():
    """A NaN that is no marker is a value."""
    assert isnan(ask(history("x NaN"), "x", 5)["x"])
    assert ask(history("x 1 NaN"), "count_over_time(x[1m])", 10) == {"": 2}


def test_offset_and_at():
    """A selector may look elsewhere than at the time of the query."""
    source = history("x 0+1x100")
    assert ask(source, "x offset 100s", 500) == {"x": 40}
    assert ask(source, "x offset -100s", 500) == {"x": 60}
    assert ask(source, "x @ 250.5", 500) == {"x": 25}
    assert ask(source, "sum_over_time(x[20s] @ 100 offset 10s)", 500) == {"": 8 + 9}


def test_values_of_every_kind():
    """Numbers, strings and the samples of a range are answers too."""
    source = history('x{a="2"} 1 2 3', 'x{a="1"} 4 5 6')
    assert evaluate_instant(parse("1 + 2 * 3"), source, 0) == Scalar(7)
    assert evaluate_instant(parse("time()"), source, 12.3456) == Scalar(12.346)
    assert evaluate_instant(parse('"text"'), source, 0) == String("text")
    found = evaluate_instant(parse("x[15s]"), source, 20)
    assert found == Matrix(
        [
            SeriesSamples(labelled("x", a="1"), [10, 20], [5, 6]),
            SeriesSamples(labelled("x", a="2"), [10, 20], [2, 3]),
        ]
    )


def test_range_queries():
    """Every step from start to end, both included, has its value; series are sorted."""
    source = history('x{a="2"} 1 2 3', 'x{a="1"} _ 5')
    assert ask_range(source, "x", 0, 20, 10) == {
        "x{a=1}": {10: 5, 20: 5},
        "x{a=2}": {0: 1, 10: 2, 20: 3},
    }
    assert [*ask_range(source, "x", 0, 20, 10)] == ["x{a=1}", "x{a=2}"]
    assert ask_range(source, "time() * 2", 0, 25, 10) == {"": {0: 0, 10: 20, 20: 40}}
    assert ask_range(source, "sum(x @ end())", 0, 20, 20) == {"": {0: 8, 20: 8}}
    assert ask_range(source, "sum(x @ start())", 0, 20, 20) == {"": {0: 1, 20: 1}}


@pytest.mark.parametrize(("text", "step"), [("x[5m]", 1), ('"text"', 1), ("x", 0), ("x", -1)])
def test_range_queries_that_have_no_meaning(text: str, step: float):
    """A range of ranges, of strings, or with a step that leads nowhere is refused."""
    with pytest.raises(PromqlError):
        evaluate_range(parse(text), history(), 0, 10, step)


def test_names_that_collide():
    """Where the name alone told two series apart, dropping it is an error."""
    source = history("a 1", "b 2")
    for text in ('-{__name__=~"a|b"}', 'abs({__name__=~"a|b"})', 'rate({__name__=~"a|b"}[1m])'):
        pair = history("a 1 2", "b 2 3") if "rate" in text else source
        for options in (Options(), DELAYED):
            with pytest.raises(EvaluationError, match="same labelset"):
                ask(pair, text, 10, options)


def test_when_names_are_dropped():
    """By default at once; with delayed names at the end, so that they can still be asked for."""
    source = history("x_total 0 10")
    text = 'label_replace(rate(x_total[1m]), "of", "$1", "__name__", "(.*)")'
    assert [*ask(source, text, 10)] == [""]
    assert [*ask(source, text, 10, DELAYED)] == ["{of=x_total}"]
    assert [*ask(source, "sum by (__name__) (rate(x_total[1m]))", 10, DELAYED)] == [""]
    assert [*ask(source, "sum by (__name__) (x_total)", 10, DELAYED)] == ["x_total"]


def test_delayed_names_through_sets_and_aggregations():
    """What one side would drop is dropped at the end, and no series is lost on the way."""
    source = history('a{x="1"} 1', 'b{x="2"} 2')
    assert ask(source, "-a or b", 0, DELAYED) == {"{x=1}": -1, "b{x=2}": 2}
    assert ask(source, "b or -a", 0, DELAYED) == {"b{x=2}": 2, "{x=1}": -1}
    assert ask(source, "sum by (__name__) (a or -b)", 0, DELAYED) == {"a": 1, "": -2}
    assert ask(source, "-a > bool -5", 0, DELAYED) == {"{x=1}": 1}
    assert ask(source, "topk(1, -a)", 0, DELAYED) == {"{x=1}": -1}


class CountingSource:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, float]] = []

    def select(
        self, matchers: Sequence[Matcher], start: float, end: float
    ) -> Sequence[SeriesSamples]:
        """Note the span; there are no samples."""
        del matchers
        self.asked.append((start, end))
        return []


def test_a_source_is_asked_once_for_each_selector():
    """Neither steps nor subqueries ask again; the span is that of the plan."""
    source = CountingSource()
    evaluate_range(parse("max_over_time(rate(x[1m])[5m:10s]) or y"), source, 1000, 2000, 1)
    assert source.asked == [(640, 2000), (700, 2000)]


def test_what_cannot_matter_is_not_fetched():
    """Where the left side has no series the right side of most operators is not asked for."""
    for operator in ("and", "unless", "*", ">"):
        source = CountingSource()
        evaluate_range(parse(f"x {operator} y"), source, 1000, 2000, 1)
        assert source.asked == [(700, 2000)]


def test_queries_keep_nothing_between_evaluations():
    """A compiled query may serve any number of histories."""
    query = parse("max_over_time(sum(x)[1m:10s])")
    first, second = history("x 1"), history("x 2")
    answers = [evaluate_instant(query, source, 10) for source in (first, second, first)]
    assert [[*answer] for answer in answers if isinstance(answer, Vector)] == [
        [((), 1.0)],
        [((), 2.0)],
        [((), 1.0)],
    ]


def test_notes():
    """Probable mistakes are told to who asks, each once, with the place in the text."""
    notes = Notes()
    source = history("queue 1 2", 'h_bucket{le="no"} 1', 'h_bucket{le="+Inf"} 1')
    text = "rate(queue[1m]) or\n  quantile(2, queue) or histogram_quantile(0.5, h_bucket)"
    evaluate_range(parse(text), source, 0, 10, 5, notes=notes)
    doubt = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket"
    assert notes.infos == [f'PromQL info: {doubt}: "queue" (1:6)']
    assert notes.warnings == [
        "PromQL warning: quantile value should be between 0 and 1, got 2 (2:12)",
        (
            'PromQL warning: bucket label "le" is missing or has a malformed value of "no" '
            'for metric name "h_bucket" (2:49)'
        ),
    ]


@pytest.mark.parametrize("modifier", ["@ end()", "@ start()", "@\n end ( )"])
def test_the_ends_of_a_query_move_no_place(modifier: str):
    """`end()` behind an `@` is no call: what comes after it is told at its own place."""
    source = history("queue 1 2", "rest 1 2")
    text = f"-queue {modifier} + on () rate(rest[1m])"
    notes = Notes()
    evaluate_range(parse(text), source, 0, 10, 5, notes=notes)
    line, column = 1 + text.count("\n"), text.index("rest") - text.rfind("\n")
    assert [info[-len(f"({line}:{column})") :] for info in notes.infos] == [f"({line}:{column})"]


def _answers(query: Query, source: MemorySource, time: float) -> bool:
    """Return whether an instant query has an answer."""
    try:
        evaluate_instant(query, source, time)
    except EvaluationError:
        return False
    return True


@pytest.mark.parametrize("seed", range(40))
def test_a_range_query_is_instant_queries_in_a_row(seed: int):
    """At every step a range query has what an instant query has at that time."""
    random = Random(seed)
    source = source_of(samples(Random(1)))
    text = Grammar(random, edges=False).vector(3)
    start = START + random.randrange(300, LENGTH) + 0.25
    query, times = parse(text, experimental=True), [start + 20 * place for place in range(5)]
    try:
        found = evaluate_range(query, source, times[0], times[-1], 20)
    except EvaluationError:
        assert not all(_answers(query, source, time) for time in times)
        return
    for time in times:
        instant = evaluate_instant(query, source, time)
        assert isinstance(instant, Vector)
        there = {
            item.labels: dict(zip(item.times, item.values, strict=True)).get(time)
            for item in found.series
        }
        assert {labels: repr(value) for labels, value in instant} == {
            labels: repr(value) for labels, value in there.items() if value is not None
        }


def test_arrays_are_as_good_as_lists():
    """A source may give any sequence of floats, and markers in it are found."""

    class ArraySource(MemorySource):
        def select(
            self, matchers: Sequence[Matcher], start: float, end: float
        ) -> Sequence[SeriesSamples]:
            return [
                SeriesSamples(item.labels, (*item.times,), (*item.values,))
                for item in super().select(matchers, start, end)
            ]

    source = ArraySource()
    source.add(labelled("x_total"), [(0, 1.0), (10, 2.0), (20, STALE), (30, 1.0), (40, 3.0)])
    # Grown by 2 + 2 in 40 s, and by as much in half of the mean distance before the first sample.
    wanted = 4 * (40 + 40 / 3 / 2) / 40
    assert ask(source, "increase(x_total[1m])", 40) == pytest.approx({"": wanted})
    assert ask(source, "x_total", 40) == {"x_total": 3}
