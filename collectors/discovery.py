"""Finds the engines that run on this host by their command lines.

Command lines are world-readable, so this needs no rights. A look lists the process numbers and
reads the command lines of new ones only; of young ones again, because a program is often started
by way of another; and once a minute of all, because a number may have been given twice.

Reading a command line takes a lock of the process that another thread of it may hold while it
hangs in the kernel. A look is therefore made beside the event loop.
"""

import errno
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from agent.aside import Aside
from agent.catalog import engine as catalog
from agent.config import EngineInstance
from agent.model import Clock, Event, Reading, SeriesTable, SourceError, UnavailableError
from collectors.engines.commandline import recognise
from collectors.engines.process import EngineProcess
from collectors.engines.profile import Engine
from collectors.procfs import TICKS, process_stat, read_file
from collectors.readings import ReadingBuilder

YOUNG: Final = 30.0
"""Seconds after its first sight in which a process may still become another program."""

FULL_WALK_INTERVAL: Final = 60.0
"""Seconds after which the command lines of all processes are read again."""

_LONGEST: Final = 1 << 17
"""Bytes of a command line that are looked at."""

# Those say nothing of the process that was read about.
_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A process whose command line starts an engine."""

    process: EngineProcess
    parent: int
    start_ticks: int


@dataclass(frozen=True, slots=True)
class _Target:
    """An engine that was found. `gone_since` is monotonic; None while the process runs."""

    instance: EngineInstance
    process: EngineProcess
    gone_since: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a discovery knows, for the one that takes its place.

    Attributes:
        boot_time: by which it tells processes apart, Unix seconds.
        targets: by name, those included that have ended.
    """

    boot_time: float
    targets: Mapping[str, _Target]


class Discovery:
    """Knows the engine processes of this host and where they can be asked.

    Args:
        engines: the profiles, by name.
        table: interns the series.
        clock: times the walks, and says how long a process has been gone.
        configured: instances that the configuration names; a process that serves one of them is
            tied to it and makes no target of its own.
        forget_after: seconds for which an engine stays a target once its process has ended.
        proc: mount point of procfs.
        on_change: called at the end of a look that found other targets or processes.
        found: of the discovery before this one, if there was one.
    """

    name = "discovery"

    def __init__(
        self,
        *,
        engines: Mapping[str, Engine],
        table: SeriesTable,
        clock: Clock,
        configured: Sequence[EngineInstance] = (),
        forget_after: float = 600.0,
        proc: Path = Path("/proc"),
        on_change: Callable[[], None] = lambda: None,
        found: Found | None = None,
    ) -> None:
        self._engines = engines
        self._clock = clock
        self._configured = configured
        self._forget_after = forget_after
        self._proc = str(proc)
        # Once, because it moves when the clock is set, and processes are told apart by it.
        self._boot_time = _boot_time(self._proc) if found is None else found.boot_time
        self._on_change = on_change
        self._builder = ReadingBuilder(table)
        self._aside = Aside("discovery")
        self._reading = 0
        self._first_seen: dict[int, float] = {}
        self._candidates: dict[int, _Candidate] = {}
        self._walked = float("-inf")
        self._processes: list[EngineProcess] = []
        names = {instance.name for instance in configured}
        self._targets = {
            name: target
            for name, target in ({} if found is None else found.targets).items()
            if name not in names and not any(map(target.process.serves, configured))
        }
        # Asked at each look at each engine, and the same from one walk to the next.
        self._serving: dict[str, tuple[EngineInstance, EngineProcess | None]] = {}

    @property
    def targets(self) -> list[EngineInstance]:
        """Instances that were found and are not in the configuration."""
        return [target.instance for target in self._targets.values()]

    @property
    def found(self) -> Found:
        """What another discovery is to go on with."""
        return Found(self._boot_time, self._targets)

    @property
    def processes(self) -> list[EngineProcess]:
        """The server processes that run now, those of configured instances included."""
        return list(self._processes)

    def process_of(self, instance: EngineInstance) -> EngineProcess | None:
        """Return the running process that serves an instance, if it is one of this host."""
        known = self._serving.get(instance.name)
        if known is None or known[0] is not instance:
            known = self._serving[instance.name] = (instance, self._find(instance))
        return known[1]

    def _find(self, instance: EngineInstance) -> EngineProcess | None:
        """Look for that process."""
        target = self._targets.get(instance.name)
        if target is not None and target.instance == instance:
            return target.process if target.gone_since is None else None
        return next((process for process in self._processes if process.serves(instance)), None)

    async def collect(self) -> Reading:
        """Look once.

        Raises:
            UnavailableError: there is no procfs.
            SourceError: the look before has not ended.
        """
        if self._aside.is_busy:
            raise SourceError(
                f"reading the command line of process {self._reading} does not return: it may "
                "hang in the kernel; no engine that starts or ends is noticed until it does"
            )
        now = self._clock.monotonic()
        processes = await self._aside.do(lambda: self._look(now))
        before = (self._processes, self.targets)
        self._processes = processes
        events = self._retarget(now)
        self._serving.clear()
        for name in self._engines:
            count = sum(process.engine.name == name for process in processes)
            self._builder.put(catalog.DISCOVERED, float(count), name)
        if before != (self._processes, self.targets):
            self._on_change()
        return self._builder.finish(events)

    async def aclose(self) -> None:
        """Nothing is held; safe to call twice."""

    def _look(self, now: float) -> list[EngineProcess]:
        """Bring the candidates up to date and return the servers; may hang, on any process."""
        try:
            pids = {int(name) for name in os.listdir(self._proc) if name.isdigit()}  # noqa: PTH208 - called often
        except OSError as error:
            raise UnavailableError(f"{self._proc} cannot be listed: {error.strerror}") from error
        whole = now - self._walked >= FULL_WALK_INTERVAL
        if whole:
            self._walked = now
        self._first_seen = {pid: self._first_seen.get(pid, now) for pid in pids}
        for pid in self._candidates.keys() - pids:
            del self._candidates[pid]
        for pid, seen in self._first_seen.items():
            if whole or now - seen < YOUNG:
                self._inspect(pid)
        for pid, candidate in list(self._candidates.items()):
            stat = process_stat(self._proc, pid)
            if stat is None or stat.start_ticks != candidate.start_ticks:
                self._inspect(pid)
        return self._servers()

    def _inspect(self, pid: int) -> None:
        """Learn what one process is; one that cannot be understood is passed over."""
        self._reading = pid
        try:
            self._read(pid)
        except OSError as error:
            if error.errno in _OURS:
                raise
        except Exception:  # noqa: BLE001 - anyone may start anything; the others must be found
            self._candidates.pop(pid, None)

    def _read(self, pid: int) -> None:
        """Read one command line."""
        line = (read_file(f"{self._proc}/{pid}/cmdline") or b"")[:_LONGEST]
        argv = line.decode("utf-8", "replace").rstrip("\0").split("\0")
        found = recognise(argv, self._engines.values())
        known = self._candidates.get(pid)
        if found is None and known is None:
            return
        stat = process_stat(self._proc, pid)
        if stat is not None and known is not None and stat.start_ticks == known.start_ticks:
            # Some servers overwrite their command line once they run.
            return
        if stat is None or found is None:
            self._candidates.pop(pid, None)
            return
        engine, facts = found
        process = EngineProcess(
            engine=engine,
            pid=pid,
            start_time=self._boot_time + stat.start_ticks / TICKS,
            facts=facts,
        )
        self._candidates[pid] = _Candidate(process, stat.ppid, stat.start_ticks)

    def _servers(self) -> list[EngineProcess]:
        """Return the candidates without workers that still carry their server's command line."""
        return [
            candidate.process
            for _, candidate in sorted(self._candidates.items())
            if not any(_same(candidate, other) for other in self._ancestors(candidate))
        ]

    def _ancestors(self, candidate: _Candidate) -> Iterable[_Candidate]:
        """Yield those above a candidate that are candidates themselves."""
        parent = candidate.parent
        seen = {candidate.process.pid}
        while parent > 1 and parent not in seen:
            seen.add(parent)
            above = self._candidates.get(parent)
            if above is not None:
                yield above
                parent = above.parent
            else:
                stat = process_stat(self._proc, parent)
                parent = stat.ppid if stat else 0

    def _retarget(self, now: float) -> list[Event]:
        """Bring the targets up to date, and return what appeared and what ended."""
        free = [
            process
            for process in self._processes
            if not any(process.serves(instance) for instance in self._configured)
        ]
        targets: dict[str, _Target] = {}
        for name, target in self._targets.items():
            if target.process in free:
                targets[name] = replace(target, gone_since=None)
                free.remove(target.process)
            elif target.gone_since is None:
                targets[name] = replace(target, gone_since=now)
            elif now - target.gone_since < self._forget_after:
                targets[name] = target
        events = []
        for process in free:
            name = self._name(process, targets)
            targets[name] = _Target(process.instance(name), process)
            if name not in self._targets:
                events.append(self._event("engine_discovered", name, process, "was found"))
        events += [
            self._event("engine_ended", name, target.process, "has ended")
            for name, target in targets.items()
            if target.gone_since == now and self._targets[name].gone_since is None
        ]
        self._targets = targets
        return events

    def _name(self, process: EngineProcess, targets: Mapping[str, _Target]) -> str:
        """Return a name that no running target and no configured instance has."""
        name = process.default_name()
        taken = {instance.name for instance in self._configured}
        taken |= {other for other, target in targets.items() if target.gone_since is None}
        return f"{name}-{process.pid}" if name in taken else name

    def _event(self, kind: str, name: str, process: EngineProcess, what: str) -> Event:
        """Return something that happened to a process."""
        return Event(
            time=self._clock.time(),
            kind=kind,
            source=self.name,
            labels={"engine": process.engine.name, "instance_name": name},
            message=f"{process.engine.title}, process {process.pid} at {process.url}, {what}",
        )


def _same(candidate: _Candidate, other: _Candidate) -> bool:
    """Return whether two command lines start a server at the same address."""
    mine, theirs = candidate.process, other.process
    return mine.engine is theirs.engine and mine.default_name() == theirs.default_name()


def _boot_time(proc: str) -> float:
    """Return when this host booted, in Unix seconds."""
    for line in (read_file(f"{proc}/stat") or b"").splitlines():
        if line.startswith(b"btime "):
            return float(line.split()[1])
    return 0.0
