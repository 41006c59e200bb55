"""The last five minutes of an engine, drawn small."""

import math
from collections.abc import Iterator
from typing import Final

from agent.catalog import capacity, engine
from agent.model import Metric
from agent.report.plot.svg import line
from exporters.web.markup import element, escaped
from exporters.web.numbers import count, whole
from exporters.web.seen import JSON, Course, Seen

SPAN: Final = 300.0
"""Seconds that are drawn."""

METRICS: Final = (engine.KV_CACHE_USAGE, capacity.DEMAND)
"""What is drawn of each replica."""

_CELL: Final = 5.0
_WIDE: Final = 300.0
_HIGH: Final = 40.0
_EDGE: Final = 2.0
_LEAST: Final = 3


def sparks(seen: Seen, told: JSON) -> str:
    """Return the courses of a replica, nothing where too little is known."""
    figures = [*_figures(seen, told)]
    return element("div", {"class": "sparks"}, *figures) if figures else ""


def _figures(seen: Seen, told: JSON) -> Iterator[str]:
    """Yield them."""
    usage = _cells(seen, engine.KV_CACHE_USAGE, told)
    if usage:
        words = f"KV cache, last 5 min: {whole(_highest(usage))} at most"
        yield _figure(words, usage, 1.0, "c-kv")
    demand = _cells(seen, capacity.DEMAND, told, phase="total")
    if demand:
        most = _highest(demand)
        words = f"demand, last 5 min: {count(most)} tokens a minute at most"
        yield _figure(words, demand, most or 1.0, "c-load")


def _highest(cells: list[float | None]) -> float:
    """Return the highest that is known."""
    return max(cell for cell in cells if cell is not None)


def _cells(seen: Seen, metric: Metric, told: JSON, **further: str) -> list[float | None]:
    """Return the highest value in each five seconds, None for a gap; empty if hardly any."""
    wanted = {name: told[name] for name in engine.LABELS} | further
    course = next((one for one in seen.courses.get(metric, ()) if _is(one, wanted)), None)
    cells: list[float | None] = [None] * int(SPAN / _CELL)
    if course is None or seen.time is None:
        return []
    for time, value in zip(course.times, course.values, strict=True):
        place = len(cells) - 1 - int((seen.time - time) / _CELL)
        if 0 <= place < len(cells) and math.isfinite(value):
            cells[place] = max(value, cells[place] or 0.0)
    return cells if sum(cell is not None for cell in cells) >= _LEAST else []


def _is(course: Course, wanted: dict[str, str]) -> bool:
    """Return whether a course is that of a series; a label that is absent is empty."""
    return all(course.labels.get(name, "") == value for name, value in wanted.items())


def _figure(said: str, cells: list[float | None], top: float, style: str) -> str:
    """Return a course with its name; those who hear the page hear the name."""
    step = _WIDE / (len(cells) - 1)
    room = _HIGH - 2 * _EDGE
    points = [
        None if cell is None else (number * step, _EDGE + room * (1 - min(cell / top, 1.0)))
        for number, cell in enumerate(cells)
    ]
    drawn = element(
        "svg",
        {
            "viewBox": f"0 0 {_WIDE:.0f} {_HIGH:.0f}",
            "preserveAspectRatio": "none",
            "aria-hidden": "true",
        },
        element("path", {"d": f"M0,{_HIGH - 1:.0f}H{_WIDE:.0f}", "class": "g"}),
        line(points, style),
    )
    return element("figure", {"class": "spark"}, drawn, element("figcaption", {}, escaped(said)))
