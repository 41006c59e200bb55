"""The parts of a parsed template."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: text, number or truth value."""

    value: Any


@dataclass(frozen=True, slots=True)
class Dot:
    """The current element."""


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Fields:
    """`operand.Name.Name`."""

    operand: "Operand"
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function with what is written after it; a pipe adds one more argument at the end."""

    name: str
    function: Callable[..., Any]
    arguments: tuple["Operand", ...]


Operand: TypeAlias = "Literal | Dot | Variable | Fields | Call | Pipeline"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each given the value of the one before, and variables that take the result.

    Attributes:
        commands: in their order.
        variables: names that take the value; two in `range $index, $element := …`.
        declares: the variables are new (`:=`), not assigned (`=`).
    """

    commands: tuple[Operand, ...]
    variables: tuple[str, ...] = ()
    declares: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Text as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Print:
    """`{{ pipeline }}`; prints nothing where it sets a variable."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Block:
    """`if`, `with` or `range`, with what comes where its condition does not hold."""

    kind: str
    pipeline: Pipeline
    body: tuple["Node", ...]
    otherwise: tuple["Node", ...]


Node: TypeAlias = Text | Print | Block
