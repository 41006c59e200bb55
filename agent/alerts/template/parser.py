"""From text to a template that can be rendered; what is not known is refused by its name."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.alerts.errors import TemplateError
from agent.alerts.template.functions import FUNCTIONS
from agent.alerts.template.lexer import Action, Token, pieces, unquoted
from agent.alerts.template.nodes import (
    Block,
    Call,
    Dot,
    Fields,
    Literal,
    Node,
    Operand,
    Pipeline,
    Print,
    Text,
    Variable,
)
from agent.alerts.template.render import render
from agent.alerts.template.values import Data

_REFUSED: Final = {"define", "template", "block", "break", "continue", "tmpl", "call"}
_BLOCKS: Final = {"if", "with", "range"}
_CONSTANTS: Final[dict[str, Any]] = {"true": True, "false": False, "nil": None}
# With a point or an exponent it is a float, as in Go.
_FLOAT: Final = re.compile(r"^[^xX]*[.eE]")
_LITERALS: Final[dict[str, Callable[[str], Any]]] = {
    "string": unquoted,
    "raw": lambda text: text[1:-1],
    "rune": lambda text: ord(unquoted(text)),
    "number": lambda text: float(text) if _FLOAT.search(text) else int(text, 0),
    "word": lambda text: _CONSTANTS[text],
}
_TOP_VARIABLES: Final = ("$", "$labels", "$externalLabels", "$externalURL", "$value")
# Blocks within blocks: more than a person writes, less than the stack bears.
_DEEPEST: Final = 50


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was parsed.

    Attributes:
        text: as it was written.
        nodes: what it consists of.
        queries: the expressions that it gives to `query` as constants.
    """

    text: str
    nodes: tuple[Node, ...]
    queries: tuple[str, ...]

    @property
    def constant(self) -> bool:
        """Whether it says the same whatever the data."""
        return all(isinstance(node, Text) for node in self.nodes)

    def render(self, data: Data) -> str:
        """Return the text for one alert.

        Raises:
            TemplateError: it makes no sense with this data.
        """
        return render(self.nodes, data)


def parse_template(text: str) -> Template:
    """Return a template.

    Raises:
        TemplateError: it is none, or uses what is not supported; the message names it.
    """
    parser = _Parser(pieces(text))
    nodes, ended_by = parser.nodes(depth=0)
    if ended_by:
        raise TemplateError(f"unexpected {{{{{ended_by}}}}}")
    return Template(text, nodes, tuple(parser.queries))


class _Parser:
    """Walks texts and actions once."""

    def __init__(self, parts: Iterator[str | Action]) -> None:
        self._parts = parts
        self._scopes: list[list[str]] = [[*_TOP_VARIABLES]]
        self.queries: list[str] = []
        self._chain: tuple[Token, ...] = ()

    def nodes(self, *, depth: int) -> tuple[tuple[Node, ...], str]:
        """Return nodes up to an `end` or `else` of the block around, and which of them it was."""
        if depth > _DEEPEST:
            raise TemplateError("blocks are nested too deeply")
        found: list[Node] = []
        for part in self._parts:
            if isinstance(part, str):
                found.append(Text(part))
                continue
            tokens = part.tokens
            if not tokens:
                raise TemplateError("missing value for command")
            word = tokens[0].text if tokens[0].kind == "word" else ""
            if word in ("end", "else"):
                self._chain = tokens[1:]
                if word == "end" and self._chain:
                    raise TemplateError("unexpected text after {{end")
                return tuple(found), word
            if word in _BLOCKS:
                found.append(self._block(word, tokens[1:], depth))
            else:
                found.append(Print(self._pipeline(tokens)))
        return tuple(found), ""

    def _block(self, kind: str, tokens: Sequence[Token], depth: int) -> Block:
        """Return a block, read to its end."""
        self._scopes.append([])
        pipeline = self._pipeline(tokens, ranges=kind == "range")
        self._scopes.append([])
        body, ended_by = self.nodes(depth=depth + 1)
        self._scopes.pop()
        otherwise: tuple[Node, ...] = ()
        if ended_by == "else" and self._chain:
            first = self._chain[0]
            if first.kind != "word" or first.text not in ("if", "with") or first.text != kind:
                raise TemplateError(f"unexpected {first.text} after else")
            otherwise = (self._block(kind, self._chain[1:], depth + 1),)
        elif ended_by == "else":
            otherwise, ended_by = self.nodes(depth=depth + 1)
            if ended_by == "else":
                raise TemplateError("expected end; found {{else}}")
        if not ended_by:
            raise TemplateError(f"{{{{{kind}}}}} without {{{{end}}}}")
        self._scopes.pop()
        return Block(kind, pipeline, body, otherwise)

    def _pipeline(self, tokens: Sequence[Token], *, ranges: bool = False) -> Pipeline:
        """Return a pipeline; its variables are known from here on."""
        names, declares, rest = self._variables(tokens, ranges=ranges)
        reader = _Reader(rest, self)
        commands = reader.commands()
        if reader.rest():
            raise TemplateError(f"unexpected {reader.rest()[0].text!r}")
        if declares:
            self._scopes[-1].extend(names)
        for name in names:
            self.check_variable(name)
        return Pipeline(commands, names, declares)

    def _variables(
        self, tokens: Sequence[Token], *, ranges: bool
    ) -> tuple[tuple[str, ...], bool, Sequence[Token]]:
        """Return the variables before `:=` or `=`, which of the two it is, and what follows."""
        for length in (1, 2):
            marks = tokens[: 2 * length]
            if len(marks) < 2 * length or marks[-1].text not in (":=", "="):
                continue
            names = [token for token in marks[::2] if token.kind == "variable"]
            if len(names) != length or (length == 2 and not (ranges and marks[1].text == ",")):  # noqa: PLR2004 - index and element
                continue
            texts = tuple(token.text for token in names)
            return texts, marks[-1].text == ":=", tokens[2 * length :]
        return (), False, tokens

    def check_variable(self, name: str) -> None:
        """Refuse a variable that nothing has set."""
        if not any(name in scope for scope in self._scopes):
            raise TemplateError(f'undefined variable "{name}"')


class _Reader:
    """Reads the commands of one action."""

    def __init__(self, tokens: Sequence[Token], parser: _Parser) -> None:
        self._tokens = tokens
        self._place = 0
        self._parser = parser

    def rest(self) -> Sequence[Token]:
        """Return what was not read."""
        return self._tokens[self._place :]

    def commands(self) -> tuple[Operand, ...]:
        """Read commands with pipes between them."""
        found = [self._command(first=True)]
        while self._at("|"):
            self._place += 1
            found.append(self._command(first=False))
        return tuple(found)

    def _at(self, *marks: str) -> bool:
        """Return whether one of these marks comes next."""
        rest = self.rest()
        return bool(rest) and rest[0].kind == "mark" and rest[0].text in marks

    def _command(self, *, first: bool) -> Operand:
        """Read an operand, or a function with its arguments."""
        rest = self.rest()
        if not rest or self._at("|", ")"):
            raise TemplateError("missing value for command")
        if rest[0].kind == "word" and rest[0].text not in _CONSTANTS:
            return self._call()
        if not first:
            raise TemplateError(f"non executable command in pipeline: {rest[0].text}")
        operand = self._operand()
        if self.rest() and not self._at("|", ")"):
            raise TemplateError(f"can't give argument to non-function {rest[0].text}")
        return operand

    def _call(self, *, alone: bool = False) -> Call:
        """Read a function; `alone`: as an argument itself it takes none."""
        name = self.rest()[0].text
        self._place += 1
        if name in _REFUSED:
            raise TemplateError(f"'{name}' is not supported in templates")
        function = FUNCTIONS.get(name)
        if function is None:
            raise TemplateError(f'function "{name}" not defined')
        arguments: list[Operand] = []
        while not alone and self.rest() and not self._at("|", ")"):
            arguments.append(self._operand())
        if name == "query" and arguments and isinstance(arguments[0], Literal):
            self._parser.queries.append(str(arguments[0].value))
        return Call(name, function, tuple(arguments))

    def _operand(self) -> Operand:
        """Read one operand and the fields that are joined to it."""
        token = self.rest()[0]
        operand: Operand
        if token.kind == "field":
            operand = Dot()
        elif token.kind == "word" and token.text not in _CONSTANTS:
            operand = self._call(alone=True)
        else:
            self._place += 1
            operand = self._primary(token)
        names: list[str] = []
        while self.rest() and self.rest()[0].kind == "field":
            begins = not names and token.kind == "field"
            if not begins and not self.rest()[0].joined:
                break
            names.append(self.rest()[0].text[1:])
            self._place += 1
        if isinstance(operand, Dot) and token.kind == "field" and not names:
            raise TemplateError(f"unexpected {token.text!r}")
        return Fields(operand, tuple(names)) if names else operand

    def _primary(self, token: Token) -> Operand:
        """Return what a single token, or a pipeline in parentheses, stands for."""
        if token.kind in _LITERALS:
            return Literal(_LITERALS[token.kind](token.text))
        if token.kind == "variable":
            self._parser.check_variable(token.text)
            return Variable(token.text)
        if token.text == ".":
            return Dot()
        if token.text == "(":
            commands = self.commands()
            if not self._at(")"):
                raise TemplateError("unclosed left paren")
            self._place += 1
            return Pipeline(commands)
        raise TemplateError(f"unexpected {token.text!r} in operand")
