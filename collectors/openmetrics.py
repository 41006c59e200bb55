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
from dataclasses import dataclass, field
from sys import intern
from typing import Final

from agent.model import SourceError
from agent.picking import picker

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

MAX_LINES: Final = 20_000
"""Lines that a page may have; vLLM's has some 250, and 370 more for each data-parallel rank."""

MAX_ODD_LINES: Final = 1000
"""Lines of a page that may go to the official parser, which takes 25 µs and more for each."""

MAX_ODD_BYTES: Final = 1 << 17
"""What these may have together: the parser is slower still for the same bytes in fewer lines."""


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
    """The lines of a page.

    Attributes:
        silent: comments and empty lines, by index.
        unwanted: by index, how the line of a series begins that nobody asked for.
        wanted: by index, how the line of one begins that somebody did, up to its value.
        bare: indexes of unwanted series without labels; a brace there would mean another series.
        ids: for each wanted line, what `resolve` said.
    """

    silent: dict[int, bytes] = field(default_factory=dict)
    unwanted: dict[int, bytes] = field(default_factory=dict)
    wanted: dict[int, bytes] = field(default_factory=dict)
    bare: list[int] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)

    def add(self, index: int, key: _Key) -> None:
        """Note a line with a series."""
        if key.wanted is not None:
            self.wanted[index] = key.prefix
            self.ids.append(key.wanted)
            return
        self.unwanted[index] = key.prefix
        if key.bare:
            self.bare.append(index)


class _Reader:
    """Recognises the pages of one layout and reads their wanted values."""

    def __init__(self, layout: _Layout) -> None:
        self._silent = tuple(layout.silent.values())
        self._unwanted = tuple(layout.unwanted.values())
        self._wanted = tuple(layout.wanted.values())
        self._pick_silent = picker(list(layout.silent))
        self._pick_unwanted = picker(list(layout.unwanted))
        self._pick_wanted = picker(list(layout.wanted))
        self._count = len(self._silent) + len(self._unwanted) + len(self._wanted)
        self._size = sum(map(len, self._wanted))
        self._bare = layout.bare

    def read(self, lines: list[bytes]) -> list[float] | None:  # noqa: PLR0911 - one for each way to differ
        """Return the values of a page with this layout, or None if it has another."""
        if len(lines) != self._count or self._pick_silent(lines) != self._silent:
            return None
        if not all(map(bytes.startswith, self._pick_unwanted(lines), self._unwanted)):
            return None
        if any(b"{" in lines[index] for index in self._bare):
            return None
        wanted = self._pick_wanted(lines)
        texts = list(map(bytes.removeprefix, wanted, self._wanted))
        together = b"".join(texts)
        # A line that begins in another way keeps its beginning, and all are longer by that.
        if len(together) + self._size != sum(map(len, wanted)):
            return None
        # float() takes 1_000, the format does not.
        if b"_" in together:
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
        self._reader: _Reader | None = None
        self._keys: dict[bytes, _Key] = {}
        self._ids: list[int] = []
        self._odd: set[int] = set()
        self._odd_bytes = 0

    def scan(self, page: bytes) -> tuple[list[int], list[float]]:
        """Return what `resolve` said and the value, for each wanted sample, in page order.

        A series that stands on the page twice is returned twice, like the official parser does.
        The first list is the same object as at the last call while its content is the same. An
        empty page has no samples; that is not an error here.

        Raises:
            PageError: the page is cut off, a line is not in the text format, there are too many
                lines, or too many that only the official parser understands.
        """
        lines = page.split(b"\n", MAX_LINES + 1)
        if self._reader is not None:
            values = self._reader.read(lines)
            if values is not None:
                return self._ids, values
        if len(lines) > MAX_LINES + 1:
            raise PageError(f"the page has more than {MAX_LINES} lines")
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
        layout = _Layout()
        values: list[float] = []
        regular = True
        self._odd = set()
        self._odd_bytes = 0
        for index, line in enumerate(lines):
            if line[:1] == b"#" or not line.strip():
                layout.silent[index] = _shared(line)
                continue
            before, _, text = line.rpartition(b" ")
            key = self._keys.get(before) or keys.get(before)
            if key is None:
                try:
                    key = self._meet(before, index)
                except PageError:
                    # The next look need not understand what this one did, and gets further.
                    self._keys = keys
                    raise
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
        self._reader = _Reader(layout) if regular else None
        return self._ids, values

    def _meet(self, before: bytes, index: int) -> _Key | None:
        """Understand the text before a value; None if that takes the whole line.

        Raises:
            PageError: there are too many lines like this.
        """
        prefix = _shared(before + b" ")
        plain = _SERIES.fullmatch(before)
        if plain is not None:
            try:
                name, inside = plain[1].decode(), (plain[2] or b"").decode()
            except UnicodeDecodeError:
                return None
            pairs = [(intern(label), intern(value)) for label, value in _LABEL.findall(inside)]
            labels = dict(pairs)
            if len(labels) == len(pairs):
                return _Key(self._resolve(name, labels), prefix, bare=not labels)
        self._count_odd(before, index)
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
        self._count_odd(line, number - 1)
        try:
            found = _official(line)
        except ValueError as error:
            raise PageError(
                "expected `name{labels} value [timestamp]`", line=number, excerpt=line
            ) from error
        resolved = [(self._resolve(name, labels), value) for name, labels, value, _ in found]
        return [(wanted, value) for wanted, value in resolved if wanted is not None]

    def _count_odd(self, text: bytes, index: int) -> None:
        """Take note of a line for the official parser.

        Raises:
            PageError: it would have to read more of the page than there is time for.
        """
        if index in self._odd:
            return
        self._odd.add(index)
        self._odd_bytes += len(text)
        if len(self._odd) > MAX_ODD_LINES:
            limit = f"{MAX_ODD_LINES} lines"
        elif self._odd_bytes > MAX_ODD_BYTES:
            limit = f"{MAX_ODD_BYTES} bytes"
        else:
            return
        raise PageError(
            f"the page has more than {limit} of an unusual form (escapes, timestamps, spaces)",
            line=index + 1,
            excerpt=text,
        )


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
