"""The parts that plots are made of."""

import math
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.report.plot.frame import Size, drawn, frame, time_axis, x_axis, y_axis
from agent.report.plot.scale import Linear, moments, ticks
from agent.report.plot.svg import area, element, line, text

POINTS = st.lists(
    st.one_of(st.none(), st.tuples(st.floats(0, 1000), st.floats(0, 1000))), max_size=30
)


@given(st.floats(1e-6, 1e12), st.integers(2, 9))
def test_ticks_reach_the_highest_value(high: float, most: int):
    """They begin at 0, the last is at or just above the value, and there are few."""
    found = ticks(high, most)

    assert found[0] == 0
    assert found[-1] >= high * (1 - 1e-9)
    assert found[-2] < high
    assert len(found) <= most + 1


@pytest.mark.parametrize("high", [0.0, -1.0, math.nan, math.inf])
def test_ticks_of_nothing(high: float):
    """A plot of nothing has an axis all the same."""
    assert ticks(high, 4)[-1] == 1.0


@given(st.floats(1e9, 2e9), st.floats(600, 400 * 86_400), st.integers(3, 9))
def test_moments_lie_inside_and_are_few(start: float, length: float, most: int):
    """Times beside an axis are within it, in order, and not more than fit."""
    found = moments(start, start + length, most)

    assert all(start <= time <= start + length for time, _said in found)
    assert found == sorted(found)
    assert len(found) <= most + 2


@given(st.text(), st.text())
def test_whatever_a_label_holds_stays_text(said: str, attribute: str):
    """Names of engines and models cannot become markup."""
    markup = element("g", {"id": attribute}, text(0, 0, said))

    parsed = ET.fromstring(markup)  # noqa: S314 - what is tested is that it is safe
    assert [child.tag for child in parsed.iter()] == ["g", "text"]


@given(POINTS)
def test_lines_are_broken_where_nothing_is_known(points: list[tuple[float, float] | None]):
    """Nothing is drawn across a gap: each run of known points begins anew."""
    drawn_line = line(points, "x")

    runs = sum(
        point is not None and (place == 0 or points[place - 1] is None)
        for place, point in enumerate(points)
    )
    assert drawn_line.count("M") == runs


@given(POINTS)
def test_areas_are_broken_where_nothing_is_known(points: list[tuple[float, float] | None]):
    """Likewise the area between two lines."""
    drawn_area = area([None if p is None else (p[0], p[1], 0.0) for p in points], "x")

    runs = sum(
        point is not None and (place == 0 or points[place - 1] is None)
        for place, point in enumerate(points)
    )
    assert drawn_area.count("M") == drawn_area.count("Z") == runs


@pytest.mark.parametrize("size", [Size("wide", 920, 250), Size("narrow", 360, 240)])
def test_nothing_is_written_outside(size: Size):
    """Numbers beside the axes stay within the plot."""
    day = frame(size, (1.8e9, 1.8e9 + 86_400), 12_345.0)
    load = frame(size, (0.0, 54_321.0), 1.0)
    parts = (y_axis(day, str, "tokens"), time_axis(day), x_axis(load, str, "tokens a minute"))
    markup = drawn(size, "a", "Title", "About", *parts)

    root = ET.fromstring(markup)  # noqa: S314 - as above
    for found in root.iter("text"):
        assert 0 <= float(found.attrib["x"]) <= size.width
        assert 0 <= float(found.attrib["y"]) <= size.height
    assert [root.find(name) is not None for name in ("title", "desc")] == [True, True]


def test_a_scale_is_a_straight_line():
    """Its ends are where they should be, and the middle is in the middle."""
    scale = Linear(10.0, 20.0, 100.0, 0.0)

    assert [scale(value) for value in (10.0, 15.0, 20.0)] == [100.0, 50.0, 0.0]
