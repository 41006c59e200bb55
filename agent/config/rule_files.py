"""Prometheus rule files: their YAML, with every problem of every file found in one go.

What stands between the quotes, expressions and templates, is judged by `agent.alerts.load`.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import yaml

from agent.config.near import nearest
from agent.model import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRule:
    """A rule as it is written.

    Attributes:
        line: where it begins, from 1.
        record: name of the series that it records, or empty.
        alert: name of its alert, or empty.
        expr: the expression.
        hold: seconds of `for`.
        keep: seconds of `keep_firing_for`.
        labels: templates, by label.
        annotations: templates, by annotation.
        lines: line of each key within the rule, such as `expr` or `labels.severity`.
    """

    line: int
    expr: str
    record: str = ""
    alert: str = ""
    hold: float = 0.0
    keep: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name that people know it by."""
        return self.alert or self.record


@dataclass(frozen=True, slots=True, kw_only=True)
class RawGroup:
    """A group as it is written; `interval` is None where it does not say."""

    file: str
    line: int
    name: str
    interval: float | None
    limit: int
    rules: tuple[RawRule, ...]


@dataclass(frozen=True, slots=True, order=True)
class RuleProblem:
    """One thing that is wrong with rules, at a line counted from 1; 0 for the whole file."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        """Return it as a line for people."""
        return ":".join([self.file, *([str(self.line)] if self.line else []), f" {self.message}"])


_Loader: TypeAlias = "type[yaml.SafeLoader | yaml.CSafeLoader]"

# libyaml reads ten times as fast, but overflows the stack where a file is nested very deeply.
_QUICK: Final[_Loader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_rule_file(path: Path, *, own: bool = False) -> tuple[list[RawGroup], list[RuleProblem]]:
    """Return the groups of a file, less those rules that have problems, and the problems.

    Args:
        path: the file.
        own: it comes with the agent, and cannot be made to do harm.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        return [], [RuleProblem(str(path), 0, f"cannot be read: {error.strerror or error}")]
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return [], [RuleProblem(str(path), line, "is not UTF-8 text")]
    return parse_rule_file(text, str(path), loader=_QUICK if own else yaml.SafeLoader)


def parse_rule_file(
    text: str, file: str, *, loader: _Loader = yaml.SafeLoader
) -> tuple[list[RawGroup], list[RuleProblem]]:
    """Return what `read_rule_file` does, for a text; `file` is its name in the messages."""
    reader = _Reader(file)
    try:
        root = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        return [], [RuleProblem(file, line, f"is not YAML: {error.problem}")]
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        return [], [RuleProblem(file, 1, f"is not YAML: {error}")]
    except RecursionError:
        return [], [RuleProblem(file, 1, "is nested too deeply")]
    groups = [] if root is None else reader.file_(root)
    return groups, reader.problems


_T = TypeVar("_T", int, float)

_DURATION: Final = re.compile(
    "".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms"))
)
_UNIT_SECONDS: Final = (31_536_000.0, 604_800.0, 86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_GROUP_KEYS: Final = ("name", "interval", "limit", "rules", "labels")
_RULE_KEYS: Final = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")
# Prometheus has these; ignoring them would give other results than it does.
_NOT_HERE: Final = {
    "query_offset",
    "evaluation_delay",
    "source_tenants",
    "partial_response_strategy",
}


def parse_duration(text: str) -> float:
    """Return the seconds of a duration in Prometheus's form, such as 1h30m.

    Raises:
        ValueError: it is none.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(text)
    counts = match.groups("0")
    return sum(int(count) * unit for count, unit in zip(counts, _UNIT_SECONDS, strict=True))


class _RefusedError(ConfigError):
    """A value with a problem, which has been noted."""


class _Reader:
    """Walks the nodes of one file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.problems: list[RuleProblem] = []

    def _refuse(self, node: yaml.Node, message: str) -> _RefusedError:
        """Note a problem."""
        self.problems.append(RuleProblem(self._file, node.start_mark.line + 1, message))
        return _RefusedError()

    def file_(self, root: yaml.Node) -> list[RawGroup]:
        """Return the groups of a document."""
        try:
            keys = self._mapping(root, ("groups",), "")
        except _RefusedError:
            return []
        listed = keys.get("groups")
        if listed is None or _is_null(listed):
            return []
        if not isinstance(listed, yaml.SequenceNode):
            self._refuse(listed, "groups: expected a list")
            return []
        groups: list[RawGroup] = []
        names: set[str] = set()
        for node in listed.value:
            try:
                group = self._group(node)
            except _RefusedError:
                continue
            if group.name in names:
                self._refuse(node, f"group '{group.name}': stands here twice")
            names.add(group.name)
            groups.append(group)
        return groups

    def _group(self, node: yaml.Node) -> RawGroup:
        """Return one group."""
        keys = self._mapping(node, _GROUP_KEYS, "group: ")
        if "name" not in keys:
            raise self._refuse(node, "group: lacks the key 'name'")
        name = self._text(keys["name"], "group: name")
        where = f"group '{name}': "
        rules: list[RawRule] = []
        listed = keys.get("rules")
        if listed is not None and not _is_null(listed):
            if not isinstance(listed, yaml.SequenceNode):
                raise self._refuse(listed, f"{where}rules: expected a list")
            for item in listed.value:
                try:
                    rules.append(self._rule(item, where, self._labels(keys, where)))
                except _RefusedError:
                    continue
        return RawGroup(
            file=self._file,
            line=node.start_mark.line + 1,
            name=name,
            interval=self._duration(keys, "interval", where) or None,
            limit=self._limit(keys, where),
            rules=tuple(rules),
        )

    def _rule(self, node: yaml.Node, where: str, labels: Mapping[str, str]) -> RawRule:
        """Return one rule; `labels` are those of its group."""
        before = len(self.problems)
        keys = self._mapping(node, _RULE_KEYS, where + "rule: ")
        kinds = [kind for kind in ("record", "alert") if kind in keys]
        if len(kinds) != 1:
            said = "found both" if kinds else "found neither"
            raise self._refuse(node, f"{where}rule: expected either record or alert, {said}")
        kind = kinds[0]
        name = self._text(keys[kind], f"{where}{kind}")
        where += f"rule '{name}': "
        if kind == "record" and not _METRIC.fullmatch(name):
            self._refuse(keys[kind], f"{where}is not the name of a metric")
        for key in ("for", "keep_firing_for", "annotations"):
            if kind == "record" and key in keys:
                self._refuse(keys[key], f"{where}{key}: is for alerts only")
        if "expr" not in keys:
            raise self._refuse(node, f"{where}lacks the key 'expr'")
        rule = RawRule(
            line=node.start_mark.line + 1,
            expr=self._text(keys["expr"], f"{where}expr"),
            hold=self._duration(keys, "for", where),
            keep=self._duration(keys, "keep_firing_for", where),
            labels={**labels, **self._labels(keys, where)},
            annotations=self._texts(keys, "annotations", where),
            lines=dict(_lines(keys)),
            **{kind: name},
        )
        if len(self.problems) > before:
            raise _RefusedError
        return rule

    def _mapping(self, node: yaml.Node, names: Collection[str], where: str) -> dict[str, yaml.Node]:
        """Return the keys of a mapping; unknown ones and doublets are noted."""
        if not isinstance(node, yaml.MappingNode):
            raise self._refuse(node, f"{where}expected keys with values")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            if name in _NOT_HERE and names is _GROUP_KEYS:
                self._refuse(key, f"{where}{name}: is not supported")
            elif name not in names:
                near = nearest(name, names, cutoff=0.5)
                hint = f"did you mean '{near}'?" if near else f"expected {', '.join(names)}"
                self._refuse(key, f"{where}unknown key '{name}'; {hint}")
            elif name in found:
                self._refuse(key, f"{where}{name}: stands here twice")
            else:
                found[name] = value
        return found

    def _text(self, node: yaml.Node, where: str) -> str:
        """Return a text that is not empty; numbers are taken as they are written."""
        if not isinstance(node, yaml.ScalarNode) or _is_null(node) or not node.value.strip():
            raise self._refuse(node, f"{where}: expected a text that is not empty")
        return str(node.value)

    def _texts(self, keys: Mapping[str, yaml.Node], key: str, where: str) -> dict[str, str]:
        """Return names and texts."""
        node = keys.get(key)
        if node is None or _is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self._refuse(node, f"{where}{key}: expected names with texts")
            return {}
        found: dict[str, str] = {}
        for name_node, value in node.value:
            name = str(name_node.value)
            if not _LABEL.fullmatch(name):
                self._refuse(name_node, f"{where}{key}: '{name}' is not a name")
            elif name in found:
                self._refuse(name_node, f"{where}{key}.{name}: stands here twice")
            elif not isinstance(value, yaml.ScalarNode):
                self._refuse(value, f"{where}{key}.{name}: expected a text")
            else:
                found[name] = "" if _is_null(value) else str(value.value)
        return found

    def _labels(self, keys: Mapping[str, yaml.Node], where: str) -> dict[str, str]:
        """Return labels; the name of the metric is not one to be set."""
        found = self._texts(keys, "labels", where)
        for name in ("__name__", "alertname") if "record" not in keys else ("__name__",):
            if name in found:
                self._refuse(keys["labels"], f"{where}labels.{name}: cannot be set")
        return found

    def _duration(self, keys: Mapping[str, yaml.Node], key: str, where: str) -> float:
        """Return seconds, 0 where nothing is said."""
        return self._scalar(keys, key, where, parse_duration, "a duration such as 30s, 5m or 1h30m")

    def _limit(self, keys: Mapping[str, yaml.Node], where: str) -> int:
        """Return how many results a rule of a group may have, 0 for any number."""
        return self._scalar(keys, "limit", where, _count, "a number, 0 for none")

    def _scalar(
        self,
        keys: Mapping[str, yaml.Node],
        key: str,
        where: str,
        convert: Callable[[str], _T],
        expected: str,
    ) -> _T | int:
        """Return a single value, 0 where nothing is said."""
        node = keys.get(key)
        if node is None or _is_null(node):
            return 0
        try:
            return convert(node.value if isinstance(node, yaml.ScalarNode) else "")
        except ValueError:
            self._refuse(node, f"{where}{key}: expected {expected}")
            return 0


def _count(text: str) -> int:
    """Return a number of at least 0."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(text)
    return int(text)


def _lines(keys: Mapping[str, yaml.Node]) -> Iterator[tuple[str, int]]:
    """Yield the line of each key of a rule, and of those within labels and annotations."""
    for key, node in keys.items():
        yield key, node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                yield f"{key}.{name.value}", value.start_mark.line + 1


def _is_null(node: yaml.Node) -> bool:
    """Return whether a key stands there without a value."""
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
