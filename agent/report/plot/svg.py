"""SVG as text. Whatever text goes in comes out escaped."""

from collections.abc import Iterable
from html import escape

_SHAPES = frozenset({"path", "rect", "circle"})
_CONTROL = {
    number: "\N{REPLACEMENT CHARACTER}" for number in range(32) if number not in (9, 10, 13)
}


def words(text: str) -> str:
    """Return text for the inside of an element or an attribute."""
    return escape(text.translate(_CONTROL), quote=True)


def element(name: str, attributes: dict[str, object], *children: str) -> str:
    """Return an element.

    Args:
        name: of the element.
        attributes: numbers are written with two decimals at most, all else is escaped.
        children: markup already.
    """
    said = "".join(f' {key}="{_value(value)}"' for key, value in attributes.items())
    inside = "".join(children)
    # Elsewhere HTML takes the slash for nothing, and the element for one that goes on.
    return (
        f"<{name}{said}/>" if name in _SHAPES and not inside else f"<{name}{said}>{inside}</{name}>"
    )


def _value(value: object) -> str:
    """Return the value of an attribute."""
    return number(value) if isinstance(value, float | int) else words(str(value))


def number(value: float) -> str:
    """Return a coordinate as shortly as it is seen."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def text(x: float, y: float, said: str, *, anchor: str = "start", style: str = "") -> str:
    """Return a word or two."""
    attributes: dict[str, object] = {"x": x, "y": y, "text-anchor": anchor}
    if style:
        attributes["class"] = style
    return element("text", attributes, words(said))


def line(points: Iterable[tuple[float, float] | None], style: str) -> str:
    """Return a line through points, broken where one is not known."""
    path, pen = [], "M"
    single: list[str] = []
    previous: tuple[float, float] | None = None
    for point in [*points, None]:
        if point is None:
            # A point between two gaps is no line; a dash of a pixel shows it all the same.
            if previous is not None and pen == "L" and len(single) == 1:
                path.append("h.5")
            pen, single = "M", []
        else:
            path.append(f"{pen}{number(point[0])},{number(point[1])}")
            single.append("")
            pen = "L"
        previous = point or previous
    return element("path", {"d": "".join(path), "class": style}) if path else ""


def area(
    points: Iterable[tuple[float, float, float] | None], style: str
) -> str:  # fmt: skip
    """Return the area between two lines; each point is x, upper y, lower y."""
    parts: list[str] = []
    run: list[tuple[float, float, float]] = []
    for point in [*points, None]:
        if point is not None:
            run.append(point)
            continue
        if run:
            if len(run) == 1:
                x, above, below = run[0]
                run = [(x - 0.5, above, below), (x + 0.5, above, below)]
            there = [f"{number(x)},{number(above)}" for x, above, _below in run]
            back = [f"{number(x)},{number(below)}" for x, _above, below in reversed(run)]
            parts.append(f"M{'L'.join([*there, *back])}Z")
        run = []
    return element("path", {"d": "".join(parts), "class": style}) if parts else ""
