"""Watches what tells why an engine ends: its log file, its unit's journal, its cgroup.

What the logs name beside it, answers to callers, is counted.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.aside import Aside
from agent.catalog import engine as engine_catalog
from agent.catalog import incident as catalog
from agent.lines import uncoloured
from agent.model import Clock, Event, Reading, SeriesTable, SourceError, UnavailableError
from collectors.cgroup import Cgroup, cgroup_of
from collectors.engine_ends.answers import AnswersWatch
from collectors.engine_ends.patterns import LogWatch
from collectors.engine_ends.tail import FileTail
from collectors.engine_ends.units import (
    Entry,
    Unit,
    entry_of,
    journal_command,
    labels_of,
    unit_of_process,
)
from collectors.kernel_log.journal import JOURNAL_FOLDERS, JournalReader
from collectors.procfs import read_file
from collectors.readings import ReadingBuilder

RETRY: Final = 60.0
"""Seconds after which a journal that cannot be read is tried again."""

_KILLS: Final = b"oom_kill "


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEnd:
    """An engine whose end is to be explained.

    Attributes:
        engine: the kind.
        instance_name: its name.
        pid: its server process while it runs; None where it is not known.
        log_file: what it writes to, where that is configured.
    """

    engine: str
    instance_name: str
    pid: int | None
    log_file: Path | None = None

    @property
    def key(self) -> tuple[str, str]:
        """The labels of its series."""
        return (self.engine, self.instance_name)


@dataclass(slots=True)
class _Known:
    """What is known of one engine, also while its process is gone.

    `log` is where its answers are read, `is_counted` whether they were in this look.
    """

    watch: LogWatch
    answers: AnswersWatch
    log_file: Path | None
    tail: FileTail | None
    pid: int | None = None
    cgroup: Cgroup | None = None
    unit: Unit | None = None
    unreadable: str = ""
    is_counted: bool = False

    @property
    def log(self) -> Path | Unit | None:
        """The one log that counts: a unit may write to the journal what is in a file too."""
        return self.log_file or self.unit


class EngineEndsCollector:
    """Turns what is said of the engines' ends into events.

    Args:
        table: where series are interned.
        clock: of the run.
        engines: those that are watched now.
        proc: mount point of procfs.
        sys: mount point of sysfs.
        journal_folders: where the journal keeps its files.
    """

    name = "engine_ends"

    def __init__(
        self,
        table: SeriesTable,
        *,
        clock: Clock,
        engines: Callable[[], Sequence[EngineEnd]],
        proc: Path = Path("/proc"),
        sys: Path = Path("/sys"),
        journal_folders: Sequence[Path] = JOURNAL_FOLDERS,
    ) -> None:
        self._clock = clock
        self._engines = engines
        self._proc = str(proc)
        self._sys = str(sys)
        self._journal_folders = journal_folders
        self._known: dict[tuple[str, str], _Known] = {}
        self._builder = ReadingBuilder(table)
        self._aside = Aside(self.name)
        self._journal: JournalReader[Entry] | None = None
        self._units: frozenset[Unit] = frozenset()
        self._journal_due = float("-inf")

    async def collect(self) -> Reading:
        """Return what was said since the last look."""
        engines = self._engines()
        self._follow(engines)
        events = [*await self._log_files(), *await self._journal_events()]
        for engine in engines:
            known = self._known[engine.key]
            kills = self._kills(known)
            if kills is not None:
                self._builder.put(catalog.CGROUP_OOM_KILLS, kills, *engine.key)
            if known.is_counted:
                for status, count in known.answers.counts():
                    labels = (*engine.key, status)
                    self._builder.put(engine_catalog.LOGGED_HTTP_RESPONSES, count, *labels)
        return self._builder.finish(events)

    async def aclose(self) -> None:
        """Close files and end `journalctl`; safe to call twice."""
        for known in self._known.values():
            if known.tail is not None and not self._aside.is_busy:
                known.tail.close()
        self._known.clear()
        await self._end_journal()

    # --- which engines ------------------------------------------------------------------------

    def _follow(self, engines: Sequence[EngineEnd]) -> None:
        """Know the engines that are watched now; where a process is, once for each process."""
        # One that has another log file now is another to everything that was learned from it.
        wanted = {engine.key: engine.log_file for engine in engines}
        for key, before in [*self._known.items()]:
            if key not in wanted or before.log_file != wanted[key]:
                del self._known[key]
                if before.tail is not None and not self._aside.is_busy:
                    before.tail.close()
        for engine in engines:
            known = self._known.get(engine.key)
            if known is None:
                tail = None if engine.log_file is None else FileTail(engine.log_file)
                known = self._known[engine.key] = _Known(
                    LogWatch(), AnswersWatch(engine.engine), engine.log_file, tail
                )
            if engine.pid is not None and engine.pid != known.pid:
                known.answers.restart()
                known.pid = engine.pid
                known.cgroup = cgroup_of(self._proc, engine.pid)
                known.unit = unit_of_process(self._proc, engine.pid)
        # Whose answers they are cannot be told where several engines write to one log.
        logs = Counter(known.log for known in self._known.values())
        for known in self._known.values():
            known.is_counted = known.log is not None and logs[known.log] == 1

    # --- files --------------------------------------------------------------------------------

    async def _log_files(self) -> list[Event]:
        """Return what the log files say; a file that hangs holds up the others' files alone."""
        tails = {key: known.tail for key, known in self._known.items() if known.tail is not None}
        if not tails or self._aside.is_busy:
            self._count_none(of_files=True)
            return []

        def read() -> dict[tuple[str, str], list[bytes] | OSError]:
            found: dict[tuple[str, str], list[bytes] | OSError] = {}
            for key, tail in tails.items():
                try:
                    found[key] = tail.read()
                except OSError as error:
                    found[key] = error
            return found

        time = self._clock.time()
        events: list[Event] = []
        for key, lines in (await self._aside.do(read)).items():
            known = self._known.get(key)
            if known is None:
                continue
            if isinstance(lines, OSError):
                known.is_counted = False
                events += self._unreadable(key, known, lines.strerror or str(lines))
                continue
            known.unreadable = ""
            is_counted = known.is_counted
            for line in lines:
                events += _found(key, known, line, time, is_counted=is_counted)
        return events

    def _unreadable(self, key: tuple[str, str], known: _Known, why: str) -> Iterator[Event]:
        """Yield that a file cannot be read, once."""
        if why != known.unreadable:
            known.unreadable = why
            text = f"the log file of {key[1]} cannot be read: {why}"
            yield Event(self._clock.time(), "engine_log_unreadable", self.name, _labels(key), text)

    # --- the journal --------------------------------------------------------------------------

    async def _journal_events(self) -> list[Event]:
        """Return what the units say and what is said of them."""
        await self._follow_units()
        if self._journal is None:
            self._count_none(of_files=False)
            return []
        try:
            entries = await self._journal.read()
        except (OSError, SourceError):
            self._count_none(of_files=False)
            await self._end_journal()
            return []
        return [event for entry in entries for event in self._of_entry(entry)]

    async def _follow_units(self) -> None:
        """Follow the units of the engines of now; the old journal until the new one runs."""
        units = frozenset(known.unit for known in self._known.values() if known.unit is not None)
        if units == self._units and (self._journal is not None or not units):
            return
        now = self._clock.monotonic()
        if units == self._units and now < self._journal_due:
            return
        self._units, self._journal_due = units, now + RETRY
        before, self._journal = self._journal, None
        if units:
            with suppress(UnavailableError):  # the kernel's log tells which right is missing
                self._journal = await JournalReader.start(
                    self._journal_folders, command=journal_command(units), parse=entry_of
                )
        if before is not None:
            await before.aclose()

    async def _end_journal(self) -> None:
        """End `journalctl`."""
        journal, self._journal = self._journal, None
        if journal is not None:
            await journal.aclose()

    def _of_entry(self, entry: Entry) -> Iterator[Event]:
        """Yield what an entry of the journal says of each engine of its unit."""
        for key, known in self._known.items():
            if known.unit != entry.unit:
                continue
            if not entry.by_manager:
                is_counted = known.is_counted and known.log_file is None
                line = entry.message.encode()
                yield from _found(key, known, line, entry.time, is_counted=is_counted)
                continue
            labels = labels_of(entry.message)
            if labels:
                about = {**_labels(key), "unit": entry.unit.name, **labels}
                yield Event(entry.time, "engine_unit", self.name, about, entry.message)

    def _count_none(self, *, of_files: bool) -> None:
        """Have nothing said of answers that files name, or that the journal does."""
        for known in self._known.values():
            if (known.log_file is not None) is of_files:
                known.is_counted = False

    # --- the kernel ---------------------------------------------------------------------------

    def _kills(self, known: _Known) -> float | None:
        """Return how many processes the kernel killed in an engine's cgroup for lack of memory."""
        if known.cgroup is None:
            return None
        if known.cgroup.folder:
            file = f"{known.cgroup.folder}{known.cgroup.path}/memory.oom_control"
        else:
            file = f"{known.cgroup.path.lstrip('/')}/memory.events"
        for line in (read_file(f"{self._sys}/fs/cgroup/{file}") or b"").splitlines():
            if line.startswith(_KILLS):
                return float(line[len(_KILLS) :])
        return None


def _found(
    key: tuple[str, str], known: _Known, line: bytes, time: float, *, is_counted: bool
) -> Iterator[Event]:
    """Yield what a line of an engine's log says of its end, and count what it says of answers."""
    line = uncoloured(line)
    if is_counted and known.answers.take(line):
        return
    for finding in known.watch.take(line, time):
        labels = {**_labels(key), "finding": finding.kind}
        yield Event(time, "engine_log", EngineEndsCollector.name, labels, finding.text)


def _labels(key: tuple[str, str]) -> dict[str, str]:
    """Return the labels of an engine."""
    return {"engine": key[0], "instance_name": key[1]}
