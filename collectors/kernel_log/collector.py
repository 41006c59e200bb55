"""Reads the kernel log from wherever this process may."""

from collections.abc import Sequence
from pathlib import Path

from agent.catalog import events as catalog
from agent.model import Clock, Event, Reading, SeriesTable, SourceError, UnavailableError
from collectors.kernel_log.journal import (
    JOURNAL_FOLDERS,
    KERNEL_COMMAND,
    JournalReader,
    kernel_event,
)
from collectors.kernel_log.kmsg import KmsgReader
from collectors.kernel_log.parse import SOURCE
from collectors.readings import ReadingBuilder


class KernelLogCollector:
    """Turns what the kernel writes from now on into events.

    `/dev/kmsg` first, which costs one system call a look; else systemd's journal.

    Args:
        table: where series are interned.
        clock: wall clock and time since boot.
        kmsg: the kernel's own device.
        journal_folders: where the journal keeps its files.
    """

    name = SOURCE

    def __init__(
        self,
        table: SeriesTable,
        *,
        clock: Clock,
        kmsg: Path = Path("/dev/kmsg"),
        journal_folders: Sequence[Path] = JOURNAL_FOLDERS,
    ) -> None:
        self._clock = clock
        self._kmsg = kmsg
        self._journal_folders = journal_folders
        self._reader: KmsgReader | JournalReader[Event] | None = None
        self._builder = ReadingBuilder(table)
        self._lost = table.intern(catalog.LOG_LOST)
        self._lost_before = 0

    async def collect(self) -> Reading:
        """Return the events since the last look.

        Raises:
            UnavailableError: neither way of reading is open; says which right is missing.
            SourceError: the reader ended; the next look starts another.
        """
        if self._reader is None:
            self._reader = await self._open()
        try:
            events = await self._reader.read()
        except (OSError, SourceError):
            await self.aclose()
            raise
        self._builder.add(self._lost, self._lost_before + self._reader.lost)
        return self._builder.finish(events)

    async def _open(self) -> KmsgReader | JournalReader[Event]:
        """Return the first reader that this process may use."""
        try:
            return KmsgReader(self._kmsg, clock=self._clock)
        except UnavailableError as kmsg_error:
            try:
                return await JournalReader.start(
                    self._journal_folders, command=KERNEL_COMMAND, parse=kernel_event
                )
            except UnavailableError as journal_error:
                raise UnavailableError(f"{kmsg_error}; {journal_error}") from journal_error

    async def aclose(self) -> None:
        """Close the device or end `journalctl`; safe to call twice."""
        reader, self._reader = self._reader, None
        if reader is not None:
            self._lost_before += reader.lost
            await reader.aclose()
