"""The thread that writes: all that touches the disk, and never the event loop.

It is nudged once a tick and does a little each time. Whatever the disk does, it goes on: what
cannot be written waits, what waits too long is given up and counted.
"""

import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.model import Clock, SeriesTable
from agent.store.claim import Claim
from agent.store.database import (
    TROUBLE,
    HistoryError,
    damaged,
    file_identity,
    move_aside,
    open_for_writing,
    transaction,
)
from agent.store.identity import Identities
from agent.store.job import Job
from agent.store.retention import Retention
from agent.store.segment import Segment
from agent.store.stats import Status, stored

SPREAD: Final = 120
"""Nudges over which a segment is written."""

RETRY: Final = 10
"""Nudges that pass before a disk that failed is tried again."""

_WAITING_NUDGES: Final = 4  # more than this and the thread is busy enough

_IDLE: Final = 5
"""Nudges of which one wakes a thread that has nothing to write: to see whether its file is there.

To wake a thread costs the one that does it more than the look itself.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is kept: seconds and bytes, whichever is reached first."""

    full_age: float = 7 * 86_400.0
    five_age: float = 90 * 86_400.0
    max_size: int = 2 * 10**9


class Writer:
    """Owns the database file of one agent.

    Args:
        path: the database.
        claim: the right to write to it; taken before anything is written, given back at the end.
        table: explains the series of the segments.
        keep_full: metrics that are kept in full though the catalogue says otherwise.
        limits: how much is kept.
        clock: for the names of files that are moved aside.
        status: kept up to date.
        told: called, from the thread, with a sentence for the log when something changes.
    """

    def __init__(
        self,
        path: Path,
        *,
        claim: Claim,
        table: SeriesTable,
        keep_full: Collection[str],
        limits: Limits,
        clock: Clock,
        status: Status,
        told: Callable[[str], None],
    ) -> None:
        self._path = path
        self._claim = claim
        self._table = table
        self._keep_full = keep_full
        self._clock = clock
        self._status = status
        self._told = told
        self._retention = Retention(
            full_age=int(limits.full_age * 1000),
            five_age=int(limits.five_age * 1000),
            max_size=limits.max_size,
        )
        self._identities = Identities(table)
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._jobs: deque[Job] = deque()
        self._in_use: dict[str, set[int]] = {}
        self._pause = 0
        self._trouble = ""
        self._lock = threading.Lock()
        self._submitted: list[Segment] = []
        self._nudges = 0
        self._idle = False
        self._queue: queue.SimpleQueue[threading.Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def submit(self, segment: Segment) -> None:
        """Have a complete segment written."""
        with self._lock:
            # A disk that hangs must not keep in memory what was given up meanwhile.
            self._submitted = [s for s in self._submitted if not s.abandoned]
            self._submitted.append(segment)
        self._idle = False

    def nudge(self) -> None:
        """Have a little of the work done."""
        self._nudges += 1
        if self._idle and self._nudges % _IDLE:
            return
        if self._queue.qsize() < _WAITING_NUDGES:
            self._queue.put(None)

    def drain(self, timeout: float) -> bool:
        """Wait until all that was submitted is written or was tried; return whether it ended."""
        done = threading.Event()
        self._queue.put(done)
        return done.wait(timeout)

    def close(self, timeout: float) -> bool:
        """Write what is left and let go of the file; return whether it ended in time."""
        ended = self.drain(timeout)
        closing = _Closing()
        self._queue.put(closing)
        return closing.wait(timeout) and ended

    def _run(self) -> None:
        """Do what is asked until told to close."""
        self._guarded(0)
        while True:
            item = self._queue.get()
            self._take()
            if item is None:
                waiting = sum(job.groups for job in self._jobs)
                self._guarded(-(-waiting // SPREAD))
                self._idle = not (self._jobs or self._pause or self._trouble)
            else:
                if isinstance(item, _Closing):
                    self._let_go()
                else:
                    self._pause = 0
                    self._guarded(None)
                item.set()
                if isinstance(item, _Closing):
                    return

    def _take(self) -> None:
        """Take over what was submitted."""
        with self._lock:
            submitted, self._submitted = self._submitted, []
        for segment in submitted:
            self._jobs.append(
                Job(
                    segment,
                    table=self._table,
                    identities=self._identities,
                    keep_full=self._keep_full,
                )
            )

    def _guarded(self, steps: int | None) -> None:
        """Work; whatever goes wrong ends neither the thread nor the agent."""
        if self._pause > 0:
            self._pause -= 1
            return
        try:
            self._work(self._ready(), steps)
        except (*TROUBLE, OSError, HistoryError) as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)
            if self._jobs:
                self._give_up(self._jobs.popleft())

    def _work(self, connection: sqlite3.Connection, steps: int | None) -> None:
        """Take that many steps, or all there are."""
        while self._jobs and (steps is None or steps > 0):
            job = self._jobs[0]
            if job.segment.abandoned:
                self._jobs.popleft()
                continue
            last = job.segment.last
            written = job.step(connection, lambda: self._retention.trim(connection, last))  # noqa: B023 - called in the step
            if written is None:
                self._jobs.popleft()
                self._complete(connection, job.segment)
            else:
                self._status.saved += written
            if steps is not None:
                steps -= 1
        self._trouble = ""
        self._status.writable = True
        self._status.shut_out = False

    def _complete(self, connection: sqlite3.Connection, segment: Segment) -> None:
        """Take note of a segment that is written."""
        segment.saved = True
        self._in_use[segment.stream] = segment.series()
        self._identities.keep_only(set().union(*self._in_use.values()))
        self._status.stored = stored(connection)

    def _ready(self) -> sqlite3.Connection:
        """Return the open database, opened anew if its file is no longer the same."""
        if self._connection is not None and self._inode != file_identity(self._path):
            self._disconnect()
            self._told(f"{self._path} was removed or replaced; a new history is begun")
        if self._connection is None:
            self._claim.take()
            connection = open_for_writing(self._path, now=self._clock.time, told=self._told)
            self._connection = connection
            inode = file_identity(self._path)
            if inode != self._inode:
                for job in self._jobs:
                    job.reset()
            self._inode = inode
            self._begin(connection)
            self._status.stored = stored(connection)
        return self._connection

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Say what an agent that was killed has lost, and take over."""
        with transaction(connection):
            state = dict(connection.execute("SELECT name, value FROM state"))
            connection.execute("INSERT OR REPLACE INTO state VALUES ('open', 1)")
        last = self._status.stored.full or stored(connection).full
        if state.get("open") and not self._status.saved and last is not None and not self._trouble:
            self._told(
                f"{self._path} was not closed when the agent last ended: the samples of its last "
                f"minutes, after {last[1] / 1000:.3f} (Unix time), are lost"
            )

    def _failed(self, error: Exception) -> None:
        """Take note of an error; the next try begins with opening the file."""
        self._status.writable = False
        self._pause = RETRY
        self._disconnect()
        self._status.shut_out = isinstance(error, HistoryError)
        if self._status.shut_out:
            reason = sentence = str(error)
        else:
            reason = f"{type(error).__name__}: {error}"
            sentence = f"{self._path}: the history cannot be written, it is tried again: {reason}"
            if isinstance(error, PermissionError | IsADirectoryError):
                sentence += "; history.path in the configuration names another place"
        if reason != self._trouble:
            self._told(sentence)
        self._trouble = reason
        if damaged(error):
            self._set_aside(error)

    def _set_aside(self, error: Exception) -> None:
        """Move a database aside that turned out to be damaged."""
        self._inode = None
        self._pause = 0
        try:
            kept = move_aside(self._path, "corrupt", now=self._clock.time())
        except OSError as problem:
            self._told(f"{self._path} is damaged and cannot be moved aside: {problem}")
            self._pause = RETRY
        else:
            self._told(f"{self._path} is damaged ({error}); it was moved to {kept}")

    def _give_up(self, job: Job) -> None:
        """Count what a segment would have held as lost, unless that was done already."""
        if not job.segment.abandoned:
            job.segment.abandoned = True
            self._status.lose("disk", job.segment.count())

    def _disconnect(self) -> None:
        """Let go of the connection; nothing that was known of its rows holds for another."""
        connection, self._connection = self._connection, None
        self._identities.clear()
        if connection is not None:
            try:
                connection.close()
            except TROUBLE as error:
                self._told(f"{self._path}: {error}")

    def _let_go(self) -> None:
        """Close the database for good."""
        for job in self._jobs:
            self._give_up(job)
        if self._connection is not None:
            try:
                self._connection.execute("DELETE FROM state WHERE name = 'open'")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except TROUBLE as error:
                self._told(f"{self._path}: {error}")
        self._disconnect()
        self._claim.release()


class _Closing(threading.Event):
    """The last thing that is asked."""
