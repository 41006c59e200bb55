"""Aggregations: groups, order, names, and numbers that are none."""

from math import isnan

import pytest

from agent.promql import EvaluationError
from tests.agent.promql.asking import ask, history

SOURCE = history(
    'x{host="a",gpu="0"} 1', 'x{host="a",gpu="1"} 5', 'x{host="b",gpu="0"} 3', "y NaN", "one 1"
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("sum(x)", {"": 9}),
        ("sum by (host) (x)", {"{host=a}": 6, "{host=b}": 3}),
        ("avg without (gpu) (x)", {"{host=a}": 3, "{host=b}": 3}),
        ("max by (nothing) (x)", {"": 5}),
        ("min by (host, nothing) (x)", {"{host=a}": 1, "{host=b}": 3}),
        ("count(x) by (gpu)", {"{gpu=0}": 2, "{gpu=1}": 1}),
        ("group(x)", {"": 1}),
        ("stdvar(x)", {"": 8 / 3}),
        ("stddev(x)", {"": (8 / 3) ** 0.5}),
        ("quantile(0.5, x)", {"": 3}),
        ("quantile(0.25, x)", {"": 2}),
        ("sum(missing)", {}),
        ("count(missing)", {}),
        ("sum by (__name__) (x)", {"x": 9}),
        ("topk(2, x)", {"x{gpu=1,host=a}": 5, "x{gpu=0,host=b}": 3}),
        ("bottomk(1.9, x)", {"x{gpu=0,host=a}": 1}),
        ("topk by (host) (1, x)", {"x{gpu=1,host=a}": 5, "x{gpu=0,host=b}": 3}),
        ("topk(0, x)", {}),
        ("topk(-1, x)", {}),
        ("topk(1e9, x)", {"x{gpu=1,host=a}": 5, "x{gpu=0,host=b}": 3, "x{gpu=0,host=a}": 1}),
        ("topk(scalar(one), x)", {"x{gpu=1,host=a}": 5}),
        ('count_values("value", x)', {"{value=1}": 1, "{value=5}": 1, "{value=3}": 1}),
        ('count_values by (host) ("v", x > 1)', {"{host=a,v=5}": 1, "{host=b,v=3}": 1}),
        ('count_values without (gpu) ("v", y)', {"{v=NaN}": 1}),
        ("sum(x) / count(x)", {"": 3}),
    ],
)
def test_results(text: str, wanted: dict[str, float]):
    """Groups have the labels of the clause, `topk` those of its series, in order."""
    found = ask(SOURCE, text, 0)
    assert found == pytest.approx(wanted)
    assert not text.startswith(("topk", "bottomk")) or [*found] == [*wanted]


def test_nan():
    """NaN spoils sums and means, and is no extreme where there is a number."""
    source = history('x{a="1"} NaN', 'x{a="2"} 7')
    for name in ("sum", "avg", "stddev", "stdvar"):
        assert isnan(ask(source, f"{name}(x)", 0)[""])
    for name in ("min", "max"):
        assert ask(source, f"{name}(x)", 0) == {"": 7}
    assert [*ask(source, "topk(2, x)", 0)] == ["x{a=2}", "x{a=1}"]
    assert [*ask(source, "bottomk(2, x)", 0)] == ["x{a=2}", "x{a=1}"]


@pytest.mark.parametrize(
    ("number", "message"),
    [("NaN", "NaN"), ("1e19", "overflows int64"), ("-Inf", "underflows int64")],
)
def test_counts_that_are_none(number: str, message: str):
    """How many to take must be a number that can be one."""
    with pytest.raises(EvaluationError, match=message):
        ask(SOURCE, f"topk({number}, x)", 0)
