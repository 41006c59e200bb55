"""Operators between vectors: which series meet, what they give, and when they must not."""

import pytest

from agent.promql import EvaluationError
from tests.agent.promql.asking import ask, history

SOURCE = history(
    'used{host="a",gpu="0"} 1',
    'used{host="a",gpu="1"} 2',
    'used{host="b",gpu="0"} 3',
    'size{host="a",kind="big"} 10',
    'size{host="b"} 20',
    'other{host="a",gpu="0"} 5',
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("used + other", {"{gpu=0,host=a}": 6}),
        ("used > other", {}),
        ("used < other", {"used{gpu=0,host=a}": 1}),
        ("used < bool other", {"{gpu=0,host=a}": 1}),
        ("used > bool other", {"{gpu=0,host=a}": 0}),
        ("other / ignoring (gpu) other", {"{host=a}": 1}),
        ("other == on (host) other", {"{host=a}": 5}),
        ("other == ignoring (gpu) other", {"other{host=a}": 5}),
        (
            "used / on (host) group_left size",
            {"{gpu=0,host=a}": 0.1, "{gpu=1,host=a}": 0.2, "{gpu=0,host=b}": 0.15},
        ),
        (
            "used / on (host) group_left (kind) size",
            {
                "{gpu=0,host=a,kind=big}": 0.1,
                "{gpu=1,host=a,kind=big}": 0.2,
                "{gpu=0,host=b}": 0.15,
            },
        ),
        (
            "size > on (host) group_right () used",
            {"used{gpu=0,host=a}": 10, "used{gpu=1,host=a}": 10, "used{gpu=0,host=b}": 20},
        ),
        (
            "size - on (host) group_right () used",
            {"{gpu=0,host=a}": 9, "{gpu=1,host=a}": 8, "{gpu=0,host=b}": 17},
        ),
        ("used and other", {"used{gpu=0,host=a}": 1}),
        ("used and on (host) other", {"used{gpu=0,host=a}": 1, "used{gpu=1,host=a}": 2}),
        ("used unless on (host) other", {"used{gpu=0,host=b}": 3}),
        (
            "other or used",
            {"other{gpu=0,host=a}": 5, "used{gpu=1,host=a}": 2, "used{gpu=0,host=b}": 3},
        ),
        ("other or on (host) used", {"other{gpu=0,host=a}": 5, "used{gpu=0,host=b}": 3}),
        ("used + missing", {}),
        ("missing and used", {}),
        ("missing or other", {"other{gpu=0,host=a}": 5}),
        ("other unless missing", {"other{gpu=0,host=a}": 5}),
        ("used > 1", {"used{gpu=1,host=a}": 2, "used{gpu=0,host=b}": 3}),
        ("1 < used", {"used{gpu=1,host=a}": 2, "used{gpu=0,host=b}": 3}),
        ("10 - other", {"{gpu=0,host=a}": 5}),
        ("other == bool 5", {"{gpu=0,host=a}": 1}),
        ("2 ^ other", {"{gpu=0,host=a}": 32}),
    ],
)
def test_results(text: str, wanted: dict[str, float]):
    """Labels and values are those that Prometheus documents."""
    assert ask(SOURCE, text, 0) == pytest.approx(wanted)


TWINS = '[{__name__="used", gpu="0", host="a"}, {__name__="used", gpu="1", host="a"}]'


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("size + on (host) used", ['group {host="a"} on the right hand-side', TWINS]),
        ("used + on (host) group_right size", ['group {host="a"} on the left hand-side', TWINS]),
        ("used + on (host) size", ["many-to-one matching must be explicit"]),
        ("used + on (host) group_left (gpu) size", ["grouping labels must ensure unique matches"]),
    ],
)
def test_ambiguous_matches(text: str, parts: list[str]):
    """Where it is not clear which series meet, the message says which and what to do."""
    with pytest.raises(EvaluationError) as failure:
        ask(SOURCE, text, 0)
    assert [part for part in parts if part not in str(failure.value)] == []
