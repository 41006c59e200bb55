"""Renders the nodes of a template."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from agent.alerts.errors import TemplateError
from agent.alerts.template.functions import call_with_data
from agent.alerts.template.nodes import (
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
from agent.alerts.template.values import Data, field_of, kind_of, shown, truth


def render(nodes: Sequence[Node], data: Data) -> str:
    """Return the text that nodes give for this data."""
    renderer = _Renderer(data)
    renderer.run(nodes, data)
    return "".join(renderer.out)


class _Renderer:
    """The state of one rendering: what was printed, and the variables."""

    def __init__(self, data: Data) -> None:
        self.out: list[str] = []
        self._data = data
        self._scopes: list[dict[str, Any]] = [
            {
                "$": data,
                "$labels": data.labels,
                "$externalLabels": data.external_labels,
                "$externalURL": data.external_url,
                "$value": data.value,
            }
        ]

    def run(self, nodes: Sequence[Node], dot: Any) -> None:
        """Print nodes."""
        for node in nodes:
            if isinstance(node, Text):
                self.out.append(node.text)
            elif isinstance(node, Print):
                value = self._pipeline(node.pipeline, dot)
                if not node.pipeline.variables:
                    self.out.append(shown(value))
            elif node.kind == "range":
                with self._scope():
                    self._range(node.pipeline, node.body, node.otherwise, dot)
            else:
                with self._scope():
                    value = self._pipeline(node.pipeline, dot)
                    inner = value if node.kind == "with" and truth(value) else dot
                    with self._scope():
                        self.run(node.body if truth(value) else node.otherwise, inner)

    def _range(
        self, pipeline: Pipeline, body: Sequence[Node], otherwise: Sequence[Node], dot: Any
    ) -> None:
        """Print the body for each element."""
        over = self._value(Pipeline(pipeline.commands), dot)
        elements: list[tuple[Any, Any]]
        if isinstance(over, Mapping):
            elements = sorted(over.items())
        elif isinstance(over, list | tuple):
            elements = list(enumerate(over))
        else:
            raise TemplateError(f"range can't iterate over {shown(over)}")
        for key, element in elements:
            with self._scope():
                pair = (key, element) if len(pipeline.variables) > 1 else (element,)
                for name, value in zip(pipeline.variables, pair, strict=False):
                    self._set(name, value, declares=pipeline.declares)
                self.run(body, element)
        if not elements:
            self.run(otherwise, dot)

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """Forget variables that are declared within the block."""
        self._scopes.append({})
        try:
            yield
        finally:
            self._scopes.pop()

    def _set(self, name: str, value: Any, *, declares: bool) -> None:
        """Declare a variable, or assign to where it was declared."""
        if declares:
            self._scopes[-1][name] = value
            return
        for scope in reversed(self._scopes):
            if name in scope:
                scope[name] = value
                return

    def _pipeline(self, pipeline: Pipeline, dot: Any) -> Any:
        """Return the value of a pipeline, and set its variable."""
        value = self._value(pipeline, dot)
        for name in pipeline.variables:
            self._set(name, value, declares=pipeline.declares)
        return value

    def _value(self, operand: Operand, dot: Any) -> Any:
        """Return the value of an operand."""
        match operand:
            case Literal(value):
                return value
            case Dot():
                return dot
            case Variable(name):
                return next(scope[name] for scope in reversed(self._scopes) if name in scope)
            case Fields(inner, names):
                value = self._value(inner, dot)
                for name in names:
                    value = field_of(value, name)
                return value
            case Call():
                return self._call(operand, dot, ())
            case Pipeline(commands):
                value = self._value(commands[0], dot)
                for command in commands[1:]:
                    if isinstance(command, Call):  # the parser takes nothing else here
                        value = self._call(command, dot, (value,))
                return value

    def _call(self, call: Call, dot: Any, piped: tuple[Any, ...]) -> Any:
        """Return what a function gives."""
        if call.name in ("and", "or"):
            return self._logic(call, dot, piped)
        arguments = [self._value(argument, dot) for argument in call.arguments]
        try:
            return call_with_data(call.function, self._data, [*arguments, *piped])
        except TypeError:
            given = ", ".join(kind_of(value) for value in (*arguments, *piped))
            raise TemplateError(f"wrong arguments for {call.name}: ({given})") from None
        except TemplateError as error:
            raise TemplateError(f"error calling {call.name}: {error}") from None

    def _logic(self, call: Call, dot: Any, piped: tuple[Any, ...]) -> Any:
        """Return the first operand that decides; those after it are not evaluated."""
        operands = [*call.arguments, *map(Literal, piped)]
        if not operands:
            raise TemplateError(f"wrong number of args for {call.name}: want at least 1 got 0")
        value: Any = None
        for operand in operands:
            value = self._value(operand, dot)
            if truth(value) is (call.name == "or"):
                return value
        return value
