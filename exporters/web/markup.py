"""Pieces of HTML that every part of the page uses. Whatever text goes in comes out escaped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agent.report.plot.svg import element
from agent.report.plot.svg import words as escaped

__all__ = [
    "Tile",
    "element",
    "escaped",
    "heading",
    "items",
    "link",
    "outside",
    "paragraph",
    "table",
    "term",
    "tiles",
]

_PAGES: Final = ("http://", "https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A number with its name.

    Attributes:
        name: what it is.
        value: with its unit; empty for not known.
        more: what belongs to it, such as the interval.
        term: key of the entry in `terms` that explains it, if any does.
        unknown: said in the place of a value.
    """

    name: str
    value: str
    more: str = ""
    term: str = ""
    unknown: str = "not known"


def heading(level: int, text: str, *, anchor: str = "") -> str:
    """Return a heading."""
    return element(f"h{level}", {"id": anchor} if anchor else {}, escaped(text))


def paragraph(text: str, style: str = "") -> str:
    """Return a paragraph, nothing for no text."""
    if not text:
        return ""
    return element("p", {"class": style} if style else {}, escaped(text))


def link(address: str, text: str) -> str:
    """Return a link to an address of the agent itself."""
    return element("a", {"href": address}, escaped(text))


def outside(address: str) -> str:
    """Return a link to a page elsewhere; what a browser could take for anything else is text."""
    if not address.startswith(_PAGES):
        return element("code", {}, escaped(address))
    return element("a", {"href": address, "rel": "noreferrer"}, escaped(address))


def term(key: str, text: str) -> str:
    """Return a word of the field that leads to what it means."""
    return element("a", {"class": "term", "href": f"#what-{key}"}, escaped(text))


def tiles(found: Iterable[Tile]) -> str:
    """Return numbers side by side."""
    return element("dl", {"class": "tiles"}, *map(_tile, found))


def _tile(tile: Tile) -> str:
    """Return one of them."""
    name = term(tile.term, tile.name) if tile.term else escaped(tile.name)
    style = "value" if tile.value else "unknown"
    more = element("dd", {"class": "more"}, escaped(tile.more)) if tile.more else ""
    return element(
        "div",
        {"class": "tile"},
        element("dt", {"class": "name"}, name),
        element("dd", {"class": style}, escaped(tile.value or tile.unknown)),
        more,
    )


def items(markup: Iterable[str], style: str = "") -> str:
    """Return a list of pieces of markup, nothing where there are none."""
    inside = "".join(element("li", {}, one) for one in markup)
    return element("ul", {"class": style} if style else {}, inside) if inside else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, about: str) -> str:
    """Return a table.

    Args:
        head: names of the columns, text.
        rows: cells, markup.
        about: what it is of, for those who hear it.
    """
    columns = "".join(element("th", {"scope": "col"}, escaped(cell)) for cell in head)
    lines = [
        element(
            "tr",
            {},
            element("th", {"scope": "row"}, row[0]),
            *(element("td", {}, cell) for cell in row[1:]),
        )
        for row in rows
    ]
    return element(
        "table",
        {},
        element("caption", {"class": "heard"}, escaped(about)),
        element("thead", {}, element("tr", {}, columns)),
        element("tbody", {}, *lines),
    )
