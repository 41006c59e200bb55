"""The small charts: what is drawn, and when nothing is."""

import re

import pytest

from agent.catalog import capacity, engine
from exporters.web.seen import Course
from exporters.web.spark import sparks
from tests.exporters.web.made import TIME, course, replica, seen

NAN = float("nan")


def drawn(found: Course) -> str:
    """Return what is drawn of the KV cache."""
    return sparks(seen(courses={engine.KV_CACHE_USAGE: [found]}), replica())


def lines(markup: str) -> list[str]:
    """Return the paths of the courses."""
    return re.findall(r'<path d="([^"]*)" class="c-', markup)


def test_courses_have_words_and_a_line():
    """What is seen is said too: what it is, and the highest."""
    given = {
        engine.KV_CACHE_USAGE: [course(instance_name="other"), course(0.1, 0.42, 0.2)],
        capacity.DEMAND: [
            course(1.0, 2.0, 3.0, phase="prompt"),
            course(1000.0, 25_000.0, 9000.0, phase="total"),
        ],
    }
    text = sparks(seen(courses=given), replica())
    assert "<figcaption>KV cache, last 5 min: 42 % at most</figcaption>" in text
    assert "<figcaption>demand, last 5 min: 25 k tokens a minute at most</figcaption>" in text
    assert len(lines(text)) == 2
    assert text.count('aria-hidden="true"') == 2


@pytest.mark.parametrize(
    "found",
    [course(0.1, 0.2), course(NAN, NAN, NAN, NAN), course(0.1, 0.2, 0.3, first=TIME - 900.0)],
)
def test_little_is_not_drawn(found: Course):
    """Two points, none that is known, or none of the last minutes are no course."""
    assert drawn(found) == ""


def test_the_newest_is_at_the_right_and_high_is_up():
    """Each five seconds are one point, the highest of them; a gap breaks the line."""
    (path,) = lines(drawn(course(0.5, 1.0, 0.0, first=TIME - 10.0, step=5.0)))
    points = [tuple(map(float, one.split(","))) for one in re.findall(r"[\d.]+,[\d.]+", path)]
    assert [x for x, _y in points] == pytest.approx([289.8, 294.9, 300.0], abs=0.1)
    assert [y for _x, y in points] == [20.0, 2.0, 38.0]
    (broken,) = lines(drawn(course(0.1, 0.1, NAN, NAN, 0.1, 0.1, step=5.0)))
    assert broken.count("M") == 2


def test_what_cannot_be_stays_within():
    """A share above 1 is drawn at the edge, and a demand of nothing at the bottom."""
    (path,) = lines(drawn(course(7.0, 7.0, 7.0)))
    assert set(re.findall(r",([\d.]+)", path)) == {"2"}
    none = {capacity.DEMAND: [course(0.0, 0.0, 0.0, phase="total")]}
    (path,) = lines(sparks(seen(courses=none), replica()))
    assert set(re.findall(r",([\d.]+)", path)) == {"38"}
