"""What the history gives and what it is asked for: labels, matchers, samples, a source of them.

The lowest layer of the store; everything that queries history shares these names.
"""

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, Protocol, TypeAlias

from agent.store.regex import compile_re2

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Label pairs sorted by name, `__name__` included; a label without a value is left out."""

_STALE_BITS: Final = 0x7FF0000000000002

STALE: Final[float] = struct.unpack("<d", struct.pack("<Q", _STALE_BITS))[0]
"""The value that ends a series: Prometheus's own staleness marker, a NaN of its own bits."""


def is_stale(value: float) -> bool:
    """Return whether a value is the staleness marker and not some other NaN."""
    # Most values equal themselves: the bits are looked at only for a NaN.
    return math.isnan(value) and struct.pack("<d", value) == _STALE_BYTES


_STALE_BYTES: Final = struct.pack("<Q", _STALE_BITS)


def milliseconds(time: float) -> int:
    """Return a time in Unix seconds as the integer milliseconds in which Prometheus compares."""
    return round(time * 1000.0)


def after(moment: int) -> float:
    """Return the seconds that separate samples at or before a millisecond from later ones."""
    return (moment + 0.5) / 1000.0


class MatchOp(StrEnum):
    """How a matcher compares a label with its value."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@lru_cache(maxsize=1024)
def _pattern(expression: str) -> re.Pattern[str]:
    """Compile a pattern once, however many selectors hold it."""
    return compile_re2(expression)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label; a label that a series lacks has the empty value.

    Attributes:
        name: the label, `__name__` for the name of the metric.
        op: how it is compared.
        value: what it is compared with; for the regular expressions, anchored at both ends.

    Raises:
        re.error: the value is not a regular expression.
    """

    name: str
    op: MatchOp
    value: str
    _compiled: re.Pattern[str] | None = field(init=False, repr=False, compare=False, default=None)
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        """Compile the pattern once, so that a wrong one is refused where it is written."""
        if self.op in {MatchOp.REGEX, MatchOp.NOT_REGEX}:
            object.__setattr__(self, "_compiled", _pattern(self.value))
        object.__setattr__(self, "_hash", hash((self.name, self.op, self.value)))

    def __hash__(self) -> int:
        """Return the same each time without reckoning: matchers are keys of many tables."""
        return self._hash

    def matches(self, value: str) -> bool:
        """Return whether a label of this value satisfies the condition."""
        if self._compiled is None:
            return (value == self.value) is (self.op is MatchOp.EQUAL)
        found = self._compiled.fullmatch(value) is not None
        return found is (self.op is MatchOp.REGEX)


def plain_name(matchers: Sequence[Matcher]) -> str | None:
    """Return the name of the metric that a selector begins with, None where it names none."""
    if matchers and matchers[0].name == "__name__" and matchers[0].op is MatchOp.EQUAL:
        return matchers[0].value
    return None


@dataclass(frozen=True, slots=True)
class SeriesSamples:
    """The samples of one series.

    Attributes:
        labels: what identifies the series.
        times: Unix seconds, ascending, no two equal in milliseconds.
        values: one for each time; where the series ended, the `STALE` marker.
    """

    labels: Labels
    times: Sequence[float]
    values: Sequence[float]


class Source(Protocol):
    """Where samples come from; it is asked once for each selector of an expression."""

    def select(
        self, matchers: Sequence[Matcher], start: float, end: float
    ) -> Sequence[SeriesSamples]:
        """Return the series that satisfy every matcher, with their samples.

        Args:
            matchers: conditions, all of which must hold.
            start: Unix seconds, itself left out.
            end: Unix seconds, itself included; both compare in milliseconds.
        """
        ...


def satisfies(labels: Labels, matchers: Sequence[Matcher]) -> bool:
    """Return whether these labels satisfy every matcher."""
    if not matchers:
        return True
    found = dict(labels)
    return all(matcher.matches(found.get(matcher.name, "")) for matcher in matchers)
