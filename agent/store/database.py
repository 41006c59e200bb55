"""The database file: how it is opened, what is in it, and what is done with one that is not ours.

    series    id, name, labels        a name and the labels of the series itself, as JSON
    segment   id, stream, first, last, ticks, times      some minutes of one stream, in ms
    chunk     segment and group, blob                    `agent.store.chunk`
    five      segment and group, blob                    `agent.store.five`

A group is sixteen series that follow one another in `series`. Chunks and summaries are keyed by
segment << 24 | group, so they lie in the order of writing, and the oldest go first.
"""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agent.model import InferwatchError

APPLICATION_ID: Final = 0x69774869  # "iwHi"
VERSION: Final = 1
GROUP_BITS: Final = 24

_SCHEMA: Final = f"""
BEGIN;
CREATE TABLE series (id INTEGER PRIMARY KEY, name TEXT NOT NULL, labels TEXT NOT NULL,
                     day INTEGER NOT NULL);
CREATE UNIQUE INDEX series_name ON series (name, labels);
CREATE TABLE segment (id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL,
                      first INTEGER NOT NULL, last INTEGER NOT NULL, ticks INTEGER NOT NULL,
                      times BLOB);
CREATE INDEX segment_last ON segment (last);
CREATE INDEX segment_full ON segment (last) WHERE times IS NOT NULL;
CREATE TABLE chunk (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE five (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
COMMIT;
"""
_EXPECTED: Final = {"series", "segment", "chunk", "five", "state"}
# Of the header of a database, see https://www.sqlite.org/fileformat.html.
_MAGIC: Final = b"SQLite format 3\0"
_APPLICATION_AT: Final = 68


TROUBLE: Final = (sqlite3.Error, UnicodeDecodeError)
"""What the module raises for a bad file: also the second, for a message that quotes bad bytes."""


class HistoryError(InferwatchError):
    """The history cannot be read; the message says why."""


class NoHistoryError(HistoryError):
    """There is no file yet, or an empty one: the agent has just begun, or never ran."""


class NotOursError(HistoryError):
    """The file is damaged, or another program's, or that of a later version."""

    def __init__(self, word: str, detail: str) -> None:
        super().__init__(detail)
        self.word = word


class ForeignError(HistoryError):
    """The file is a database of another program, which is none of ours to move or change."""


def open_for_writing(
    path: Path, *, now: Callable[[], float], told: Callable[[str], None]
) -> sqlite3.Connection:
    """Return a connection to the database, made if it is missing.

    A file that is damaged or of another version is moved aside, with its journal, and a new one
    begun. The database of another program is not touched.

    Args:
        path: the database.
        now: Unix seconds, for the name of a file that is moved aside.
        told: called with a sentence about it.

    Raises:
        ForeignError: it is the database of another program.
        sqlite3.Error, OSError: the folder or the disk does not permit it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _refuse_foreign(path)
    try:
        return _opened(path)
    except NotOursError as error:
        kept = move_aside(path, error.word, now=now())
        told(f"{path} {error}; it was moved to {kept} and a new history was begun")
        return _opened(path)


def _refuse_foreign(path: Path) -> None:
    """Look at a file without changing it, not even its journal.

    Raises:
        ForeignError: it is a sound database of SQLite, and another program's.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        return
    application = int.from_bytes(header[_APPLICATION_AT : _APPLICATION_AT + 4], "big")
    if not header.startswith(_MAGIC) or application == APPLICATION_ID:
        return
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    except TROUBLE:
        return  # damaged: that is said when it is opened
    # With all of our tables it is ours, and the mark in its header is damaged.
    if tables and not tables >= _EXPECTED:
        raise ForeignError(
            f"{path} is a database of another program and is left as it is: the history is kept in "
            "memory only; set history.path to a file of its own"
        )


def _opened(path: Path) -> sqlite3.Connection:
    """Return a connection to a database of ours.

    Raises:
        NotOursError: it is not.
    """
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    try:
        _check(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        # Room for what a batch touches; the rest is the kernel's to cache.
        connection.execute("PRAGMA cache_size = -1024")
        connection.execute("PRAGMA journal_size_limit = 8388608")
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file; refuse a file that is not ours.

    Raises:
        NotOursError: that.
    """
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if not tables:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.executescript(_SCHEMA)
            return
        check_identity(connection)
        if not tables >= _EXPECTED:
            raise NotOursError("corrupt", "lacks tables")
        # What is touched first: the end of each table, and all series.
        for table in ("segment", "chunk", "five"):
            connection.execute(f"SELECT max(id) FROM {table}").fetchall()  # noqa: S608 - own names
        connection.execute("SELECT count(*), max(length(labels)) FROM series").fetchall()
    except TROUBLE as error:
        if damaged(error):
            raise NotOursError("corrupt", f"is damaged: {error}") from None
        raise


def check_identity(connection: sqlite3.Connection) -> None:
    """Refuse a database of another program or of a later version.

    Raises:
        NotOursError: it is one.
    """
    ((application,),) = connection.execute("PRAGMA application_id")
    if application != APPLICATION_ID:
        raise NotOursError("foreign", "is a database of another program")
    ((version,),) = connection.execute("PRAGMA user_version")
    if version != VERSION:
        raise NotOursError("version", f"has version {version} where {VERSION} is understood")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Keep all of what the block writes, or none of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Some errors, such as a full disk, have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def damaged(error: Exception) -> bool:
    """Return whether an error says that the file itself is bad, not the disk or the moment."""
    if isinstance(error, UnicodeDecodeError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return (code & 0xFF) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
    # Such as a text that is no UTF-8: found by the module, not by SQLite.
    return isinstance(error, sqlite3.Error) and "decode" in str(error)


def move_aside(path: Path, word: str, *, now: float) -> Path:
    """Rename a database and its journal such that the name says what and when; return the name."""
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    kept = path.with_name(f"{path.name}.{word}-{moment}")
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.{word}-{moment}-{number}")
    path.rename(kept)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{kept}{suffix}")  # noqa: PTH104 - names, not paths
    return kept


def open_for_reading(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Return a connection that changes nothing, and whether it sees what is written meanwhile.

    It works beside an agent that writes or without one. On a disk that nobody can write to, it
    sees the file as it is now.

    Raises:
        NoHistoryError: there is no history yet.
        HistoryError: it cannot be read, or is not ours.
    """
    if not path.exists():
        raise NoHistoryError(
            f"{path}: there is no history yet: no such file; the agent makes its own, within "
            "minutes, where history.path of its configuration says"
        )
    if path.is_dir():
        raise HistoryError(f"{path}: is a folder, expected a file such as {path / 'history.db'}")
    if not os.access(path, os.R_OK, effective_ids=True):
        raise HistoryError(f"{path}: cannot be read: {os.strerror(errno.EACCES)}")
    try:
        return _reading(path, "mode=ro"), True
    except sqlite3.OperationalError as error:
        # Without its journal SQLite wants to make one, which a read-only folder does not permit.
        if os.access(path.parent, os.W_OK) or Path(f"{path}-wal").exists():
            raise HistoryError(f"{path}: {error}") from None
    except TROUBLE as error:
        raise HistoryError(f"{path}: {error}") from None
    try:
        return _reading(path, "mode=ro&immutable=1"), False
    except TROUBLE as error:
        raise HistoryError(f"{path}: {error}") from None


def _reading(path: Path, options: str) -> sqlite3.Connection:
    """Return a connection with these options.

    Raises:
        HistoryError: it is not ours.
        sqlite3.Error: it cannot be read.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=5.0,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _check_begun(connection, path)
        check_identity(connection)
        connection.execute("PRAGMA cache_size = -4096")
    except NotOursError as error:
        connection.close()
        raise HistoryError(f"{path} {error}") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _check_begun(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file in which there is nothing yet.

    Raises:
        NoHistoryError: it is one.
    """
    if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
        raise NoHistoryError(f"{path}: there is no history yet")


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another of the same name; None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a tuple of two of its fields is all
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
