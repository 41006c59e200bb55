"""What the history says of itself."""

import sqlite3
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Stored:
    """What is in the database.

    Attributes:
        series: rows in `series`.
        size: bytes of the database that are in use.
        full: first and last moment at full resolution, in milliseconds; None for nothing.
        five: first and last moment of the five-minute windows; None for nothing.
    """

    series: int = 0
    size: int = 0
    full: tuple[int, int] | None = None
    five: tuple[int, int] | None = None


def stored(connection: sqlite3.Connection) -> Stored:
    """Return what is in a database; costs little however large it is.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    ((pages,),) = connection.execute("PRAGMA page_count")
    ((free,),) = connection.execute("PRAGMA freelist_count")
    ((page,),) = connection.execute("PRAGMA page_size")
    ((series,),) = connection.execute("SELECT count(*) FROM series")
    return Stored(
        series=series,
        size=(pages - free) * page,
        full=_span(connection, "WHERE times IS NOT NULL"),
        five=_span(connection, ""),
    )


def _span(connection: sqlite3.Connection, where: str) -> tuple[int, int] | None:
    """Return first and last moment of the segments; each end is one look into an index."""
    (first,) = connection.execute(
        f"SELECT first FROM segment {where} ORDER BY last LIMIT 1"  # noqa: S608 - own text
    ).fetchone() or (None,)
    (last,) = connection.execute(
        f"SELECT last FROM segment {where} ORDER BY last DESC LIMIT 1"  # noqa: S608 - own text
    ).fetchone() or (None,)
    return None if first is None or last is None else (first, last)


@dataclass(frozen=True, slots=True)
class Measured:
    """What is in the database, weighed.

    Attributes:
        stored: see there.
        full: bytes of the samples at full resolution.
        five: bytes of the five-minute windows.
    """

    stored: Stored
    full: int
    five: int


def measured(connection: sqlite3.Connection) -> Measured:
    """Return what is in a database and how much it weighs; reads every page of it.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    full, five = (
        connection.execute(f"SELECT total(length(data)) FROM {table}").fetchone()[0]  # noqa: S608 - own names
        for table in ("chunk", "five")
    )
    return Measured(stored(connection), int(full), int(five))


@dataclass(slots=True)
class Status:
    """How the history fares; written by its threads, read by anyone.

    Attributes:
        writable: the last try to write succeeded.
        shut_out: the file is another agent's or another program's, so it is not read either.
        saved: samples written at full resolution.
        lost: samples that never will be, by reason.
        stored: what is in the database, as of the last complete segment.
    """

    writable: bool = False
    shut_out: bool = False
    saved: int = 0
    lost: dict[str, int] = field(default_factory=lambda: {"clock": 0, "disk": 0})
    stored: Stored = field(default_factory=Stored)

    def lose(self, reason: str, samples: int) -> None:
        """Count samples that are not kept: `clock` went back, or `disk` took them not."""
        self.lost[reason] = self.lost.get(reason, 0) + samples
