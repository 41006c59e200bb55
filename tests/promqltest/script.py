"""The format of Prometheus's test scripts: text to commands."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from agent.store.series import STALE, Labels

# No hexadecimal numbers here: `0x5` is zero, repeated five times.
_NUMBER: Final = r"(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|nan)"
_POINT: Final = re.compile(rf"([+-]?{_NUMBER})(?:([+-]{_NUMBER})?x(\d+))?", re.IGNORECASE)
_GAP: Final = re.compile(r"(_|stale)(?:x(\d+))?")
_POINTS: Final = re.compile(r"(?:\{\{.*?\}\}|\S)+")
_LABEL: Final = re.compile(
    r"""\s*(?:(?P<name>[^\s=,"]+|"(?:\\.|[^"\\])*")\s*=\s*)?"(?P<value>(?:\\.|[^"\\])*)"\s*,?"""
)
_SERIES: Final = re.compile(r"""(?P<name>[^\s{]*)(?P<labels>\{(?:"(?:\\.|[^"\\])*"|[^"}])*\})?""")
_INSTANT: Final = re.compile(
    r"eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(\S+))?\s+(.+)"
)
_RANGE: Final = re.compile(
    r"eval(?:_(fail|warn|info))?\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+?)\s+(.+)"
)
_EXPECT: Final = re.compile(r"expect\s+(\w+)(?:\s+(msg|regex):\s*(.*))?")
_VECTOR: Final = re.compile(r"expect range vector from (\S+) to (\S+) step (\S+)")
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}

NATIVE: Final = object()
"""Stands for a point that is a native histogram."""

Point = float | object | None


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a series and its points: numbers, None for a gap, or NATIVE."""

    labels: Labels
    points: list[Point]


@dataclass(frozen=True, slots=True)
class Clear:
    """Forget all samples."""


@dataclass(frozen=True, slots=True)
class Load:
    """Add samples, one every so many seconds from time 0."""

    interval: float
    series: list[Series]
    custom_buckets: bool


@dataclass(slots=True)
class Expected:
    """What the lines below an evaluation demand."""

    rules: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    series: list[Series] = field(default_factory=list)
    scalar: float | None = None
    string: str | None = None
    grid: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One case; an instant query has no step."""

    line: int
    query: str
    start: float
    end: float
    step: float | None
    expected: Expected


Command = Clear | Load | Evaluation


def duration(text: str) -> float:
    """Return seconds; a bare number is seconds."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdwy])", text)
    if not parts:
        return float(text)
    sign = -1.0 if text.startswith("-") else 1.0
    return sign * sum(float(number) * _UNITS[unit] for number, unit in parts)


def _unquoted(text: str) -> str:
    """Return what is between quotes."""
    if text.startswith("`"):
        return text.strip("`")
    return re.sub(
        r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), text[1:-1]
    )


def labels_of(text: str) -> tuple[Labels, int]:
    """Read labels at the start of a text; return them and where they end."""
    match = _SERIES.match(text)
    if match is None:
        raise ValueError(text)
    pairs = {"__name__": match["name"]} if match["name"] else {}
    for label in _LABEL.finditer((match["labels"] or "{}")[1:-1]):
        name = label["name"]
        key = "__name__" if name is None else _unquoted(name) if name[0] == '"' else name
        pairs[key] = _unquoted(f'"{label["value"]}"')
    return tuple(sorted((key, value) for key, value in pairs.items() if value)), match.end()


def points_of(text: str) -> Iterator[Point]:
    """Expand points such as `1+2x3 _ stale`."""
    for token in _POINTS.findall(text):
        gap = _GAP.fullmatch(token)
        point = _POINT.fullmatch(token)
        if token.startswith("{{"):
            yield NATIVE
        elif gap is not None:
            yield from [None if gap[1] == "_" else STALE] * int(gap[2] or 1)
        elif point is not None:
            value, step = float(point[1]), float(point[2] or "0")
            for _ in range(int(point[3] or 0) + 1):
                yield value
                value += step
        else:
            raise ValueError(token)


def series_of(text: str) -> Series:
    """Read a line of labels and points."""
    labels, end = labels_of(text)
    return Series(labels, [*points_of(text[end:])])


def commands(text: str) -> Iterator[Command]:
    """Read a script."""
    lines = ["" if line.strip().startswith("#") else line.strip() for line in text.splitlines()]
    index = 0
    while index < len(lines):
        line = lines[index]
        block: list[str] = []
        end = index + 1
        if line.startswith(("load", "eval")):
            while end < len(lines) and lines[end]:
                block.append(lines[end])
                end += 1
        if line == "clear":
            yield Clear()
        elif line.startswith("load"):
            kind, interval = line.split()
            chosen = [item for item in block if not item.split()[0].endswith("@st")]
            yield Load(duration(interval), [*map(series_of, chosen)], kind == "load_with_nhcb")
        elif line.startswith("eval"):
            yield _evaluation(index + 1, line, block)
        elif line:
            raise ValueError(f"line {index + 1}: {line}")
        index = end


def _evaluation(number_of_line: int, line: str, block: list[str]) -> Evaluation:
    """Read one case."""
    expected = Expected()
    instant, ranged = _INSTANT.match(line), _RANGE.match(line)
    match = instant or ranged
    if match is None:
        raise ValueError(f"line {number_of_line}: {line}")
    if match[1]:
        expected.rules[match[1]] = [("", "")]
    for item in block:
        _expect(expected, item)
    if instant is not None:
        time = duration(instant[2] or "0")
        return Evaluation(number_of_line, instant[3], time, time, None, expected)
    start, end, step = (duration(item) for item in match.groups()[1:4])
    return Evaluation(number_of_line, match[5], start, end, step, expected)


def _expect(expected: Expected, line: str) -> None:
    """Read one line below an evaluation."""
    vector, rule = _VECTOR.match(line), _EXPECT.match(line)
    if vector is not None:
        expected.grid = (duration(vector[1]), duration(vector[2]), duration(vector[3]))
    elif line.startswith("expect string"):
        expected.string = _unquoted(line.removeprefix("expect string").strip())
    elif line.startswith(("expected_fail_message", "expected_fail_regexp")):
        kind, text = line.split(maxsplit=1)
        expected.rules["fail"] = [("msg" if kind.endswith("message") else "regex", text)]
    elif rule is not None:
        expected.rules.setdefault(rule[1], []).append((rule[2] or "", rule[3] or ""))
    elif re.fullmatch(rf"[+-]?{_NUMBER}", line, re.IGNORECASE):
        expected.scalar = float(line)
    else:
        expected.series.append(series_of(line))
