"""Performance data and ranges of check plugins."""

import math
import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.perfdata import Datum, Range, plain


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("10", [0, 10], [-1, 10.1]),
        ("10:", [10, 1e9], [9.9, -1]),
        ("~:10", [-1e9, 10], [10.1]),
        ("10:20", [10, 20], [9, 21]),
        ("@10:20", [9, 21], [10, 15, 20]),
        (":5", [0, 5], [-1, 6]),
        ("-2.5:.5", [-2.5, 0.5], [-3, 1]),
    ],
)
def test_ranges_are_those_of_the_guidelines(text: str, good: list[float], bad: list[float]):
    """A value outside is a problem, with @ one inside; the ends belong to the range."""
    parsed = Range.parse(text)
    assert parsed.text == text
    assert not any(map(parsed.violated, good))
    assert all(map(parsed.violated, bad))


@pytest.mark.parametrize("text", ["", "@", "a", "1:2:3", "20:10", "10%", "~", "1e3", "10 "])
def test_what_is_no_range_is_refused(text: str):
    """A limit that would mean something else than was meant is not taken."""
    with pytest.raises(ValueError, match="a range"):
        Range.parse(text)


@given(start=st.integers(-99, 99), length=st.integers(0, 99), value=st.integers(-300, 300))
def test_inside_is_the_opposite_of_outside(start: int, length: int, value: int):
    """Of a range and the same with @, any value violates exactly one."""
    text = f"{start}:{start + length}"
    assert Range.parse(text).violated(value) != Range.parse("@" + text).violated(value)


@pytest.mark.parametrize(
    ("datum", "text"),
    [
        (Datum(label="queue", value=3.0), "queue=3"),
        (Datum(label="queue_wait", value=0.25, unit="s", least=0.0), "queue_wait=0.25s;;;0"),
        (
            Datum(
                label="kv",
                value=41.5,
                unit="%",
                warning=Range.parse("80"),
                critical=Range.parse("~:95"),
                least=0.0,
                most=100.0,
            ),
            "kv=41.5%;80;~:95;0;100",
        ),
        (Datum(label="capacity", value=None, unit="B", least=0.0), "capacity=U;;;0"),
        (Datum(label="capacity", value=math.inf), "capacity=U"),
        (Datum(label="a b", value=1e-9), "'a b'=0"),
        (Datum(label="it's|a=b", value=1e15), "'it''s/a_b'=1000000000000000"),
    ],
)
def test_numbers_are_written_as_plugins_do(datum: Datum, text: str):
    """Label, value with unit, thresholds and bounds; `U` for what is not known."""
    assert str(datum) == text


@given(
    label=st.text(min_size=1),
    value=st.none() | st.floats(),
    unit=st.sampled_from(["", "s", "%", "B"]),
    least=st.none() | st.floats(-1e9, 1e9),
)
def test_any_number_can_be_read(label: str, value: float | None, unit: str, least: float | None):
    """Whatever the label holds, a reader finds one word with the label, the value and the unit."""
    text = str(Datum(label=label, value=value, unit=unit, least=least))
    assert "\n" not in text
    assert "|" not in text
    match = re.fullmatch(r"('(?:[^'=]|'')*'|[^' =]+)=(U|-?[0-9]+(?:\.[0-9]+)?(s|%|B)?)(;.*)?", text)
    assert match is not None
    assert len(shlex.split(match[1].replace("''", ""))) <= 1


@given(st.text())
def test_a_text_is_one_line_without_the_sign_of_numbers(text: str):
    """Nothing that an alert says ends the text or the line."""
    made = plain(text)
    assert "|" not in made
    assert len(made.splitlines()) <= 1
