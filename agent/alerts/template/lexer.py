"""From the text of a template to literal text and the tokens of its actions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from agent.alerts.errors import TemplateError

_ACTION: Final = re.compile(
    r"""\{\{(?P<trim_left>-(?=[ \t\r\n]))?
        (?P<body>(?:[ \t\r\n]*/\*.*?\*/[ \t\r\n]*
                 |(?:"(?:\\.|[^"\\\n])*"|`[^`]*`|'(?:\\.|[^'\\\n])*'|(?!\}\})[^"`'])*?))
        (?P<trim_right>(?<=[ \t\r\n])-)?\}\}""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT: Final = re.compile(r"\s*/\*.*\*/\s*", re.DOTALL)
_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<string>"(?:\\.|[^"\\\n])*")
      | (?P<raw>`[^`]*`)
      | (?P<rune>'(?:\\.|[^'\\\n])+')
      | (?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+\.))
      | (?P<variable>\$\w*)
      | (?P<field>\.[^\W\d]\w*)
      | (?P<word>[^\W\d]\w*)
      | (?P<mark>:=|[().|=,])""",
    re.VERBOSE,
)
_SPACE: Final = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Token:
    """A part of an action.

    Attributes:
        kind: string, raw, rune, number, variable, field, word or mark.
        text: as it is written.
        joined: no blank stands before it.
    """

    kind: str
    text: str
    joined: bool


@dataclass(frozen=True, slots=True)
class Action:
    """What stands between `{{` and `}}`."""

    tokens: tuple[Token, ...]


def pieces(text: str) -> Iterator[str | Action]:
    """Yield literal texts and actions in their order, blanks trimmed as the actions ask.

    Raises:
        TemplateError: an action does not end, or holds what no token begins with.
    """
    place, trim = 0, False
    while True:
        opened = text.find("{{", place)
        literal = text[place:] if opened < 0 else text[place:opened]
        if trim:
            literal = literal.lstrip(_SPACE)
        if opened < 0:
            if literal:
                yield literal
            return
        action = _ACTION.match(text, opened)
        if action is None:
            raise TemplateError("unclosed action")
        if action["trim_left"]:
            literal = literal.rstrip(_SPACE)
        if literal:
            yield literal
        if not _COMMENT.fullmatch(action["body"]):
            yield Action(tuple(_tokens(action["body"])))
        place, trim = action.end(), bool(action["trim_right"])


def _tokens(body: str) -> Iterator[Token]:
    """Yield the tokens of an action."""
    place, joined = 0, False
    while place < len(body):
        match = _TOKEN.match(body, place)
        if match is None:
            raise TemplateError(f"unexpected {body[place]!r} in {body.strip()!r}")
        kind = str(match.lastgroup)
        if kind != "space":
            yield Token(kind, match.group(), joined)
        joined = kind != "space"
        place = match.end()


_ESCAPES: Final = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    "'": "'",
    '"': '"',
}
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL
)


def unquoted(quoted: str) -> str:
    """Return what a Go literal between quotes stands for.

    Raises:
        TemplateError: it has an escape that Go does not know.
    """

    def character(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        if code is not None:
            return chr(int(code, 16))
        if match[4] is not None:
            return chr(int(match[4], 8))
        if match[5] not in _ESCAPES:
            raise TemplateError(f"unknown escape \\{match[5]} in {quoted}")
        return _ESCAPES[match[5]]

    return _ESCAPE.sub(character, quoted[1:-1])
