"""Reading a page in the Prometheus text format, again and again, for next to nothing.

An engine's page has the same lines in the same order on nearly every scrape; only numbers
change. `PageScanner` learns the lines once. From then on a page is split on newlines, one pass in
C compares the beginning of each line with what was learned, and only wanted numbers are parsed.
A line that differs costs one dictionary look-up a line for that page. A line that the short
grammar below does not cover goes to prometheus_client's parser, whose answer is always final.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agent.model import SourceError

Resolve = Callable[[str, Mapping[str, str]], int | None]

# The plain form of a series: no escapes, no spaces around anything, no empty braces, none of the
# reserved `__` labels. Whatever else is legal is left to the official parser.
_SERIES: Final = re.compile(
    rb"([a-zA-Z_:][a-zA-Z0-9_:]*)"
    rb'(?:\{((?:(?!__)[a-zA-Z_][a-zA-Z0-9_]*="[^"\\\n]*",)*'
    rb'(?!__)[a-zA-Z_][a-zA-Z0-9_]*="[^"\\\n]*")\})?'
)
_LABEL: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="([^"]*)"')
_EXCERPT: Final = 80


class PageError(SourceError):
    """A page cannot be read as the Prometheus text format.

    Attributes:
        line: number of the line, from 1; 0 where the page as a whole is at fault.
        excerpt: the beginning of that line.
    """

    def __init__(self, problem: str, *, line: int = 0, excerpt: bytes = b"") -> None:
        self.line = line
        self.excerpt = excerpt[:_EXCERPT].decode("utf-8", "replace")
        where = f"line {line}: {self.excerpt!r}: " if line else ""
        super().__init__(where + problem)


@dataclass(frozen=True, slots=True)
class _Key:
    """What is known of the text before a value: `wanted` is None where nobody asked for it."""

    wanted: int | None
    prefix: bytes
    bare: bool

    def value(self, text: bytes) -> float | None:
        """Return the value, 0 if unwanted, or None if the official parser should judge the line."""
        if self.wanted is None:
            return None if self.bare and b"{" in text else 0.0
        if b"_" in text:
            return None
        try:
            return float(text)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class _Layout:
    """The lines of a page, so that the next page can be recognised by its prefixes.

    Attributes:
        prefixes: how each line begins, comments whole.
        exact: (index, line) of lines whose beginning says nothing, such as empty ones.
        bare: indexes of unwanted series without labels; a brace there would mean another series.
        picks: indexes of wanted lines.
        heads: for each of those, what stands before its value.
        ids: for each of those, what `resolve` said.
    """

    prefixes: list[bytes]
    exact: list[tuple[int, bytes]]
    bare: list[int]
    picks: list[int]
    heads: list[bytes]
    ids: list[int]

    def add_silent(self, index: int, line: bytes) -> None:
        """Note a comment or an empty line."""
        self.prefixes.append(_shared(line))
        if line[:1] != b"#":
            self.exact.append((index, line))

    def add(self, index: int, key: _Key) -> None:
        """Note a line with a series."""
        self.prefixes.append(key.prefix)
        if key.wanted is not None:
            self.picks.append(index)
            self.heads.append(key.prefix)
            self.ids.append(key.wanted)
        elif key.bare:
            self.bare.append(index)

    def read(self, lines: list[bytes]) -> list[float] | None:
        """Return the values of a page with this layout, or None if it has another."""
        if len(lines) != len(self.prefixes) or not all(map(bytes.startswith, lines, self.prefixes)):
            return None
        if any(lines[index] != line for index, line in self.exact):
            return None
        if any(b"{" in lines[index] for index in self.bare):
            return None
        texts = list(map(bytes.removeprefix, map(lines.__getitem__, self.picks), self.heads))
        # float() takes 1_000, the format does not.
        if b"_" in b"".join(texts):
            return None
        try:
            return list(map(float, texts))
        except ValueError:
            return None


_SHARED_LIMIT: Final = 20_000
_SHARED: Final[dict[bytes, bytes]] = {}


def _shared(text: bytes) -> bytes:
    """Return the one object for a text that the pages of several engines have in common.

    Eight replicas then compare with one copy, which stays in the processor's cache from the first
    page of a tick to the last.
    """
    if len(_SHARED) >= _SHARED_LIMIT:
        _SHARED.clear()
    return _SHARED.setdefault(text, text)


class PageScanner:
    """Reads pages of one source; keeps what it learned from one page for the next.

    Args:
        resolve: gives a number for a sample name and its labels, or None where it is not wanted.
            Asked once for each series while the series stays on the page. The values of unwanted
            series are not looked at.
    """

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._layout: _Layout | None = None
        self._keys: dict[bytes, _Key] = {}
        self._ids: list[int] = []

    def scan(self, page: bytes) -> tuple[list[int], list[float]]:
        """Return what `resolve` said and the value, for each wanted sample, in page order.

        A series that stands on the page twice is returned twice, like the official parser does.
        The first list is the same object as at the last call while its content is the same. An
        empty page has no samples; that is not an error here.

        Raises:
            PageError: the page is cut off, or a line is not in the text format.
        """
        lines = page.split(b"\n")
        if self._layout is not None:
            values = self._layout.read(lines)
            if values is not None:
                return self._ids, values
        if lines[-1]:
            raise _explained(
                PageError("the page was cut off: it does not end with a newline"), page
            )
        try:
            return self._learn(lines)
        except PageError as error:
            raise _explained(error, page) from error.__cause__

    def _learn(self, lines: list[bytes]) -> tuple[list[int], list[float]]:
        """Read a page line by line and remember its layout."""
        keys: dict[bytes, _Key] = {}
        layout = _Layout([], [], [], [], [], [])
        values: list[float] = []
        regular = True
        for index, line in enumerate(lines):
            if line[:1] == b"#" or not line.strip():
                layout.add_silent(index, line)
                continue
            before, _, text = line.rpartition(b" ")
            key = self._keys.get(before) or keys.get(before) or self._meet(before)
            value = None if key is None else key.value(text)
            if key is None or value is None:
                regular = False
                for wanted, number in self._ask(line, index + 1):
                    layout.ids.append(wanted)
                    values.append(number)
                continue
            keys[before] = key
            layout.add(index, key)
            if key.wanted is not None:
                values.append(value)
        # Only what this page holds is kept, so a source that renames its series cannot grow it.
        self._keys = keys
        if layout.ids != self._ids:
            self._ids = layout.ids
        self._layout = layout if regular else None
        return self._ids, values

    def _meet(self, before: bytes) -> _Key | None:
        """Understand the text before a value; None if that takes the whole line."""
        prefix = _shared(before + b" ")
        plain = _SERIES.fullmatch(before)
        if plain is not None:
            try:
                name, inside = plain[1].decode(), (plain[2] or b"").decode()
            except UnicodeDecodeError:
                return None
            pairs = _LABEL.findall(inside)
            labels = dict(pairs)
            if len(labels) == len(pairs):
                return _Key(self._resolve(name, labels), prefix, bare=not labels)
        # A value alone behind it settles whether it is a series and nothing but a series.
        try:
            found = _official(prefix + b"7")
        except ValueError:
            return None
        if len(found) != 1 or found[0][2:] != (7.0, False):
            return None
        return _Key(self._resolve(*found[0][:2]), prefix, bare=b"{" not in before)

    def _ask(self, line: bytes, number: int) -> list[tuple[int, float]]:
        """Have the official parser read one line."""
        try:
            found = _official(line)
        except ValueError as error:
            raise PageError(
                "expected `name{labels} value [timestamp]`", line=number, excerpt=line
            ) from error
        resolved = [(self._resolve(name, labels), value) for name, labels, value, _ in found]
        return [(wanted, value) for wanted, value in resolved if wanted is not None]


def _official(line: bytes) -> Sequence[tuple[str, Mapping[str, str], float, bool]]:
    """Return (name, labels, value, has timestamp) of the sample on a line, if there is one.

    Raises:
        ValueError: the line is not in the text format.
    """
    # Costs 14 MB, and is needed by no engine known today.
    from prometheus_client.parser import text_string_to_metric_families

    try:
        return [
            (sample.name, sample.labels, float(sample.value), sample.timestamp is not None)
            for family in text_string_to_metric_families(line.decode() + "\n")
            for sample in family.samples
        ]
    except (IndexError, OverflowError) as error:
        raise ValueError(str(error)) from error


def _explained(error: PageError, page: bytes) -> PageError:
    """Say what the page is instead, where that is plain to see."""
    start = page.lstrip()[:1]
    kind = ""
    if start == b"<":
        kind = "HTML or XML"
    elif start in (b"{", b"["):
        try:
            json.loads(page)
        except ValueError:
            return error
        kind = "JSON"
    if not kind:
        return error
    excerpt = page.lstrip().partition(b"\n")[0]
    return PageError(f"this is {kind}, not the Prometheus text format", line=1, excerpt=excerpt)
