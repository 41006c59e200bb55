"""Reading queries: what is refused, where, and what the plan of the others is."""

import contextlib
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.promql import EvaluationError, PromqlError, UnsupportedError, parse
from agent.store.series import Matcher, MatchOp


@pytest.mark.parametrize(
    ("text", "named", "position"),
    [
        ("info(x)", "info", (1, 1)),
        ("sum(histogram_sum(x))", "histogram_sum", (1, 5)),
        ("1 +\n limitk(2, x)", "limitk", (2, 2)),
        ("topk(max_of(1, 2), x)", "max_of", (1, 6)),
        ("rate(x[5m]) + mad_over_time(x[5m])", "mad_over_time", (1, 15)),
        ('x{a="info(1)"} + start_timestamp(x)', "start_timestamp", (1, 18)),
        ("sum by (rate) (x) # end(\n + end()", "end", (2, 4)),
        ("x + fill (0) y", "fill", None),
        ('x{a="b" or c="d"}', "or", None),
    ],
)
def test_what_is_not_evaluated_is_refused_by_name(
    text: str, named: str, position: tuple[int, int] | None
):
    """Valid queries that are not evaluated are refused at load, by name and place."""
    with pytest.raises(UnsupportedError, match=named) as refusal:
        parse(text)
    assert refusal.value.position == position


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x{",
        "rate(x)",
        "nothing(x)",
        "1 > 2",
        "x[5m] + 1",
        'x{a=~"("}',
        'x{a=~"a(?=b)"}',
        'label_replace(x, "a", "b", "c", "(")',
        'label_replace(x, "", "b", "c", "d")',
        'label_join(x, "", "b", "c")',
        'count_values("", x)',
        "holt_winters(x[5m], 0.1, 0.1)",
        "x @ -5",
        r'x{a="\xff"}',
        "(" * 5000 + "x" + ")" * 5000,
        "-" * 5000 + "x",
        "x" + " + x" * 5000,
        "x" * 70_000,
    ],
    ids=lambda text: text[:24],
)
def test_what_is_no_query_is_refused(text: str):
    """What is no PromQL, or would bring the parser down, is an error and not an answer."""
    with pytest.raises(PromqlError):
        parse(text)


PIECES = re.findall(
    r"\S+",
    """x sum rate by ( ) [ 5m ] { } a = "b" =~ "(" , + - * / % ^ and or unless on ignoring
    group_left offset @ 1 0x 1e .5 Inf NaN " ' ` \\ é : start() end() bool == > ! != topk quantile
    count_values time() [5m:1m] # without 1e400 -99999999999999 1e300 label_replace vector y ms
    histogram_quantile absent fill( "\\xff" "\\u00" 9999999999999999999""",
)


@given(st.lists(st.sampled_from([*PIECES, " ", "\n", "\0"]), max_size=14).map("".join))
@example("x offset 999999999999999999999999999999")
@example("x @ 1e300")
@example("x[9999999999999999999999d]")
def test_any_text_is_a_query_or_an_error(text: str):
    """Whatever is asked, nothing but an error of queries comes of it."""
    with contextlib.suppress(PromqlError):
        parse(text)


def test_long_rules_are_taken():
    """A rule as long as rules get is not mistaken for an attack."""
    parse(" or ".join(f'(rate(x{{a="{index}"}}[5m]) > {index})' for index in range(90)))


def test_experimental_functions_on_request():
    """Functions that Prometheus has behind a flag are taken when asked for."""
    assert parse("mad_over_time(x[5m])", experimental=True).selectors


def test_errors_of_evaluation_are_errors_of_queries():
    """Whoever catches errors of queries catches those of evaluation and refusals too."""
    assert issubclass(EvaluationError, PromqlError)
    assert issubclass(UnsupportedError, PromqlError)


def test_metric_names():
    """A query knows which metrics it asks for by name."""
    query = parse('rate(a_total[5m]) / on (x) b or {__name__="c"} or {__name__=~"d.*"}')
    assert query.metric_names() == {"a_total", "b", "c"}


def test_the_same_selector_is_fetched_once():
    """What a query asks for twice is one selector."""
    query = parse("rate(a[5m]) / (rate(a[5m]) + rate(b[5m])) + a")
    assert [(item.metric_name, item.range) for item in query.selectors] == [
        ("a", 300_000),
        ("b", 300_000),
        ("a", None),
    ]


def test_matchers():
    """The four kinds of matchers arrive as written, the name first."""
    (selector,) = parse('x{a="1", b!="2", c=~"3.*", d!~"4"}').selectors
    assert selector.matchers == (
        Matcher("__name__", MatchOp.EQUAL, "x"),
        Matcher("a", MatchOp.EQUAL, "1"),
        Matcher("b", MatchOp.NOT_EQUAL, "2"),
        Matcher("c", MatchOp.REGEX, "3.*"),
        Matcher("d", MatchOp.NOT_REGEX, "4"),
    )


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("x", (700, 2000)),
        ("x offset 1m", (640, 1940)),
        ("x offset -1m", (760, 2060)),
        ("rate(x[2m])", (880, 2000)),
        ("rate(x[2m] offset 1m)", (820, 1940)),
        ("x @ 500", (200, 500)),
        ("x @ 500 offset 1m", (140, 440)),
        ("x @ start()", (700, 1000)),
        ("x @ end()", (1700, 2000)),
        ("sum(x)[10m:1m]", (100, 2000)),
        ("sum(x)[10m:1m] offset 1m", (40, 1940)),
        ("max_over_time(rate(x[1m])[10m:1m] @ 5000)", (4340, 5000)),
        ("max_over_time(rate(x[1m] @ 300)[10m:1m] @ 5000)", (240, 300)),
        ("max_over_time(max_over_time(x[1m:])[10m:])", (40, 2000)),
    ],
)
def test_spans(text: str, span: tuple[float, float]):
    """A selector needs the samples of its range, shifted as it and what is around it says."""
    (selector,) = parse(text).selectors
    start, end = selector.span(1_000_000, 2_000_000, 300_000)
    assert (start / 1000, end / 1000) == span


def test_reach():
    """A rule can be told how far back it looks, in seconds."""
    assert parse("1 + 1").reach() == 0
    assert parse("x > 5").reach() == 300
    assert parse("rate(x[1m] offset 30s) or max_over_time(sum(x)[1h:])").reach(60) == 3660
