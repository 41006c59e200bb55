"""Writing one segment, some series at a time, so that no tick waits for the rest."""

import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.model import History, Series, SeriesTable
from agent.store import chunk, five
from agent.store.codec import encode
from agent.store.database import transaction
from agent.store.identity import Identities, key
from agent.store.segment import Column, Segment

BATCH: Final = 16
"""Groups in a transaction: enough to be worth one, little enough to lose."""

_TOGETHER: Final = 8
"""Groups whose columns are taken out of the rows at once: a row is far from the next in memory."""


def kept_as(series: Series, keep_full: Collection[str]) -> History:
    """Return how a series is kept: as its metric says, or in full where rules name it.

    Args:
        series: any.
        keep_full: names of metrics or of their samples.
    """
    if series.metric.name in keep_full or series.sample_name in keep_full:
        return History.FULL
    return series.metric.history


@dataclass(slots=True)
class _Rows:
    """What waits for the next transaction."""

    chunks: list[tuple[int, bytes]] = field(default_factory=list)
    fives: list[tuple[int, bytes]] = field(default_factory=list)
    groups: int = 0
    samples: int = 0


class Job:
    """Writes one segment.

    Args:
        segment: complete, so nobody changes it any more.
        table: explains its series.
        identities: their rows in the database.
        keep_full: see `kept_as`.
    """

    def __init__(
        self,
        segment: Segment,
        *,
        table: SeriesTable,
        identities: Identities,
        keep_full: Collection[str],
    ) -> None:
        self.segment = segment
        self._table = table
        self._identities = identities
        self._keep_full = keep_full
        self._groups: list[tuple[int, dict[int, int]]] | None = None
        self._full: set[int] = set()
        self._next = 0
        self._columns: dict[int, Column] = {}
        self._rows = _Rows()

    @property
    def groups(self) -> int:
        """How many groups the segment has; an estimate before it is begun."""
        if self._groups is None:
            return len(self.segment.series()) // chunk.GROUP + 1
        return len(self._groups)

    def reset(self) -> None:
        """Begin anew, in another database."""
        self.segment.number = None
        self._groups = None
        self._next = 0
        self._rows = _Rows()

    def step(self, connection: sqlite3.Connection, trim: Callable[[], None]) -> int | None:
        """Prepare the next group; write when there are enough of them.

        Args:
            connection: the database, in no transaction.
            trim: called in each transaction, to make room.

        Returns:
            Samples that were written in full by a transaction of this step; None once the segment
            is written completely.

        Raises:
            sqlite3.Error: nothing of this step was written, or the transaction before it was
                and the step can be taken again.
        """
        if self._groups is None:
            self._begin(connection)
            return 0
        if self._next >= len(self._groups) and not self._rows.groups:
            return None
        if self._next < len(self._groups) and self._rows.groups < BATCH:
            if self._next % _TOGETHER == 0:
                some = self._groups[self._next : self._next + _TOGETHER]
                ids = [one for _group, places in some for one in places.values()]
                self._columns = self.segment.columns(ids, 0, len(self.segment.times))
            self._prepare(*self._groups[self._next])
            self._next += 1
        if self._rows.groups < BATCH and self._next < len(self._groups):
            return 0
        return self._write(connection, trim)

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Write the segment itself and give its series their rows."""
        segment = self.segment
        kept = {i: kept_as(self._table[i], self._keep_full) for i in segment.series()}
        with transaction(connection):
            groups = self._identities.group(
                connection, (i for i, how in kept.items() if how is not History.NONE), segment.last
            )
            (times,) = encode([segment.times])
            number = connection.execute(
                "INSERT INTO segment (stream, first, last, ticks, times) VALUES (?, ?, ?, ?, ?)",
                (segment.stream, segment.first, segment.last, len(segment.times), times),
            ).lastrowid
        self._full = {i for i, how in kept.items() if how is History.FULL}
        self._groups = list(groups.items())
        segment.number = number

    def _prepare(self, group: int, places: dict[int, int]) -> None:
        """Make the rows of a group."""
        segment, rows, columns = self.segment, self._rows, self._columns
        ticks = len(segment.times)
        full = {p: columns[i] for p, i in places.items() if i in self._full and i in columns}
        there = {place: columns[i].values for place, i in places.items() if i in columns}
        said = zip(there, five.summarise(list(there.values())), strict=True)
        summaries = {place: summary for place, summary in said if summary is not None}
        row = key(segment.number or 0, group)
        if full:
            rows.chunks.append((row, chunk.pack(full, ticks)))
        if summaries:
            rows.fives.append((row, five.pack(summaries)))
        rows.groups += 1
        rows.samples += sum(len(column.values) for column in full.values())

    def _write(self, connection: sqlite3.Connection, trim: Callable[[], None]) -> int:
        """Write what is prepared, in one transaction."""
        rows = self._rows
        with transaction(connection):
            trim()
            _insert(connection, "chunk", rows.chunks)
            _insert(connection, "five", rows.fives)
        self._rows = _Rows()
        return rows.samples


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[tuple[int, bytes]]) -> None:
    """Insert rows; those that are there come of a transaction that only seemed to fail."""
    connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", rows)  # noqa: S608 - own names
