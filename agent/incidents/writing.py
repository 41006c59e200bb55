"""Writes one incident, beside the event loop, a little at a time.

The thread shares the interpreter with the loop, so it rests after each row: a tick that becomes
due meanwhile waits for one row at most, whatever there is to write and however slow the disk is.
"""

import contextlib
import os
import queue
import threading
import time as _time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from agent.aside import start_aside
from agent.incidents.folder import Folder
from agent.model import Event, Look, Reading, RecordingError, SeriesTable, SourceSpec
from agent.recording import RecordingWriter

SOURCE: Final = "incident"
"""Name of the one source of such a recording: its reading is the whole frame."""

# Long enough that a slow source of ticks never seems stale when it is played.
_SPEC: Final = SourceSpec(name=SOURCE, stale_after=300.0)
_REST: Final = 0.004
_AT_ONCE: Final = 100


class Row(Protocol):
    """A tick in memory: Unix seconds, series, values."""

    @property
    def time(self) -> float:
        """Unix seconds."""
        ...

    @property
    def ids(self) -> Sequence[int]:
        """Series of the table; the same list as long as they are the same."""
        ...

    @property
    def values(self) -> Sequence[float]:
        """As many."""
        ...


Rows = Callable[[float, float], Iterable[Row]]
"""The ticks in memory after a moment and up to another, in order."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What is to be written next: the ticks up to a moment and the events until then."""

    until: float
    events: Sequence[tuple[float, Sequence[Event]]]
    last: bool


def rest() -> None:
    """Let the loop have the interpreter."""
    _time.sleep(_REST)


class Writing:
    """One incident on its way to disk; its thread ends with it.

    Args:
        folder: where it goes.
        table: explains the series.
        rows: the ticks in memory.
        header: facts of the incident for the first line, with `time` and `start`.
        told: called with a sentence for the log, from the thread.
        rest: called after each row.

    Attributes:
        failure: why not all of it could be written; empty so far.
        path: where it is, once there is a file.
        size: bytes of all incidents, as of the last part that was written.
    """

    def __init__(
        self,
        folder: Folder,
        table: SeriesTable,
        *,
        rows: Rows,
        header: Mapping[str, Any],
        told: Callable[[str], None],
        rest: Callable[[], None] = rest,
    ) -> None:
        self.failure = ""
        self.path: Path | None = None
        self.size: int | None = None
        self._folder = folder
        self._table = table
        self._rows = rows
        self._header = header
        self._told = told
        self._rest = rest
        self._written = float(header["start"])
        self._parts: queue.SimpleQueue[_Part] = queue.SimpleQueue()
        self._events: deque[tuple[float, Event]] = deque()
        self._declared: Sequence[int] = ()
        self._done = threading.Event()
        start_aside(self._run, name="incident")

    @property
    def is_done(self) -> bool:
        """Whether everything was written, or nothing more will be."""
        return self._done.is_set()

    def extend(
        self,
        until: float,
        events: Sequence[tuple[float, Sequence[Event]]],
        *,
        last: bool = False,
    ) -> None:
        """Have what came up to a moment written soon; costs nothing here."""
        self._parts.put(_Part(until, events, last))

    def wait(self, timeout: float) -> bool:
        """Wait until it is done; return whether it is."""
        return self._done.wait(timeout)

    def _run(self) -> None:
        """Write part after part."""
        try:
            self.path = path = self._folder.new(float(self._header["time"]))
            header = {**self._header, "id": path.name.partition(".")[0]}
            writer = RecordingWriter(
                path, self._table, header={"note": header["text"], "incident": header}
            )
            with contextlib.closing(writer):
                while not (part := self._parts.get()).last:
                    self._write(writer, part)
                    _sync(path)
                    self.size = self._folder.make_room(path)
                self._write(writer, part)
            _sync(path)
            self.size = self._folder.make_room(path)
        except (OSError, RecordingError, RuntimeError) as error:
            self.failure = str(error) or type(error).__name__
            self._told(f"an incident cannot be recorded: {self.failure}")
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise it to
            self.failure = f"{type(error).__name__}: {error}"
            self._told(f"an incident cannot be recorded: {self.failure}")
        finally:
            self._done.set()

    def _write(self, writer: RecordingWriter, part: _Part) -> None:
        """Write the rows of a part, each with the events up to then."""
        for time, events in part.events:
            self._events.extend((time, event) for event in events)
        for row in self._rows(self._written, part.until):
            self._written = row.time
            self._row(writer, row.time, row.ids, row.values)
            self._rest()
            if self.path is not None and self.path.stat().st_size > self._folder.max_size:
                raise OSError("it is larger than all incidents may be together (max_size)")
        if part.last and self._events:
            self._row(writer, part.until, (), ())
        writer.flush()

    def _row(
        self, writer: RecordingWriter, time: float, ids: Sequence[int], values: Sequence[float]
    ) -> None:
        """Write one tick; series that are new first, and a few at a time."""
        if ids is not self._declared:
            self._declared = ids
            for first in range(0, len(ids), _AT_ONCE):
                writer.declare(ids[first : first + _AT_ONCE])
                self._rest()
        events: list[Event] = []
        # Rows have whole milliseconds.
        while self._events and self._events[0][0] <= time + 0.001:
            events.append(self._events.popleft()[1])
        look = Look(source=SOURCE, duration=0.0, reading=Reading(ids, values, events))
        writer.write(time, [look], {SOURCE: _SPEC}, ())


def _sync(path: Path) -> None:
    """Have the disk take what was written: the host may be the next to go."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
