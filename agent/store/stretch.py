"""Queries on one segment of the database."""

import sqlite3
from array import array
from bisect import bisect_left, bisect_right
from typing import Final, TypeAlias

from agent.store import chunk, five
from agent.store.ahead import Ahead
from agent.store.codec import DamagedError, decode
from agent.store.five import Part
from agent.store.gather import Found, Query
from agent.store.segment import WINDOW, Column
from agent.store.series import Labels, milliseconds

Groups: TypeAlias = dict[int, list[tuple[int, Labels]]]
"""The series of a query: by group, their places in it and their labels."""

_KNOWN: Final = 600  # segments whose times are kept for the next query: two days, 1.4 MB


class StoredStretch:
    """A segment in the database; what is damaged in it is passed over."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        groups: Groups,
        *,
        number: int,
        stream: str,
        first: int,
        last: int,
        ticks: int,
        full: bool,
        known: "dict[int, array[float]]",
        chunks: Ahead,
        fives: Ahead,
    ) -> None:
        self.number = number
        self.stream = stream
        self.first = first
        self.last = last
        self._connection = connection
        self._groups = groups
        self._ticks = ticks
        self._full = full
        self._known = known
        self._chunks = chunks
        self._fives = fives

    def samples(self, query: Query, first: int, last: int, found: Found) -> None:
        """Hand over what the query wants of the ticks from `first` to `last`, both included."""
        part = Part.LAST if query.part is None else query.part
        whole = first <= self.first and last >= self.last
        take = found if whole else _cut(first, last, found)
        times = self._times() if self._full and query.part is None else None
        for group, places in self._groups.items():
            missing = places
            if times is not None:
                missing = self._chunk(group, places, times, take)
            if missing and last >= self.last:
                self._five(group, missing, part, found)

    def _times(self) -> "array[float] | None":
        """Return the time of each tick, None where that cannot be read."""
        times = self._known.get(self.number)
        if times is None:
            row = self._connection.execute(
                "SELECT times FROM segment WHERE id = ?", (self.number,)
            ).fetchone()
            try:
                times = decode(row[0], self._ticks)
            except DamagedError:
                return None
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[self.number] = times
        return times

    def _chunk(
        self, group: int, places: list[tuple[int, Labels]], times: "array[float]", found: Found
    ) -> list[tuple[int, Labels]]:
        """Hand over what a group has at full resolution; return the series it does not have."""
        blob = self._chunks.take(self.number, group)
        if blob is None:
            return places
        missing: list[tuple[int, Labels]] = []
        shared: dict[tuple[tuple[int, int], ...], array[float]] = {}
        for place, labels in places:
            column = _column(blob, place, self._ticks)
            if column is None:
                missing.append((place, labels))
                continue
            runs = tuple(column.runs)
            ticks = shared.get(runs)
            if ticks is None:
                ticks = shared[runs] = column.times(times)
            found(labels, ticks, column.values)
        return missing

    def _five(self, group: int, places: list[tuple[int, Labels]], part: Part, found: Found) -> None:
        """Hand over one number of a group's summaries."""
        blob = self._fives.take(self.number, group)
        if blob is None:
            return
        try:
            summaries = five.unpack(blob)
        except DamagedError:
            return
        stamp = array("d", [self._stamp() / 1000])
        for place, labels in places:
            summary = summaries.get(place)
            if summary is not None:
                found(labels, stamp, array("d", [summary.parts[part]]))

    def _stamp(self) -> int:
        """Return the time at which the summary of this segment stands, in milliseconds.

        That of its last tick. Where the window was seen to its end, the end of the window: then
        the summaries are 300 s apart to the millisecond, and a look back of five minutes always
        finds one.
        """
        end = (self.first // WINDOW + 1) * WINDOW
        spacing = (self.last - self.first) / (self._ticks - 1) if self._ticks > 1 else 0.0
        return end if end - self.last <= 2 * spacing else self.last


def _column(blob: bytes, place: int, ticks: int) -> Column | None:
    """Return a column of a chunk, None where it is not there or damaged."""
    try:
        return chunk.unpack(blob, place, ticks)
    except DamagedError:
        return None


def _cut(first: int, last: int, found: Found) -> Found:
    """Return what hands over only the samples from `first` to `last`."""

    def take(labels: Labels, times: "array[float]", values: "array[float]") -> None:
        low = bisect_left(times, first, key=milliseconds)
        high = bisect_right(times, last, key=milliseconds)
        if low < high:
            found(labels, times[low:high], values[low:high])

    return take
