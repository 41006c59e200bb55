"""Joins stretches of samples, from memory and from disk, into whole series."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.store.five import Part
from agent.store.segment import WINDOW
from agent.store.series import Labels, Matcher, SeriesSamples, milliseconds
from agent.store.spans import visible


@dataclass(frozen=True, slots=True)
class Query:
    """What is wanted.

    Attributes:
        matchers: all of which must hold.
        part: which number of each five-minute window; None for every sample there is.
    """

    matchers: tuple[Matcher, ...]
    part: Part | None = None


class Found(Protocol):
    """Samples of one series: labels, times in seconds, values."""

    def __call__(self, labels: Labels, times: "array[float]", values: "array[float]") -> None:
        """Take them."""
        ...


class Stretch(Protocol):
    """A segment, wherever it is."""

    @property
    def stream(self) -> str:
        """Name of its stream."""
        ...

    @property
    def first(self) -> int:
        """Time of its first tick in milliseconds."""
        ...

    @property
    def last(self) -> int:
        """Time of its last tick in milliseconds."""
        ...

    def samples(self, query: Query, first: int, last: int, found: Found) -> None:
        """Hand over what the query wants of the ticks from `first` to `last`, both included."""
        ...


class Joined:
    """Series that grow from samples given in the order of time."""

    def __init__(self) -> None:
        self._parts: dict[Labels, list[tuple[array[float], array[float]]]] = {}

    def add(self, labels: Labels, times: "array[float]", values: "array[float]") -> None:
        """Append samples; what a series has at or after the first of them gives way."""
        if not times:
            return
        parts = self._parts.setdefault(labels, [])
        while parts and parts[-1][0][-1] >= times[0]:
            # Only at the seam between a five-minute window and what follows it.
            before_times, before_values = parts.pop()
            kept = bisect_left(before_times, times[0])
            if kept:
                parts.append((before_times[:kept], before_values[:kept]))
        parts.append((times, values))

    def series(self) -> list[SeriesSamples]:
        """Return the series; those with the same ticks share their times."""
        times: dict[tuple[int, ...], array[float]] = {}
        joined: list[SeriesSamples] = []
        for labels, parts in self._parts.items():
            ticks = tuple(id(part) for part, _values in parts)
            shared = times.get(ticks)
            if shared is None:
                shared = times[ticks] = _concatenated([part for part, _values in parts])
            values = _concatenated([part for _times, part in parts])
            joined.append(SeriesSamples(labels, shared, values))
        return joined


def _concatenated(parts: Sequence["array[float]"]) -> "array[float]":
    """Return one array of several."""
    if len(parts) == 1:
        return parts[0]
    whole = array("d")
    whole.frombytes(b"".join(parts))
    return whole


def gather(
    stretches: Iterable[Stretch], query: Query, start: float, end: float
) -> list[SeriesSamples]:
    """Return the series that a query finds in these stretches.

    Args:
        stretches: in the order of writing.
        query: what is wanted.
        start: Unix seconds, itself left out.
        end: Unix seconds, itself included.
    """
    streams: dict[str, list[Stretch]] = {}
    for stretch in stretches:
        streams.setdefault(stretch.stream, []).append(stretch)
    joined = Joined()
    for ordered in streams.values():
        for piece in visible(bounds(ordered), milliseconds(start) + 1, milliseconds(end)):
            ordered[piece.stretch].samples(query, piece.first, piece.last, joined.add)
    return joined.series()


def bounds(ordered: Sequence[Stretch]) -> list[tuple[int, int]]:
    """Return the time that each stretch covers, in milliseconds.

    It begins where the stretch before ended if that was just before: between two ticks there is
    nothing, also where a clock that went back had written something.
    """
    covered: list[tuple[int, int]] = []
    before: Stretch | None = None
    for stretch in ordered:
        first = stretch.first
        if before is not None and 0 < first - before.last <= WINDOW:
            first = before.last + 1
        covered.append((first, stretch.last))
        before = stretch
    return covered
