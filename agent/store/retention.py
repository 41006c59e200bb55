"""What is forgotten, and when: by age and by size, whichever comes first.

The oldest goes first. Where the size is too large, full resolution goes down to one day before
any five-minute window goes. Two segments at most go with each batch that is written, so that
making room is as spread out as writing.
"""

import sqlite3
from typing import Final

from agent.store.identity import DAY, key

_HOUR: Final = 3_600_000
_AT_ONCE: Final = 2
_SPARE_PAGES: Final = 4096
_PAGES_AT_ONCE: Final = 256


class Retention:
    """Deletes what is too old or too much.

    Args:
        full_age: milliseconds that full resolution is kept.
        five_age: milliseconds that five-minute windows are kept.
        max_size: bytes of the database.
    """

    def __init__(self, *, full_age: int, five_age: int, max_size: int) -> None:
        self._full_age = full_age
        self._five_age = five_age
        self._max_size = max_size
        self._now: int | None = None
        self._held: tuple[int, int] | None = None
        self._day: int | None = None

    def trim(self, connection: sqlite3.Connection, now: int) -> None:
        """Delete a little of what must go.

        Args:
            connection: the database, in a transaction.
            now: time of what is being written, in milliseconds.
        """
        if not self._hold(connection, now):
            self._by_age(connection, now)
        self._by_size(connection, now)
        self._forget_series(connection, now)

    def _hold(self, connection: sqlite3.Connection, now: int) -> bool:
        """Return whether age says nothing for now.

        After more than an hour without a sample the clock may have jumped forward; what seems too
        old gets an hour of grace, in which somebody may put the clock right.
        """
        before = self._now
        if before is None:
            before = connection.execute(
                "SELECT max(last) FROM segment WHERE last < ?", (now,)
            ).fetchone()[0]
        self._now = now
        if before is not None and now - before > _HOUR:
            self._held = (now, now + _HOUR)
        if self._held is not None and not self._held[0] <= now < self._held[1]:
            self._held = None
        return self._held is not None

    def _by_age(self, connection: sqlite3.Connection, now: int) -> None:
        """Delete what is too old."""
        for (segment,) in connection.execute(
            "SELECT id FROM segment WHERE times IS NOT NULL AND last < ? ORDER BY last LIMIT ?",
            (now - self._full_age, _AT_ONCE),
        ).fetchall():
            _forget_full(connection, segment)
        for (segment,) in connection.execute(
            "SELECT id FROM segment WHERE last < ? ORDER BY last LIMIT ?",
            (now - self._five_age, _AT_ONCE),
        ).fetchall():
            _forget(connection, segment)

    def _by_size(self, connection: sqlite3.Connection, now: int) -> None:
        """Delete the oldest while the database is too large, and give free pages back."""
        ((pages,),) = connection.execute("PRAGMA page_count")
        ((free,),) = connection.execute("PRAGMA freelist_count")
        ((page,),) = connection.execute("PRAGMA page_size")
        if (pages - free) * page > self._max_size:
            # In the order of writing: what a clock of the wrong year wrote is not the youngest.
            full = connection.execute(
                "SELECT id, last FROM segment WHERE times IS NOT NULL "
                "AND id < (SELECT max(id) FROM segment) ORDER BY id LIMIT ?",
                (_AT_ONCE,),
            ).fetchall()
            any_left = connection.execute(
                "SELECT id FROM segment WHERE times IS NULL ORDER BY id LIMIT ?", (_AT_ONCE,)
            ).fetchall()
            if any(abs(now - last) > DAY for _segment, last in full) or not any_left:
                for segment, _last in full:
                    _forget_full(connection, segment)
            else:
                for (segment,) in any_left:
                    _forget(connection, segment)
        if free > _SPARE_PAGES and free > pages // 8:
            connection.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()

    def _forget_series(self, connection: sqlite3.Connection, now: int) -> None:
        """Once a day, delete the series of which nothing is left."""
        day = now // DAY
        if day == self._day:
            return
        self._day = day
        connection.execute(
            "DELETE FROM series WHERE day < (SELECT min(first) FROM segment) / ? - 1", (DAY,)
        )


def _forget_full(connection: sqlite3.Connection, segment: int) -> None:
    """Delete what a segment has at full resolution."""
    bounds = (key(segment, 0), key(segment + 1, 0))
    connection.execute("DELETE FROM chunk WHERE id >= ? AND id < ?", bounds)
    connection.execute("UPDATE segment SET times = NULL WHERE id = ?", (segment,))


def _forget(connection: sqlite3.Connection, segment: int) -> None:
    """Delete a segment."""
    bounds = (key(segment, 0), key(segment + 1, 0))
    connection.execute("DELETE FROM chunk WHERE id >= ? AND id < ?", bounds)
    connection.execute("DELETE FROM five WHERE id >= ? AND id < ?", bounds)
    connection.execute("DELETE FROM segment WHERE id = ?", (segment,))
