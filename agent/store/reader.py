"""Reads a history file, whoever writes it: the agent itself, or a command beside it."""

import json
import sqlite3
import threading
from array import array
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.store.ahead import Ahead
from agent.store.chunk import GROUP
from agent.store.database import TROUBLE, HistoryError, file_identity, open_for_reading
from agent.store.five import Part
from agent.store.gather import Query, gather
from agent.store.identity import DAY
from agent.store.ring import MAX_TICKS
from agent.store.segment import WINDOW
from agent.store.series import Labels, Matcher, MatchOp, SeriesSamples, milliseconds, satisfies
from agent.store.stats import Measured, Stored, measured, stored
from agent.store.stretch import Groups, StoredStretch
from agent.store.target import Target

COARSE = 300.0
"""Seconds between the samples of the five-minute windows."""

_LATEST = 1e11  # beyond every clock; more does not fit into a column of SQLite


class HistoryReader:
    """Reads a history without changing it; may be used from several threads.

    Args:
        path: the database; it need not exist yet.
        target: labels that are attached to every series.
    """

    def __init__(self, path: Path, target: Target) -> None:
        self._path = path
        self._target = target
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._lasting = True
        self._times: dict[int, array[float]] = {}
        self._file: tuple[int, int] | None = None

    def select(
        self,
        matchers: Sequence[Matcher],
        start: float,
        end: float,
        *,
        resolution: float = 0.0,
        part: Part = Part.LAST,
        only: Collection[Labels] | None = None,
    ) -> list[SeriesSamples]:
        """Return the series that satisfy every matcher, with their samples in (start, end].

        Args:
            matchers: conditions, all of which must hold.
            start: Unix seconds, itself left out.
            end: Unix seconds, itself included.
            resolution: seconds between the samples that are wanted; from 300 on, the five-minute
                windows are read and nothing else.
            part: which of their numbers.
            only: leave out all other series.

        Raises:
            HistoryError: the file cannot be read.
        """
        query = Query(tuple(matchers), part if resolution >= COARSE else None)
        with self.reading():
            return gather(self.stretches(query, start, end, only=only), query, start, end)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep what is read in the block of one moment, and to one thread.

        Raises:
            HistoryError: the file cannot be read.
        """
        with self._lock:
            connection = self._open()
            try:
                connection.execute("BEGIN")
                try:
                    yield
                finally:
                    connection.execute("ROLLBACK")
                    if not self._lasting:
                        self._close()
            except TROUBLE as error:
                self._close()
                raise HistoryError(f"{self._path} cannot be read: {error}") from None

    def stretches(
        self,
        query: Query,
        start: float,
        end: float,
        *,
        leave_out: Collection[int] = (),
        only: Collection[Labels] | None = None,
    ) -> list[StoredStretch]:
        """Return the segments that overlap a span, oldest written first; only while `reading`.

        Those that ended just before it are among them: see `gather.bounds`.

        Args:
            query: what will be asked of them.
            start: Unix seconds, itself left out.
            end: Unix seconds, itself included.
            leave_out: numbers of segments that are not wanted.
            only: leave out all other series.
        """
        connection = self._open()
        rows = [
            row
            for row in connection.execute(
                "SELECT id, stream, first, last, ticks, times IS NOT NULL FROM segment "
                "WHERE last > ? AND first <= ? ORDER BY id",
                (milliseconds(start) - WINDOW, milliseconds(end)),
            )
            if row[0] not in leave_out and _sound(*row[2:5])
        ]
        if not rows:
            return []
        groups = self._groups(connection, query.matchers, only)
        numbers = [row[0] for row in rows]
        chunks = Ahead(connection, "chunk", numbers, len(groups))
        fives = Ahead(connection, "five", numbers, len(groups))
        return [
            StoredStretch(
                connection,
                groups,
                number=number,
                stream=stream,
                first=first,
                last=last,
                ticks=ticks,
                full=bool(full),
                known=self._times,
                chunks=chunks,
                fives=fives,
            )
            for number, stream, first, last, ticks, full in rows
        ]

    def _groups(
        self,
        connection: sqlite3.Connection,
        matchers: Sequence[Matcher],
        only: Collection[Labels] | None = None,
        *,
        day: int = 0,
    ) -> Groups:
        """Return the series that satisfy every matcher and were seen on a day or later.

        They are sorted into groups, each with its place there.
        """
        names = [m.value for m in matchers if m.name == "__name__" and m.op is MatchOp.EQUAL]
        where = ("AND name = ?", names[:1]) if names else ("", [])
        groups: Groups = {}
        for row, name, pairs in connection.execute(
            f"SELECT id, name, labels FROM series WHERE day >= ? {where[0]} ORDER BY id",  # noqa: S608 - own text
            [day, *where[1]],
        ).fetchall():
            own = _pairs(pairs)
            if own is None:
                continue
            labels = self._target.attach(name, own)
            if satisfies(labels, matchers) and (only is None or labels in only):
                group, place = divmod(row, GROUP)
                groups.setdefault(group, []).append((place, labels))
        return groups

    def series(self, matchers: Sequence[Matcher], *, since: float = 0.0) -> list[Labels]:
        """Return the labels of the series that satisfy every matcher, sorted.

        Args:
            matchers: conditions, all of which must hold.
            since: Unix seconds; series that were not seen on that day or later are left out.

        Raises:
            HistoryError: the file cannot be read.
        """
        day = int(max(0.0, min(since, _LATEST)) * 1000) // DAY
        with self.reading():
            groups = self._groups(self._open(), matchers, day=day)
        return sorted(labels for places in groups.values() for _place, labels in places)

    def stored(self) -> Stored:
        """Return what there is.

        Raises:
            HistoryError: the file cannot be read.
        """
        with self.reading():
            return stored(self._open())

    def measure(self) -> Measured:
        """Return what there is and how much it weighs.

        Raises:
            HistoryError: the file cannot be read.
        """
        with self.reading():
            return measured(self._open())

    def _open(self) -> sqlite3.Connection:
        """Return the connection, another one if the file is another."""
        try:
            identity = file_identity(self._path)
        except OSError as error:
            raise HistoryError(f"{self._path}: cannot be read: {error.strerror}") from error
        if self._connection is not None and identity != self._file:
            self._close()
        if self._connection is None:
            self._connection, self._lasting = open_for_reading(self._path)
            self._file = identity
        return self._connection

    def _close(self) -> None:
        """Let go of the file."""
        connection, self._connection = self._connection, None
        self._times.clear()
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Let go of the file; safe to call twice, and it is opened again when it is needed."""
        with self._lock:
            self._close()


def _sound(first: object, last: object, ticks: object) -> bool:
    """Return whether a segment can be what was written; in a damaged file anything may stand."""
    return (
        isinstance(first, int)
        and isinstance(last, int)
        and isinstance(ticks, int)
        and first <= last
        and 0 < ticks <= MAX_TICKS
    )


def _pairs(text: object) -> list[tuple[str, str]] | None:
    """Return the labels that a row of `series` has, None for what is damaged."""
    try:
        found = json.loads(text) if isinstance(text, str) else None
        pairs = [(name, value) for name, value in found or ()]
    except (ValueError, TypeError):
        return None
    sound = all(isinstance(part, str) for pair in pairs for part in pair)
    return pairs if sound and found is not None else None
