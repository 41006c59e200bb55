"""A report as text: for a terminal, or as Markdown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from agent.report.blocks import Block, Heading, Items, Table, blocks


def console(document: Mapping[str, Any]) -> str:
    """Return a report for a terminal."""
    return for_terminal(blocks(document))


def for_terminal(parts: Iterable[Block]) -> str:
    """Return parts of a report for a terminal."""
    lines: list[str] = []
    for block in parts:
        if isinstance(block, Heading):
            lines += ["", clean(block.text)] if lines else [clean(block.text)]
            lines.append(("=" if block.level == 1 else "-") * len(lines[-1]))
        elif isinstance(block, Items):
            lines += [f"  {clean(sentence)}" for sentence in block.sentences]
        else:
            lines += ["", *_columns(block.rows)]
    return "\n".join(lines) + "\n"


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows with their columns below each other; a head without words is left out."""
    cleaned = [[clean(cell) for cell in row] for row in rows]
    shown = cleaned if any(cleaned[0]) else cleaned[1:]
    widths = [max(len(row[place]) for row in cleaned) for place in range(len(cleaned[0]))]
    for row in shown:
        padded = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)]
        yield f"  {'  '.join(padded)}".rstrip()


def markdown(document: Mapping[str, Any]) -> str:
    """Return a report as Markdown."""
    return as_markdown(blocks(document))


def as_markdown(parts: Iterable[Block]) -> str:
    """Return parts of a report as Markdown."""
    lines: list[str] = []
    for block in parts:
        if lines:
            lines.append("")
        if isinstance(block, Heading):
            lines.append(f"{'#' * block.level} {_escaped(block.text)}")
        elif isinstance(block, Items):
            lines += [f"- {_escaped(sentence)}" for sentence in block.sentences]
        else:
            lines += _table(block)
    return "\n".join(lines) + "\n"


def _table(table: Table) -> Iterator[str]:
    """Yield the lines of a table."""
    for place, row in enumerate(table.rows):
        yield f"| {' | '.join(_escaped(cell) for cell in row)} |"
        if place == 0:
            yield f"|{'---|' * len(row)}"


def clean(text: str) -> str:
    """Return text without what could move a terminal's cursor or break a line."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


_SPECIAL = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_{}[]<>#|~&"})


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return clean(text).translate(_SPECIAL)
