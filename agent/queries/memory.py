"""The agent's memory as the process sees it that answers queries: asked for, piece by piece."""

import json
import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from agent.framing import frame
from agent.queries import wire
from agent.store.gather import Found, Query
from agent.store.lending import Block
from agent.store.segment import Column
from agent.store.series import Labels, Matcher, is_stale, plain_name, satisfies
from agent.store.target import Target

Ask: TypeAlias = Callable[[bytes], Iterator[tuple[int, bytes]]]
"""Sends a frame to the agent and yields kind and body of those that answer it, without the end."""

_REMEMBERED: Final = 256  # selections of labels, as the pieces of a long query repeat them


class Known:
    """The labels of the series that the agent told of, kept from query to query.

    Args:
        target: labels that are attached to every series.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._labels: dict[int, Labels] = {}
        self._named: dict[str, dict[int, Labels]] = {}
        self._chosen: dict[tuple[Matcher, ...], dict[int, Labels]] = {}

    def add(self, number: int, name: str, pairs: Sequence[tuple[str, str]]) -> None:
        """Take note of a series."""
        labels = self._target.attach(name, pairs)
        self._labels[number] = labels
        self._named.setdefault(name, {})[number] = labels

    def settle(self, live: "array[int]") -> None:
        """Forget all series but these, and what was found before."""
        self._chosen.clear()
        for number in self._labels.keys() - set(live):
            name = dict(self._labels.pop(number))["__name__"]
            del self._named[name][number]
            if not self._named[name]:
                del self._named[name]

    def labels(self, number: int) -> Labels | None:
        """Return the labels of a series, None for one that nobody told of."""
        return self._labels.get(number)

    def matching(self, matchers: tuple[Matcher, ...]) -> dict[int, Labels]:
        """Return the series that satisfy every matcher."""
        found = self._chosen.get(matchers)
        if found is None:
            if len(self._chosen) >= _REMEMBERED:
                self._chosen.clear()
            name = plain_name(matchers)
            among = self._labels if name is None else self._named.get(name, {})
            found = self._chosen[matchers] = {
                number: labels for number, labels in among.items() if satisfies(labels, matchers)
            }
        return found


class LentStretch:
    """A segment in the agent's memory."""

    def __init__(
        self, place: int, told: tuple[str, int, int, int | None], *, known: Known, ask: Ask
    ) -> None:
        self.stream, self.first, self.last, self.number = told
        self._place = place
        self._known = known
        self._ask = ask

    def samples(self, query: Query, first: int, last: int, found: Found) -> None:
        """Hand over what the query wants of the ticks from `first` to `last`, both included."""
        shared: dict[tuple[tuple[int, int], ...], array[float]] = {}
        ticks, columns = self._read(query.matchers, first, last, newest=False)
        for labels, column in columns:
            runs = tuple(column.runs)
            times = shared.get(runs)
            if times is None:
                times = shared[runs] = column.times(ticks)
            found(labels, times, column.values)

    def newest(
        self, matchers: tuple[Matcher, ...], first: int, last: int
    ) -> tuple[float, list[tuple[Labels, float]]] | None:
        """Return time and values of the newest tick from `first` to `last`, if there is one.

        Only for a segment of rows: there, what the newest row lacks has ended.
        """
        ticks, columns = self._read(matchers, first, last, newest=True)
        values = [(labels, column.values[-1]) for labels, column in columns]
        found = [(labels, value) for labels, value in values if not is_stale(value)]
        return (ticks[-1], found) if ticks else None

    def _read(
        self, matchers: tuple[Matcher, ...], first: int, last: int, *, newest: bool
    ) -> tuple["array[float]", list[tuple[Labels, Column]]]:
        """Return the times of some ticks, and the columns of the series."""
        chosen = self._known.matching(matchers)
        wanted = wire.Wanted(self._place, first, last, newest, array("i", chosen))
        answer = self._ask(wire.read_frame(wanted))
        ticks = array("d")
        ticks.frombytes(next(answer)[1])
        found: dict[int, Column] = {}
        for kind, body in answer:
            if kind == wire.BLOCK:
                _add(found, wire.block_of(body))
            else:
                found.update(wire.columns_of(body))
        return ticks, [(chosen[number], column) for number, column in found.items()]

    def present(self) -> Iterator[Labels]:
        """Yield the labels of every series that has samples here."""
        body = self._place.to_bytes(4, "little")
        for _kind, answer in self._ask(frame(wire.PRESENT, body)):
            for number in wire.numbers(answer):
                labels = self._known.labels(number)
                if labels is not None:
                    yield labels


def _add(found: dict[int, Column], block: Block) -> None:
    """Append a block to the columns of its series."""
    for number, values in zip(block.ids, block.values, strict=True):
        column = found.get(number)
        if column is None:
            column = found[number] = Column([], array("d"))
        column.add(block.tick, array("d", values.tobytes()))


@dataclass(frozen=True, slots=True)
class Memory:
    """What the agent lent for one query.

    Attributes:
        stretches: its segments, in the order of writing.
        since: milliseconds; they have all there is after it.
        stored: what is older may be read from the file.
    """

    stretches: Sequence[LentStretch]
    since: float
    stored: bool


NOTHING: Final = Memory((), math.inf, stored=True)
"""What is lent where there is no agent."""


def borrow(ask: Ask, known: Known) -> Memory:
    """Ask the agent what it has, and learn of the series that are new."""
    memory = NOTHING
    live = array("i")
    for kind, body in ask(frame(wire.LEND)):
        if kind == wire.LIVE:
            live = wire.numbers(body)
            continue
        told = json.loads(body)
        if kind == wire.SERIES:
            for number, name, pairs in told:
                known.add(number, name, [(key, value) for key, value in pairs])
            continue
        stretches = [
            LentStretch(place, segment, known=known, ask=ask)
            for place, segment in enumerate(told["segments"])
        ]
        memory = Memory(stretches, told["since"], stored=told["stored"])
    known.settle(live)
    return memory
