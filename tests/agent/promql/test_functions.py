"""Functions one by one: corners that the other tests do not reach."""

from datetime import UTC, datetime
from math import e, inf, isnan, nan, pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.promql import EvaluationError, Notes, Scalar, evaluate_instant, evaluate_range, parse
from tests.agent.promql.asking import ask, history
from tests.promqltest.memory import MemorySource, labelled


def _number(text: str) -> float:
    """Return the value of an expression without series."""
    found = evaluate_instant(parse(text), MemorySource(), 0)
    assert isinstance(found, Scalar)
    return found.value


def _of(function: str, value: float) -> float:
    """Return what a function of one vector makes of a value."""
    source = MemorySource()
    source.add(labelled("x"), [(0, value)])
    return ask(source, function, 0)[""]


@pytest.mark.parametrize(
    ("function", "value", "wanted"),
    [
        ("abs(x)", -inf, inf),
        ("ceil(x)", 1.2, 2.0),
        ("ceil(x)", -0.2, -0.0),
        ("ceil(x)", inf, inf),
        ("floor(x)", -1.2, -2.0),
        ("floor(x)", nan, nan),
        ("exp(x)", 1000.0, inf),
        ("exp(x)", -inf, 0.0),
        ("sqrt(x)", -1.0, nan),
        ("ln(x)", e, 1.0),
        ("ln(x)", 0.0, -inf),
        ("log2(x)", -1.0, nan),
        ("log10(x)", inf, inf),
        ("sgn(x)", -7.0, -1.0),
        ("sgn(x)", 0.0, 0.0),
        ("sgn(x)", nan, nan),
        ("sin(x)", inf, nan),
        ("acos(x)", 2.0, nan),
        ("cosh(x)", -1000.0, inf),
        ("sinh(x)", -1000.0, -inf),
        ("atanh(x)", 1.0, inf),
        ("atanh(x)", 2.0, nan),
        ("deg(x)", pi, 180.0),
        ("rad(x)", 180.0, pi),
        ("round(x)", 2.5, 3.0),
        ("round(x)", -2.5, -2.0),
        ("round(x, 5)", 7.4, 5.0),
        ("round(x, 0)", 7.4, nan),
        ("round(x)", inf, inf),
        ("clamp(x, 1, 2)", 5.0, 2.0),
        ("clamp(x, 1, 2)", nan, nan),
        ("clamp(x, NaN, 2)", 1.0, nan),
        ("clamp_min(x, 1)", 0.0, 1.0),
        ("clamp_max(x, 1)", 3.0, 1.0),
        ("-x", 3.0, -3.0),
        ("x / 0", -1.0, -inf),
        ("x / 0", 0.0, nan),
        ("x % 0", 1.0, nan),
        ("x ^ 0.5", -1.0, nan),
        ("x ^ 999", -10.0, -inf),
        ("x ^ -1", 0.0, inf),
        ("vector(scalar(x))", 4.0, 4.0),
        ("timestamp(x)", 4.0, 0.0),
    ],
)
def test_one_value(function: str, value: float, wanted: float):
    """Functions answer with numbers, infinities and NaN as in Go, and never fail."""
    assert repr(_of(function, value)) == repr(wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("pi()", pi),
        ("-1 ^ 2", -1),
        ("2 ^ 3 ^ 2", 512),
        ("7 % -4", 3),
        ("-7 % 4", -3),
        ("1 == bool 1", 1),
        ("1 > bool NaN", 0),
        ("5m", 300),
        ("1 atan2 1", pi / 4),
        ("scalar(vector(3))", 3),
        ("0x1F + 1e-3", 31.001),
    ],
)
def test_numbers(text: str, wanted: float):
    """Precedence and associativity are those of PromQL."""
    assert _number(text) == pytest.approx(wanted)


def test_clamp_with_crossed_limits():
    """Nothing lies between limits that exclude each other."""
    assert ask(history("x 1"), "clamp(x, 2, 1)", 0) == {}


def test_scalar_of_none_or_many():
    """Only a single series is a number."""
    source = history('x{a="1"} 1', 'x{a="2"} 2')
    for text in ("scalar(x)", "scalar(missing)"):
        found = evaluate_instant(parse(text), source, 0)
        assert isinstance(found, Scalar)
        assert isnan(found.value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("absent(x)", {}),
        ("absent(y)", {"": 1}),
        ('absent(y{a="1",b=~"2",c!="3"})', {"{a=1}": 1}),
        ('absent(y{a="1",a="2",b="3"})', {"{b=3}": 1}),
        ("absent(sum(y))", {"": 1}),
        ('absent_over_time(y{a="1"}[5m])', {"{a=1}": 1}),
        ("absent_over_time(x[5m])", {}),
        ("absent_over_time((x > 5)[5m:])", {"": 1}),
        ("present_over_time(x[5m])", {"{a=1}": 1}),
    ],
)
def test_absence(text: str, wanted: dict[str, float]):
    """What is absent has the labels that the selector demands, and no others."""
    assert ask(history('x{a="1"} 1'), text, 10) == wanted


@given(st.integers(-(10**11), 10**13))
def test_dates(seconds: int):
    """Parts of dates are those of the calendar, also of years that Python does not know."""
    cycle = 146_097 * 86_400
    date = datetime.fromtimestamp(seconds % cycle, UTC)
    year = date.year + seconds // cycle * 400
    assert _of("year(x)", float(seconds)) == year
    assert _of("month(x)", float(seconds)) == date.month
    assert _of("day_of_month(x)", float(seconds)) == date.day
    assert _of("day_of_week(x)", float(seconds)) == (seconds // 86_400 + 4) % 7
    assert _of("hour(x)", float(seconds)) == seconds // 3600 % 24
    assert _of("minute(x)", float(seconds)) == seconds // 60 % 60
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    assert _of("days_in_month(x)", float(seconds)) == (
        28 + leap if date.month == 2 else 30 + (date.month in {1, 3, 5, 7, 8, 10, 12})
    )


def test_dates_of_now_and_of_nothing():
    """Without an argument it is the time of the evaluation; NaN has no date."""
    assert ask(history(), "hour()", 7200.9) == {"": 2}
    assert ask(history(), "day_of_year()", 86_400 * 31) == {"": 32}
    assert isnan(_of("year(x)", nan))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('label_replace(x, "b", "$1-$2", "a", "(.)(.*)")', ["x{a=one,b=o-ne}"]),
        ('label_replace(x, "b", "${1}x", "a", "(.).*")', ["x{a=one,b=ox}"]),
        ('label_replace(x, "b", "$1x", "a", "(.).*")', ["x{a=one}"]),
        ('label_replace(x, "b", "$$1", "a", ".*")', ["x{a=one,b=$1}"]),
        ('label_replace(x, "b", "$first", "a", "(?P<first>.).*")', ["x{a=one,b=o}"]),
        ('label_replace(x, "b", "$9", "a", "(.).*")', ["x{a=one}"]),
        ('label_replace(x, "b", "c", "a", "on")', ["x{a=one}"]),
        ('label_replace(x, "a", "", "a", ".*")', ["x"]),
        ('label_replace(x, "b", "new", "missing", "")', ["x{a=one,b=new}"]),
        ('label_replace(x, "__name__", "y", "", "")', ["y{a=one}"]),
        ('label_join(x, "b", "-", "a", "missing", "a")', ["x{a=one,b=one--one}"]),
        ('label_join(x, "a", "-")', ["x"]),
    ],
)
def test_new_labels(text: str, wanted: list[str]):
    """Templates are Go's: the longest name after a dollar counts, what is unknown is empty."""
    assert [*ask(history('x{a="one"} 1'), text, 0)] == wanted


def test_new_labels_that_collide():
    """Labels that make two series equal are an error."""
    source = history('x{a="1"} 1', 'x{a="2"} 2')
    for text in ('label_replace(x, "a", "", "", "")', 'label_join(x, "a", "-")'):
        with pytest.raises(EvaluationError, match="same labelset"):
            ask(source, text, 0)


def test_order():
    """Sorted by value with NaN last, or naturally by label."""
    source = history('x{n="g10"} 1', 'x{n="g9"} NaN', 'x{n="g1"} 3')
    assert [*ask(source, "sort(x)", 0)] == ["x{n=g10}", "x{n=g1}", "x{n=g9}"]
    assert [*ask(source, "sort_desc(x)", 0)] == ["x{n=g1}", "x{n=g10}", "x{n=g9}"]
    assert [*ask(source, 'sort_by_label(x, "n")', 0)] == ["x{n=g1}", "x{n=g9}", "x{n=g10}"]


def test_order_in_range_queries_is_told_to_be_idle():
    """A range query orders by labels; whoever sorts in it is warned."""
    notes = Notes()
    evaluate_range(parse("sort(x)"), history("x 1"), 0, 10, 10, notes=notes)
    assert [text for text in notes.warnings if "sort is ineffective" in text] == notes.warnings
    assert len(notes.warnings) == 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("deriv(x[1m])", 0.2),
        ("predict_linear(x[1m], 50)", 8 + 10),
        ("predict_linear(x[1m] offset 10s, 50)", 8 + 10),
        ("double_exponential_smoothing(x[1m], 0.5, 0.5)", 8),
        ("quantile_over_time(0.25, x[1m])", 2),
        ("mad_over_time(x[1m])", 2),
        ("avg_over_time(x[1m])", 4),
        ("stddev_over_time(x[1m])", 8**0.5),
        ("ts_of_max_over_time(x[1m])", 40),
        ("ts_of_min_over_time(x[1m])", 0),
        ("ts_of_first_over_time(x[1m])", 0),
        ("ts_of_last_over_time(x[1m])", 40),
        ("sum_over_time(x[20s:5s])", 4 + 6 + 6 + 8),
        ("avg_over_time(vector(time())[1m:10s])", 15),
        ("min_over_time(x[1m])", 0),
        ("max_over_time(x[1m])", 8),
        ("last_over_time((-x)[1m:10s])", -8),
        ("timestamp(x + 1)", 40),
        ("timestamp(x offset 5s)", 30),
    ],
)
def test_ranges(text: str, wanted: float):
    """What is drawn through, or counted in, the samples of a straight line."""
    assert ask(history("x 0 2 4 6 8"), text, 40) == pytest.approx({"": wanted})


def test_smoothing_factors():
    """Factors of one and beyond smooth nothing."""
    for factors in ("0, 0.5", "1, 0.5", "0.5, 1"):
        with pytest.raises(EvaluationError, match="factor"):
            ask(history("x 1 2"), f"double_exponential_smoothing(x[1m], {factors})", 10)


def test_a_line_through_infinity():
    """A constant infinity has no slope."""
    assert isnan(ask(history("x Inf Inf"), "deriv(x[1m])", 10)[""])
    # The same object twice, as a range over a subquery has it, is no equal number either.
    assert isnan(
        ask(history('x{le="+Inf"} 1 1 1'), "deriv(histogram_quantile(NaN, x)[20s:10s])", 20)[""]
    )
