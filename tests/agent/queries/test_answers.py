"""From a question to JSON."""

import json
from typing import Any

import pytest

from agent.model import SeriesTable
from agent.queries.answers import Setting, pieces
from agent.queries.asked import Asked, Kind, NoAnswerError, Trouble, from_json, to_json
from agent.store.history import History
from agent.store.target import Target
from tests.agent.queries.borrowed import Borrowed
from tests.fakes.clock import ManualClock
from tests.fakes.history import FIVE, FULL, frame, series

START = 1_800_000_000.0
NOW = START + 9
TARGET = Target(job="j", instance="i")


@pytest.fixture
def borrowed() -> Borrowed:
    """Ten seconds of some series."""
    table = SeriesTable()
    history = History(table, clock=ManualClock(), target=TARGET)
    for tick in range(10):
        values = {series(table, FULL, name): tick * 0.5 for name in ("a", "b", 'q"\\\n', "\udcff")}
        values[series(table, FIVE, "a")] = float("nan")
        history.append(frame(table, START + tick, values))
    return Borrowed(history, target=TARGET)


def _text(borrowed: Borrowed, asked: Asked, *, shift: float = 0.0) -> str:
    """Return an answer, asked as it is asked of the process."""
    asked, further = from_json(to_json(asked, shift=shift))
    setting = Setting(
        source=borrowed.source(), most=10_000, subquery_step=60.0, shift=further["shift"]
    )
    return "".join(pieces(asked, setting))


def _json(borrowed: Borrowed, asked: Asked, *, shift: float = 0.0) -> dict[str, Any]:
    """Return an answer that is JSON."""
    found: dict[str, Any] = json.loads(_text(borrowed, asked, shift=shift))
    assert found.pop("status") == "success"
    return found


def _instant(query: str, **further: Any) -> Asked:
    """Return an instant query."""
    return Asked(kind=Kind.INSTANT, query=query, start=NOW, **further)


def test_vectors_scalars_strings_and_ranges(borrowed: Borrowed):
    """Each in the shape that Prometheus gives it."""
    labels = {"__name__": FULL.name, "instance": "i", "job": "j", "x": "a"}
    asked = [_json(borrowed, _instant(query))["data"] for query in (
        f"{FULL.name}{{x='a'}}", "vector(time())", "1e21", "'x'", f"{FULL.name}{{x='a'}}[2s]"
    )]  # fmt: skip
    assert asked == [
        {"resultType": "vector", "result": [{"metric": labels, "value": [NOW, "4.5"]}]},
        {"resultType": "vector", "result": [{"metric": {}, "value": [NOW, "1800000009"]}]},
        {"resultType": "scalar", "result": [NOW, "1000000000000000000000"]},
        {"resultType": "string", "result": [NOW, "x"]},
        {
            "resultType": "matrix",
            "result": [{"metric": labels, "values": [[NOW - 1, "4"], [NOW, "4.5"]]}],
        },
    ]


def test_ranges_and_their_limit(borrowed: Borrowed):
    """What was left out is said."""
    asked = Asked(
        kind=Kind.RANGE, query=f"{FULL.name} + 1", start=START + 0.5, end=NOW, step=4, limit=2
    )
    found = _json(borrowed, asked)

    assert [one["values"] for one in found["data"]["result"]] == [
        [[START + 0.5, "1"], [START + 4.5, "3"], [START + 8.5, "5"]]
    ] * 2
    assert found["warnings"] == ["results truncated due to limit"]
    assert len(_json(borrowed, _instant(FULL.name, limit=3))["data"]["result"]) == 3


def test_odd_labels_are_valid_json_and_as_on_the_page(borrowed: Borrowed):
    """What was never UTF-8 is shown by its bytes."""
    found = _json(borrowed, _instant(FULL.name))["data"]["result"]

    assert {one["metric"]["x"] for one in found} == {"a", "b", 'q"\\\n', "\\udcff"}


def test_numbers_that_json_has_not(borrowed: Borrowed):
    """Are strings like all others."""
    found = _json(borrowed, _instant(f"{FIVE.name} or vector(-1/0)"))["data"]["result"]

    assert [one["value"][1] for one in found] == ["NaN", "-Inf"]


def test_warnings_and_infos_stand_beside_the_data(borrowed: Borrowed):
    """Only where there are any."""
    found = _json(borrowed, _instant(f"rate({FULL.name}[5s])"))

    assert "not be a counter" in found["infos"][0]
    assert found.keys() == {"data", "infos"}


def test_series_labels_and_values(borrowed: Borrowed):
    """Of all selectors together, each once; limits cut and say so."""
    every = Asked(kind=Kind.LABELS)
    assert _json(borrowed, every)["data"] == ["__name__", "instance", "job", "x"]
    some = Asked(kind=Kind.SERIES, selectors=("up", "{x='a'}", f"{FULL.name}{{x=~'a|b'}}"))
    assert [(one["__name__"], one.get("x")) for one in _json(borrowed, some)["data"]] == [
        (FIVE.name, "a"), (FULL.name, "a"), (FULL.name, "b"), ("up", None),
    ]  # fmt: skip
    values = Asked(kind=Kind.VALUES, label="x", selectors=(FULL.name,), limit=2)
    assert _json(borrowed, values) == {
        "data": ["a", "b"],
        "warnings": ["results truncated due to limit"],
    }
    assert _json(borrowed, Asked(kind=Kind.VALUES, label="nothing"))["data"] == []
    before = Asked(kind=Kind.LABELS, start=START - 100, end=START - 50)
    assert _json(borrowed, before)["data"] == []


def test_times_of_a_recording_are_put_forward(borrowed: Borrowed):
    """All of those in the answer; what is asked was put back already."""
    found = _json(borrowed, _instant(f"{FULL.name}{{x='a'}}[2s]"), shift=100.5)

    times = [one[0] for one in found["data"]["result"][0]["values"]]
    assert times == [NOW - 1 + 100.5, NOW + 100.5]
    assert _json(borrowed, _instant("1"), shift=100.5)["data"]["result"][0] == NOW + 100.5


def test_federation_is_a_page_with_times(borrowed: Borrowed):
    """Sorted by name, each series once, quoted as the text format wants it."""
    asked = Asked(kind=Kind.FEDERATE, selectors=("up", FULL.name, "{x='a'}"), start=NOW)

    lines = _text(borrowed, asked).splitlines()

    assert lines[0] == f"# TYPE {FIVE.name} untyped"
    assert lines[1] == f'{FIVE.name}{{instance="i",job="j",x="a"}} NaN 1800000009000'
    assert f'{FULL.name}{{instance="i",job="j",x="q\\"\\\\\\n"}} 4.5 1800000009000' in lines
    assert lines[-1] == 'up{instance="i",job="j"} 1 1800000009000'
    assert len(lines) == 3 + 1 + 5


@pytest.mark.parametrize(
    ("asked", "trouble", "words"),
    [
        (_instant("sum("), Trouble.BAD_DATA, 'invalid parameter "query": '),
        (_instant(""), Trouble.BAD_DATA, 'invalid parameter "query": '),
        (_instant("x" * 70_000), Trouble.BAD_DATA, "65536"),
        (_instant("info(up)"), Trouble.BAD_DATA, "info"),
        (_instant(f"sum by (x) ({FULL.name}) + on() {FULL.name}"), Trouble.EXECUTION, "many"),
        (_instant(f"{FULL.name}[1h:1ms]"), Trouble.EXECUTION, "too many samples into memory"),
        (Asked(kind=Kind.RANGE, query="up[1m]", start=0.0, end=1.0, step=1.0), Trouble.BAD_DATA,
         'invalid expression type "range vector" for range query'),
        (Asked(kind=Kind.RANGE, query="'x'", start=0.0, end=1.0, step=1.0), Trouble.BAD_DATA,
         'invalid expression type "string" for range query'),
        (Asked(kind=Kind.SERIES, selectors=("sum(up)",)), Trouble.BAD_DATA, 'parameter "match[]"'),
        (Asked(kind=Kind.SERIES, selectors=("{}",)), Trouble.BAD_DATA, 'parameter "match[]"'),
        (Asked(kind=Kind.SERIES, selectors=("up offset 1m",)), Trouble.BAD_DATA, "offset"),
        (Asked(kind=Kind.SERIES, selectors=("up[1m]",)), Trouble.BAD_DATA, "expected a selector"),
        (Asked(kind=Kind.FORMAT, query="sum("), Trouble.BAD_DATA, "unclosed"),
        (Asked(kind=Kind.EXEMPLARS, query="sum("), Trouble.BAD_DATA, "unclosed"),
        (Asked(kind=Kind.FEDERATE, selectors=("sum(",), start=NOW), Trouble.BAD_DATA, "unclosed"),
    ],
)  # fmt: skip
def test_why_there_is_no_answer(borrowed: Borrowed, asked: Asked, trouble: Trouble, words: str):
    """Whose fault it is, and what is wrong, before anything is written."""
    with pytest.raises(NoAnswerError) as raised:
        _text(borrowed, asked)

    assert raised.value.trouble is trouble
    assert words in str(raised.value)


def test_formatting_and_exemplars(borrowed: Borrowed):
    """One writes the query anew, the other has nothing."""
    formatted = Asked(kind=Kind.FORMAT, query='sum(up{a="é"})by(job)')
    assert _json(borrowed, formatted)["data"] == 'sum by (job) (up{a="é"})'
    assert _json(borrowed, Asked(kind=Kind.EXEMPLARS, query="up"))["data"] == []


@pytest.mark.parametrize(
    "call", ["double_exponential_smoothing(%s[9s], 0.5, 0.5)", "mad_over_time(%s[9s])"]
)
def test_functions_behind_a_feature_flag_are_answered(borrowed: Borrowed, call: str):
    """People may ask what rule files may not."""
    found = _json(borrowed, _instant(call % f"{FULL.name}{{x='a'}}"))
    assert len(found["data"]["result"]) == 1
