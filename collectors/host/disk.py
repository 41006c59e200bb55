"""Space on the filesystems of the configured folders, from which a hung mount cannot hurt.

`statvfs` on a network filesystem whose server is gone does not return, and cannot be cancelled.
Each folder is therefore asked in a thread of its own, and not again before it has answered.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import psutil

from agent.aside import Worker
from agent.catalog import host as catalog
from agent.model import Event, SeriesTable
from collectors.readings import ReadingBuilder

INTERVAL: Final = 10.0
"""Seconds between two questions to a filesystem, and after which an unanswered one is hung."""

STALE_AFTER: Final = 30.0
"""Seconds after which the last answer is no longer published."""


class Usage(Protocol):
    """What `psutil.disk_usage` gives, in bytes."""

    @property
    def total(self) -> int:
        """Size of the filesystem."""
        ...

    @property
    def free(self) -> int:
        """What programs without privileges can still take."""
        ...


class _Folder:
    """One folder: its last answer, and the question that is under way."""

    def __init__(self, table: SeriesTable, path: str) -> None:
        self.path = path
        self.size = table.intern(catalog.FILESYSTEM_SIZE, (path,))
        self.available = table.intern(catalog.FILESYSTEM_AVAILABLE, (path,))
        self.hung = table.intern(catalog.FILESYSTEM_HUNG, (path,))
        self.asked: float | None = None
        # Written by the thread in one assignment, which other threads see whole.
        self.answer: tuple[float, Usage | None] | None = None
        self.problem = ""
        self._worker = Worker(f"statvfs {path}")

    @property
    def pending(self) -> bool:
        """Whether a question is under way."""
        return self.asked is not None and (self.answer is None or self.answer[0] != self.asked)

    def ask(self, usage: Callable[[str], Usage], now: float) -> None:
        """Start a question."""

        def work() -> None:
            try:
                self.answer = (now, usage(self.path))
            except (OSError, ValueError) as error:  # a path may be none, too
                self.problem = getattr(error, "strerror", None) or str(error)
                self.answer = (now, None)

        self._worker.give(work)
        self.asked = now


class Disks:
    """Asks each filesystem every 10 s and publishes the newest answers.

    Args:
        table: where series are interned.
        folders: the folders, as they appear in the label `path`.
        monotonic: a clock that never goes back, in seconds.
        time: Unix seconds.
        unremarked: paths whose absence is no news; kept up to date, so that it can be handed on.
        usage: asks one filesystem; may never return.
    """

    def __init__(
        self,
        table: SeriesTable,
        folders: Sequence[Path],
        *,
        monotonic: Callable[[], float],
        time: Callable[[], float],
        unremarked: set[str],
        usage: Callable[[str], Usage] = psutil.disk_usage,
    ) -> None:
        self._folders = [_Folder(table, str(path)) for path in dict.fromkeys(folders)]
        self._monotonic = monotonic
        self._time = time
        self._unremarked = unremarked
        self._usage = usage

    def read(self, into: ReadingBuilder) -> None:
        """Add size, free space and whether the filesystem hangs; never waits."""
        now = self._monotonic()
        for folder in self._folders:
            pending = folder.pending
            if not pending and (folder.asked is None or now - folder.asked >= INTERVAL):
                folder.ask(self._usage, now)
            if folder.asked is not None and pending and now - folder.asked >= INTERVAL:
                into.add(folder.hung, 1.0)
            elif folder.answer is not None and folder.answer[1] is not None:
                into.add(folder.hung, 0.0)
            if folder.answer is None:
                continue
            answered, usage = folder.answer
            self._remark(folder, into, missing=usage is None)
            if usage is not None and now - answered < STALE_AFTER:
                into.add(folder.size, usage.total)
                into.add(folder.available, usage.free)

    def _remark(self, folder: _Folder, into: ReadingBuilder, *, missing: bool) -> None:
        """Tell once that a folder cannot be watched, and again if it could be meanwhile."""
        if not missing:
            self._unremarked.discard(folder.path)
        elif folder.path not in self._unremarked:
            self._unremarked.add(folder.path)
            into.tell(
                Event(
                    time=self._time(),
                    kind="folder_missing",
                    source="host",
                    labels={"path": folder.path},
                    message=f"the folder {folder.path} cannot be watched: {folder.problem}",
                )
            )
