"""From YAML to `Settings`, with every problem of the file found in one go.

The classes in `settings` are walked beside the nodes of the YAML document, so that each problem
is said with its line and its key.
"""

import re
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

import yaml

from agent.config.checks import cross_checks
from agent.config.near import nearest
from agent.config.secret import Secret
from agent.config.settings import PLACE, Settings
from agent.config.values import EngineName
from agent.model import ConfigError

S = TypeVar("S")
Checks: TypeAlias = Callable[[S, Collection[str]], Iterator[tuple[str, str]]]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with the file, at a line counted from 1."""

    line: int
    key: str
    message: str


class _Refused:
    """Stands for a value that could not be read, so that reading can go on."""


_REFUSED = _Refused()


def read_settings(text: str, file: str, *, engines: Collection[str]) -> Settings:
    """Return the settings that a YAML document holds.

    Args:
        text: the document; an empty one gives the defaults.
        file: its name, for the messages.
        engines: names of the engines that the agent knows.

    Raises:
        ConfigError: one line for each problem: file, line, key, what was expected.
    """
    return read_schema(text, file, Settings, checks=cross_checks, engines=engines)


def read_schema(
    text: str, file: str, schema: type[S], *, checks: Checks[S], engines: Collection[str] = ()
) -> S:
    """Return what a YAML document holds as a dataclass each of whose keys is optional.

    Args:
        text: the document; an empty one gives the defaults.
        file: its name, for the messages.
        schema: the dataclass.
        checks: yields the key and the message of each contradiction, given what was read and the
            keys that were refused.
        engines: names of the engines that the agent knows.

    Raises:
        ConfigError: one line for each problem: file, line, key, what was expected.
    """
    reader = _Reader(engines, file)
    settings = reader.read(text, schema, checks)
    if reader.problems or settings is None:
        raise ConfigError(
            "\n".join(
                f"{file}:{problem.line}: {problem.key + ': ' if problem.key else ''}"
                f"{problem.message}"
                for problem in sorted(reader.problems)
            )
        )
    return settings


def load_settings(path: Path, *, engines: Collection[str]) -> Settings:
    """Return the settings in a file; `engines` as in `read_settings`.

    Raises:
        ConfigError: the file cannot be read, or has problems.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    return read_settings(decoded(content, path), str(path), engines=engines)


def decoded(content: bytes, path: Path) -> str:
    """Return the text of a configuration file.

    Raises:
        ConfigError: it is none; names the line.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8 text") from error


class _Reader:
    """Walks the document and the schema side by side."""

    def __init__(self, engines: Collection[str], file: str) -> None:
        self._engines = engines
        self._file = file
        self.problems: list[Problem] = []
        self._lines: dict[str, int] = {}

    def read(self, text: str, schema: type[S], checks: Checks[S]) -> S | None:
        """Return the settings, or None with at least one problem noted."""
        root = _compose(text)
        if root is None:
            return schema()
        if isinstance(root, Problem):
            self.problems.append(root)
            return None
        settings = self._value(schema, root, "")
        if not isinstance(settings, schema):
            return None
        refused = {problem.key for problem in self.problems}
        for key, message in checks(settings, refused):
            self.problems.append(Problem(self._line_of(key), key, message))
        return settings

    def _line_of(self, key: str) -> int:
        """Return the line of a key, or of the nearest one above it that the file has."""
        while key and key not in self._lines:
            key = key.rpartition("[")[0] if key.endswith("]") else key.rpartition(".")[0]
        return self._lines.get(key, 1)

    def _refuse(self, node: yaml.Node, key: str, message: str) -> _Refused:
        """Note a problem."""
        self.problems.append(Problem(node.start_mark.line + 1, key, message))
        return _REFUSED

    def _value(self, kind: Any, node: yaml.Node, key: str) -> Any:
        """Return what a node holds as a value of a type of the schema."""
        self._lines.setdefault(key, node.start_mark.line + 1)
        if get_origin(kind) in (types.UnionType, typing.Union):
            if _is_null(node):
                return None
            kind = next(arm for arm in get_args(kind) if arm is not types.NoneType)
        if kind is Secret:
            return self._secret(node, key)
        if is_dataclass(kind):
            return self._mapping(kind, node, key)
        if get_origin(kind) is tuple:
            return self._sequence(get_args(kind)[0], node, key)
        if get_origin(kind) is Mapping:
            return self._pairs(get_args(kind), node, key)
        return self._scalar(kind, node, key)

    def _scalar(self, kind: Any, node: yaml.Node, key: str) -> Any:
        """Return a single value."""
        convert, expected = _converter(kind)
        if not isinstance(node, yaml.ScalarNode):
            return self._refuse(node, key, f"expected {expected or 'a single value'}")
        raw = _construct(node)
        try:
            value = convert(raw)
        except ValueError as error:
            message = f"expected {expected or error}"
            if not _is_secret(kind):
                message += f", found {_shown(node.value)}"
            if not isinstance(raw, str) and _is_good(convert, node.value):
                message += "; write it between quotes"
            return self._refuse(node, key, message)
        if get_origin(kind) is Annotated and isinstance(get_args(kind)[1], EngineName):
            self._check_engine(value, node, key)
        return value

    def _check_engine(self, name: str, node: yaml.Node, key: str) -> None:
        """Note an engine that the agent does not know; the rest of the instance is judged on."""
        if name not in self._engines:
            near = nearest(name, self._engines, cutoff=_NEAR)
            hint = f"; did you mean '{near}'?" if near else ""
            message = f"expected one of {', '.join(self._engines)}, found '{name}'{hint}"
            self._refuse(node, key, message)

    def _sequence(self, kind: Any, node: yaml.Node, key: str) -> tuple[Any, ...] | _Refused:
        """Return a list."""
        if not isinstance(node, yaml.SequenceNode):
            return self._refuse(node, key, "expected a list")
        values = [
            self._value(kind, item, f"{key}[{index}]") for index, item in enumerate(node.value)
        ]
        return _REFUSED if _REFUSED in values else tuple(values)

    def _pairs(
        self, kinds: tuple[Any, ...], node: yaml.Node, key: str
    ) -> dict[Any, Any] | _Refused:
        """Return names of the user's own choice and their values."""
        name, kind = kinds
        if _is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            return self._refuse(node, key, "expected names with values")
        found: dict[Any, Any] = {}
        for name_node, value_node in node.value:
            called = self._scalar(name, name_node, key)
            if called is not _REFUSED and called in found:
                called = self._refuse(name_node, f"{key}.{called}", "stands here twice")
            found[called] = self._value(kind, value_node, f"{key}.{called}")
        return _REFUSED if _REFUSED in (*found, *found.values()) else found

    def _mapping(self, kind: Any, node: yaml.Node, key: str) -> Any:
        """Return a group of keys; one that was refused has its default, if there is one."""
        if _is_null(node):
            node = yaml.MappingNode(node.tag, [], node.start_mark, node.end_mark)
        if not isinstance(node, yaml.MappingNode):
            return self._refuse(node, key, "expected keys with values")
        hints = get_type_hints(kind, include_extras=True)
        schema = {item.name: item for item in fields(kind) if PLACE not in item.metadata}
        place = f"{self._file}:{node.start_mark.line + 1}: {key}"
        given: dict[str, Any] = {
            item.name: place for item in fields(kind) if PLACE in item.metadata
        }
        for name, path, value in self._entries(node, key, list(schema)):
            if _is_null(value) and get_origin(hints[name]) is tuple:
                continue  # a list whose items are all commented out
            given[name] = self._value(hints[name], value, path)
        missing = [name for name, item in schema.items() if name not in given and _needed(item)]
        for name in missing:
            self._refuse(node, key, f"lacks the key '{name}'")
        good = {name: value for name, value in given.items() if value is not _REFUSED}
        if any(_needed(item) and name not in good for name, item in schema.items()):
            return _REFUSED
        return kind(**good)

    def _entries(
        self, node: yaml.MappingNode, key: str, names: list[str], *, secret: bool = False
    ) -> Iterator[tuple[str, str, yaml.Node]]:
        """Yield the known keys of a group once each, and note the others."""
        seen: set[str] = set()
        for name_node, value in node.value:
            plain = isinstance(name_node, yaml.ScalarNode)
            name = name_node.value if plain else "?"
            shown = name if not plain or _PLAIN.fullmatch(name) else _shown(name)
            path = f"{key}.{shown}" if key else shown
            if name not in names:
                near = nearest(name, names, cutoff=_NEAR)
                hint = f"did you mean '{near}'?" if near else f"expected {', '.join(names)}"
                # A secret that was pasted where its place should be named is no key to echo.
                place = key if secret and not near else path
                self._refuse(name_node, place, f"unknown key; {hint}")
            elif name in seen:
                self._refuse(name_node, path, "stands here twice")
            else:
                seen.add(name)
                self._lines[path] = name_node.start_mark.line + 1
                yield name, path, value

    def _secret(self, node: yaml.Node, key: str) -> Secret | _Refused:
        """Return where a secret lies; one written into the file is refused and not echoed."""
        names = [item.name for item in fields(Secret)]
        if not isinstance(node, yaml.MappingNode):
            message = "a secret is not written here: expected one of file, env, credential"
            return self._refuse(node, key, message)
        if len(node.value) != 1:
            return self._refuse(node, key, "expected exactly one of file, env, credential")
        for name, path, value in self._entries(node, key, names, secret=True):
            expected, form = _SECRET_FORMS[name]
            text = value.value if isinstance(value, yaml.ScalarNode) else ""
            if not form.fullmatch(text):
                return self._refuse(value, path, f"expected {expected}")
            return Secret(
                file=Path(text) if name == "file" else None,
                env=text if name == "env" else None,
                credential=text if name == "credential" else None,
            )
        return _REFUSED


def _compose(text: str) -> yaml.Node | Problem | None:
    """Return the document, None if it is empty, or why it is none."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = _QUOTED.sub(_redacted, error.problem or "")
        return Problem(mark.line + 1 if mark else 1, "", f"is not YAML: {problem}")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return Problem(line, "", "is not YAML: has a control character")
    except (ValueError, OverflowError):  # PyYAML does not expect these of itself
        return Problem(1, "", "is not YAML: has an impossible character code")
    except RecursionError:
        return Problem(1, "", "is nested too deeply")


# What may be said: more may be a secret that was pasted into the wrong place.
_SECRET_FORMS = {
    "file": ("an absolute path", re.compile(r"/[^\0]*")),
    "env": ("the name of an environment variable", re.compile(r"[A-Za-z_][A-Za-z0-9_]*")),
    "credential": ("the name of a systemd credential", re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")),
}
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,60}")
# What YAML's messages quote: texts of the file, but also single characters, the signs that were
# expected and names of tokens such as <scalar>.
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_HARMLESS = re.compile(r".{0,2}|<[a-z ]+>|\\(x..|u.{4}|U.{8})")
_SHOWN = 60
# How much alike a key and the one that was meant are.
_NEAR = 0.6


def _redacted(quoted: re.Match[str]) -> str:
    """Return what YAML quotes, unless it can be a secret."""
    text = quoted[1] if quoted[1] is not None else quoted[2]
    return quoted[0] if _HARMLESS.fullmatch(text) else "'…'"


def _shown(text: str) -> str:
    """Return what stands in the file, cut short, without what may be a secret in an address."""
    text = re.sub(r"^([a-z]+://)?.*@", r"\1…@", text, flags=re.DOTALL)
    text = re.sub(r"[?#].*", "?…", text, flags=re.DOTALL)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _is_good(convert: Callable[[object], Any], text: str) -> bool:
    """Return whether a value would be accepted as text."""
    try:
        convert(text)
    except ValueError:
        return False
    return True


def _construct(node: yaml.ScalarNode) -> object:
    """Return what YAML takes a scalar for: a text, a number, a truth value or nothing."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    except (ValueError, LookupError, AttributeError, yaml.YAMLError):
        return node.value  # such as an impossible date: the text is judged instead
    finally:
        loader.dispose()


def _is_null(node: yaml.Node) -> bool:
    """Return whether a key stands there without a value."""
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _is_secret(kind: Any) -> bool:
    """Return whether a value of this type is not to be echoed, whatever it is."""
    return get_origin(kind) is Annotated and getattr(get_args(kind)[1], "secret", False)


def _needed(item: Field[Any]) -> bool:
    """Return whether a key has no default."""
    return item.default is MISSING and item.default_factory is MISSING


def _converter(kind: Any) -> tuple[Callable[[object], Any], str]:
    """Return how a scalar becomes a value of this type, and what to say if it is known before."""
    if get_origin(kind) is Annotated:
        return get_args(kind)[1].convert, ""
    if issubclass(kind, StrEnum):
        return lambda raw: kind(str(raw)), "one of " + ", ".join(kind)
    if kind is bool:
        return _boolean, "true or false"
    raise TypeError(f"the schema has a type without a reader: {kind}")


def _boolean(raw: object) -> bool:
    """Return a truth value."""
    if not isinstance(raw, bool):
        raise ValueError  # noqa: TRY004 - every refusal is a ValueError
    return raw
