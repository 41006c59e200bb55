"""Queries that nobody would write: an answer or an error of queries, and never anything else."""

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.promql import (
    EvaluationError,
    Options,
    PromqlError,
    Vector,
    evaluate_instant,
    evaluate_range,
    parse,
)
from agent.store.series import STALE
from tests.agent.promql.asking import ask, history
from tests.agent.promql.grammar import START, Grammar
from tests.promqltest.memory import MemorySource, labelled

TOO_MANY = "query processing would load too many samples into memory in query execution"
NAMES = ("temp", "requests_total", "limit", "odd", "lat_bucket", "odd_bucket")
VALUES = (0.0, -0.0, 1.0, -1.0, 1e308, -1e308, 5e-324, float("inf"), float("-inf"), float("nan"))
PIECES = (
    *"()[]{},+-*/%^@:=!<>\"'`\\",
    *("NaN", "Inf", "0", "1e308", "-1", "0x10", "2.7", "1e-320", "9999999999"),
    *(
        " offset -1m",
        "[5m:1s]",
        "[1s:1m]",
        "[0s]",
        "[1m:0s]",
        " @ 0",
        " @ end()",
        " bool ",
        " on ()",
    ),
    *("topk", "quantile", "by (host)", "group_left (host)", "time()", '"$1$1"', r'"\xff"', "²"),
    *("label_replace", "sort_by_label", "round", "predict_linear", "year", "histogram_fraction"),
)


def _source() -> MemorySource:
    """Return a few series of every name, with labels and values of every kind."""
    random = Random(4)
    source = MemorySource()
    for name in NAMES:
        for gpu in ("0", "1", "²", "9" * 5000):
            labels = {
                "host": random.choice("ab"),
                "gpu": gpu,
                "le": random.choice(["1", "x", "-Inf"]),
            }
            times = sorted(START + random.randrange(1800) + 0.5 for _ in range(12))
            points = [(time, random.choice((*VALUES, STALE, 3.5))) for time in times]
            source.add(labelled(name, **labels), points)
    return source


SOURCE = _source()


def _evaluate(text: str, *, delayed_names: bool = False) -> None:
    """Ask at one time and over several."""
    options = Options(max_samples=20_000, delayed_names=delayed_names)
    with contextlib.suppress(PromqlError):
        query = parse(text, experimental=True)
        with contextlib.suppress(PromqlError):
            evaluate_instant(query, SOURCE, START + 900.25, options=options)
        evaluate_range(query, SOURCE, START + 300, START + 900, 150, options=options)


def _mutated(text: str, random: Random) -> str:
    """Return a query with a few pieces taken out, put in, moved or doubled."""
    for _ in range(random.randrange(4)):
        first, last = sorted(random.randrange(len(text) + 1) for _ in range(2))
        text = random.choice(
            [
                text[:first] + text[last:],
                text[:first] + random.choice(PIECES) + text[first:],
                text[:first] + random.choice(PIECES) + text[last:],
                text[:last] + text[first:],
            ]
        )
    return text


@settings(deadline=None, max_examples=250)
@given(st.integers(0, 2**64), st.booleans())
def test_whatever_is_asked_there_is_an_answer_or_an_error_of_queries(
    seed: int,
    delayed: bool,  # noqa: FBT001 - Hypothesis gives it by place
):
    """Of samples of every kind, by queries as they come and by ones that were damaged."""
    random = Random(seed)
    _evaluate(_mutated(Grammar(random).vector(random.randrange(4)), random), delayed_names=delayed)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.sampled_from([*NAMES, *PIECES, "sum", "rate", "[1m]", "5"]), max_size=12).map(
        "".join
    )
)
@example("sort_by_label(temp, 'gpu')")
@example("sort_by_label_desc(temp or odd, 'gpu', 'le')")
@example('label_replace(temp, "a", "$99999999999999999999", "gpu", "(.*)")')
@example("temp[9999d:1ms]")
@example("max_over_time(nothing[9999d:1ms])")
@example("round(odd, 1e-320) + year(odd * 1e308) ^ odd")
@example("topk(1e300, odd) or bottomk(NaN, odd)")
def test_whatever_is_put_together_there_is_an_answer_or_an_error_of_queries(text: str):
    """Of what looks like no query at all, too."""
    _evaluate(text)


def _nested(depth: int) -> Iterator[str]:
    """Give queries so deep, of several kinds."""
    yield "(" * depth + "temp" + ")" * depth
    yield "abs(" * depth + "temp" + ")" * depth
    yield "-" * depth + "temp"
    yield "temp" + " + temp" * depth
    yield "temp" + " ^ temp" * depth
    yield "max_over_time(" * depth + "temp" + "[1m:30s])" * depth
    yield "abs(" * (depth // 2) + "1" + " ^ 1" * depth + ")" * (depth // 2)
    yield "absent(-" * depth + "temp" + ")" * depth


@pytest.mark.parametrize("depth", [50, 95, 290, 310, 20_000])
def test_depth_is_no_danger(depth: int):
    """However deep a query is nested, it is answered or refused."""
    for text in _nested(depth):
        _evaluate(text)


def test_a_stack_that_is_full_is_an_error_of_the_query():
    """Where whoever asks is deep in a stack, a deep query is refused, at one time and over many."""
    query = parse("-" * 290 + "temp")

    def deep(levels: int, evaluate: Callable[[], object]) -> object:
        return deep(levels - 1, evaluate) if levels else evaluate()

    for one in (
        lambda: evaluate_instant(query, SOURCE, START),
        lambda: evaluate_range(query, SOURCE, START, START + 1, 1),
    ):
        with pytest.raises(EvaluationError, match="too deeply nested"):
            deep(sys.getrecursionlimit() - len(inspect.stack()) - 200, one)


def test_labels_do_not_double_until_memory_is_full():
    """Forty calls that each double a label would make it longer than any memory."""
    text = 'label_replace(x, "a", "ab", "", "")'
    for _ in range(40):
        text = f'label_replace({text}, "a", "$1$1", "a", "(.*)")'
    with pytest.raises(EvaluationError, match="longer than 1048576"):
        ask(history("x 1"), text, 0)
    for _ in range(40):
        text = 'label_join(x, "a", "-", "a", "a")'.replace("x", text)
    with pytest.raises(EvaluationError, match="longer than 1048576"):
        ask(history("x 1"), text.replace("$1$1", "$1"), 0)


@pytest.mark.parametrize(
    ("text", "samples"),
    [
        ("x", 2),
        ("x[1m]", 12),
        ("sum(x)", 2),
        ("x + y", 3),
        ("max_over_time(sum(x)[1m:10s])", 14 + 2 * 6),
        ("max_over_time(nothing[1m:10s])", 6),
    ],
)
def test_a_query_takes_no_more_samples_than_it_may(text: str, samples: int):
    """Those fetched count, those of subqueries, and each of their steps; one less is too few."""
    source = history('x{a="1"} 1x10', 'x{a="2"} 1x10', "y 1x10")
    query = parse(text)
    enough = Options(lookback=5.0, max_samples=samples)
    evaluate_instant(query, source, 70, options=enough)
    with pytest.raises(EvaluationError, match=TOO_MANY):
        evaluate_instant(query, source, 70, options=Options(lookback=5.0, max_samples=samples - 1))


def test_points_of_the_result_count():
    """A range query of few samples and many steps is refused before it has filled memory."""
    source = history("x 1")
    assert evaluate_range(parse("x"), source, 0, 200, 1, options=Options(max_samples=403)).series
    with pytest.raises(EvaluationError, match=TOO_MANY):
        evaluate_range(parse("x"), source, 0, 200, 1, options=Options(max_samples=402))
    with pytest.raises(EvaluationError, match=TOO_MANY):
        evaluate_range(parse("nothing"), source, 0, 1e12, 0.001)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (r"caf\xc3\xa9", "café"),
        (r"caf\303\251", "café"),
        (r"caf\u00e9", "café"),
        (r"\xe2\x82\xac\\xe2", r"€\xe2"),
        (r"\\\xc3\xa9\\", "\\é\\"),
    ],
)
def test_bytes_of_a_character_are_the_character(written: str, value: str):
    """Escaped bytes mean what they mean in Go, where several may make one character."""
    source = MemorySource()
    source.add(labelled("x", a=value), [(0.0, 1.0)])
    found = evaluate_instant(parse(f'x{{a="{written}"}}'), source, 0.0)
    assert isinstance(found, Vector)
    assert [dict(labels)["a"] for labels in found.labels] == [value]


def test_bytes_that_are_no_character_are_refused():
    """No label has such a name or value; a label to be made is named in the words of Prometheus."""
    with pytest.raises(
        PromqlError, match=r"no UTF-8 in the string \"\\xc5z\" \(line 1, column 5\)"
    ):
        parse(r'x{a="\xc5z"}')
    with pytest.raises(PromqlError, match=r'^invalid label name "a\\xc5z"$'):
        parse(r'count_values("a\xc5z", x)')
    assert parse(r"x{a=`\xc5z`}").selectors[0].matchers[1].value == r"\xc5z"
