"""Where the calls of a query stand in its text; the parser does not say.

Calls and aggregations are met in the same order in the text and in a walk of the tree that
visits a call before its arguments, so the n-th of one is the n-th of the other.
"""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Final

from agent.promql.errors import PromqlError

_TOKEN: Final = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*)
      | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
      | (?P<word>[A-Za-z_:][\w:]*)
      | (?P<other>[0-9][\w.]*|.)""",
    re.VERBOSE | re.DOTALL,
)

# The parser recurses on the C stack and dies with the process some thousand levels down.
_DEEPEST: Final = 100
_MOST_OPERATORS: Final = 300
_LATEST: Final = 1e12
_OPERATORS: Final = frozenset("+-*/%^<>!") | {"and", "or", "unless", "atan2"}


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a string or one other character, and where it begins."""

    kind: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Site:
    """One call: its name, and line and column of itself and of each argument."""

    name: str
    at: tuple[int, int]
    arguments: tuple[tuple[int, int], ...]

    def argument(self, index: int) -> tuple[int, int]:
        """Return where an argument begins."""
        return self.arguments[index] if index < len(self.arguments) else self.at


def tokens(text: str) -> list[Token]:
    """Split a query; blanks and comments are left out."""
    return [
        Token(match.lastgroup or "", match.group(), match.start())
        for match in _TOKEN.finditer(text)
        if match.lastgroup != "skip"
    ]


def _is_endless(token: Token) -> bool:
    """Return whether a number is beyond every time and duration; the parser dies of such."""
    try:
        return not abs(float(token.text)) < _LATEST
    except ValueError:
        return re.search(r"\d{13}", token.text) is not None


def refuse_endless(found: list[Token], text: str) -> None:
    """Raise for a time or duration that no clock will ever show."""
    brackets = 0
    before = ""
    for token in found:
        if token.kind != "string":
            brackets += (token.text == "[") - (token.text == "]")
            if (brackets or before in {"@", "offset"}) and _is_endless(token):
                raise PromqlError("a time or duration too large", place(text, token.offset))
        if token.text not in {"-", "+"}:
            before = token.text.lower()


def refuse_dangerous(found: list[Token], text: str) -> None:
    """Raise for what the parser takes wrongly: deep nesting, `@` before 1970."""
    depth = operators = 0
    for index, token in enumerate(found):
        if token.kind == "string":
            continue
        if token.text in "([{":
            depth += 1
        elif token.text in ")]}":
            depth -= 1
        elif token.text.lower() in _OPERATORS:
            operators += 1
        elif token.text == "@" and [part.text for part in found[index + 1 : index + 2]] == ["-"]:
            raise PromqlError("a time before 1970 after @", place(text, token.offset))
        if depth > _DEEPEST or operators > _MOST_OPERATORS:
            raise PromqlError("too deeply nested or too long", place(text, token.offset))


def place(text: str, offset: int) -> tuple[int, int]:
    """Return line and column, both from 1."""
    line = text.count("\n", 0, offset)
    return line + 1, offset - text.rfind("\n", 0, offset)


def sites(found: list[Token], text: str, names: Container[str]) -> Iterator[Site]:
    """Give every call of one of these names in the order of the text."""
    for index, token in enumerate(found):
        if token.kind != "word" or token.text.lower() not in names:
            continue
        if index and found[index - 1].text == "@":
            # The parser reports no call for `@ start()` and `@ end()`.
            continue
        opened = _opening(found, index + 1)
        if opened is not None:
            starts = tuple(place(text, offset) for offset in _arguments(found, opened))
            yield Site(token.text, place(text, token.offset), starts)


def _opening(found: list[Token], index: int) -> int | None:
    """Return where the arguments open; a grouping clause may stand before them."""
    if index < len(found) and found[index].text.lower() in {"by", "without"}:
        while index < len(found) and found[index].text != ")":
            index += 1
        index += 1
    return index if index < len(found) and found[index].text == "(" else None


def _arguments(found: list[Token], opened: int) -> Iterator[int]:
    """Give the offset of the first token of every argument."""
    depth, fresh = 0, True
    for token in found[opened + 1 :]:
        if token.text in {")", "]", "}"}:
            depth -= 1
            if depth < 0:
                return
        elif fresh:
            yield token.offset
        fresh = depth == 0 and token.text == ","
        if token.text in {"(", "[", "{"}:
            depth += 1
