"""CPU time, memory and threads of the engines' processes, by role, and which processes those are.

An engine's processes are its server's and what descends from it; in a container with no other
engine, everything that runs there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final

from agent.catalog import placement
from agent.catalog import process as catalog
from agent.model import Event, Reading, SeriesTable
from collectors.cgroup import container_members
from collectors.cgroup_cpu import CgroupCpu
from collectors.cgroup_memory import CgroupMemory
from collectors.cpu_waits import CpuWaits
from collectors.process_ends import End, ProcessEnds
from collectors.process_rank import ProcessRanks
from collectors.process_tree import ProcessTree
from collectors.procfs import ProcessStat, count_fds
from collectors.readings import ReadingBuilder

FDS_INTERVAL: Final = 10.0
"""Seconds for which a count of open file descriptors is kept."""

SETTLED: Final = 10.0
"""Seconds after which a process without a title of its own is named; many live for less."""

MOST_NAMED: Final = 64
"""Processes of one engine that are named at a time."""


class Role(StrEnum):
    """What a process does for its engine; values of the label `process`."""

    SERVER = "server"
    CORE = "core"
    WORKER = "worker"
    OTHER = "other"


# vLLM names its processes `VLLM::APIServer_0`, `VLLM::EngineCore_DP0`, `VLLM::Worker_TP0`; the
# kernel keeps 15 bytes of each. Without setproctitle installed they keep the name of the
# interpreter and are counted as `other`, but for the one that was found as the server.
_TITLES: Final = (
    ("VLLM::APIServer", Role.SERVER),
    ("VLLM::EngineCor", Role.CORE),
    ("VLLM::Worker", Role.WORKER),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineProcessRef:
    """The process that an engine instance was found as: the server, root of its other processes.

    Attributes:
        instance_name: as in the label.
        engine: the kind, as in the label.
        pid: its process id.
        start_time: Unix seconds; None where that is not known.
    """

    instance_name: str
    engine: str
    pid: int
    start_time: float | None = None


def role_of(stat: ProcessStat, root: int) -> Role:
    """Return the role of a process of the tree below `root`."""
    for title, role in _TITLES:
        if stat.comm.startswith(title):
            return role
    return Role.SERVER if stat.pid == root else Role.OTHER


def _serves(end: End) -> bool:
    """Return whether it is the end of a server itself."""
    return end.role == Role.SERVER


@dataclass(slots=True)
class _RoleSum:
    """What the processes of one role add up to."""

    ids: tuple[int, ...]
    cpu_seconds: float = 0.0
    waited: float | None = None
    resident: int = 0
    threads: int = 0
    stats: list[ProcessStat] = field(default_factory=list)
    fds: int | None = None


@dataclass(slots=True)
class _Instance:
    """The roles of one engine instance, and what was seen of each of its processes.

    By process: its CPU time, when it was first seen, and the series that names it.
    """

    roles: dict[Role, _RoleSum] = field(default_factory=dict)
    seen: dict[tuple[int, int], float] = field(default_factory=dict)
    first: dict[tuple[int, int], float] = field(default_factory=dict)
    named: dict[tuple[int, Role, str], int] = field(default_factory=dict)
    all_named: bool = False
    fds_counted: float | None = None

    def only_helps(self, role: Role) -> bool:
        """Return whether what has no name of its own only helps: the core is known by its name."""
        return role is Role.OTHER and Role.CORE in self.roles

    def held(self) -> list[tuple[ProcessStat, str]]:
        """Return the processes whose end is worth telling, with their roles."""
        return [
            (stat, role.value)
            for role, role_sum in self.roles.items()
            if not self.only_helps(role)
            for stat in role_sum.stats
        ]


class ProcessesCollector:
    """Follows the process trees of the engines that are running.

    Args:
        table: where series are interned.
        engine_processes: the engines that run on this host now.
        monotonic: a clock that never goes back, in seconds.
        time: Unix seconds.
        proc: mount point of the host's procfs.
        sys: mount point of the host's sysfs.
    """

    name = "processes"

    def __init__(
        self,
        table: SeriesTable,
        *,
        engine_processes: Callable[[], Sequence[EngineProcessRef]],
        monotonic: Callable[[], float],
        time: Callable[[], float],
        proc: Path = Path("/proc"),
        sys: Path = Path("/sys"),
    ) -> None:
        self._table = table
        self._engine_processes = engine_processes
        self._monotonic = monotonic
        self._time = time
        self._proc = str(proc)
        self._tree = ProcessTree(
            self._proc,
            monotonic=monotonic,
            related=partial(container_members, self._proc, str(sys)),
        )
        self._ranks = ProcessRanks(self._proc)
        self._family: list[tuple[int, int, int, str]] = []
        self._shown: list[tuple[int, int, int, str]] = []
        self._memory = CgroupMemory(self._proc, str(sys))
        self._quotas = CgroupCpu(self._proc, str(sys))
        self._waits = CpuWaits(self._proc)
        self._ends = ProcessEnds(self._proc)
        self._instances: dict[tuple[str, str], _Instance] = {}
        self._builder = ReadingBuilder(table)

    async def collect(self) -> Reading:
        """Read the processes of every engine; no engine is an empty reading."""
        found = self._engine_processes()
        names = {(ref.engine, ref.instance_name) for ref in found}
        named_anew = not names <= self._instances.keys()
        self._instances = {key: kept for key, kept in self._instances.items() if key in names}
        pids = {ref.pid for ref in found}
        self._memory.keep(pids)
        self._quotas.keep(pids)
        now = self._monotonic()
        before, self._shown = self._shown, []
        if found:
            stats = self._tree.stats(pids)
            await self._recognise([stat for tree in stats.values() for stat in tree])
            for ref in found:
                self._read(ref, stats[ref.pid], now)
        self._waits.turn()
        if named_anew or self._shown != before:
            self._ends.follow({key: one.held() for key, one in self._instances.items()})
        # A helper that is done is no news.
        ends = (end for end in self._ends.ended(now) if end.status or end.signal or _serves(end))
        return self._builder.finish([self._told(end) for end in ends])

    async def aclose(self) -> None:
        """Let go of the processes that are held; safe to call twice."""
        self._ends.close()

    def _told(self, end: End) -> Event:
        """Return the end of a process as an event."""
        engine, instance = end.engine
        how = f"was ended by SIG{end.signal}" if end.signal else f"ended with status {end.status}"
        labels = {
            "engine": engine,
            "instance_name": instance,
            "process": end.role,
            "pid": str(end.pid),
            "signal": end.signal,
            "status": "" if end.status is None else str(end.status),
        }
        text = f"process {end.pid} of {instance} ({end.role}) {how}"
        return Event(self._time(), "engine_process_ended", self.name, labels, text)

    async def _recognise(self, stats: Sequence[ProcessStat]) -> None:
        """Learn which processes these are, if they are others than before."""
        family = [(stat.pid, stat.start_ticks, stat.ppid, stat.comm) for stat in stats]
        self._shown = family
        if family == self._family:
            return
        for instance in self._instances.values():
            instance.all_named = False
        if await self._ranks.learn(stats):
            self._family = family

    def _read(self, ref: EngineProcessRef, stats: Sequence[ProcessStat], now: float) -> None:
        """Add the samples of one instance."""
        instance = self._instances.setdefault((ref.engine, ref.instance_name), _Instance())
        for role_sum in instance.roles.values():
            role_sum.resident = role_sum.threads = 0
            role_sum.stats.clear()
        seen: dict[tuple[int, int], float] = {}
        first: dict[tuple[int, int], float] = {}
        for stat in stats:
            role_sum = self._role(ref, instance, role_of(stat, ref.pid))
            identity = (stat.pid, stat.start_ticks)
            # A process counts whole when it is first seen and by its growth from then on, so that
            # the sum never falls when one ends and another takes its place.
            before = instance.seen.get(identity, 0.0)
            seen[identity] = max(before, stat.cpu_seconds)
            first[identity] = instance.first.get(identity, now)
            role_sum.cpu_seconds += seen[identity] - before
            role_sum.resident += stat.resident_bytes
            role_sum.threads += stat.threads
            role_sum.stats.append(stat)
        instance.seen, instance.first = seen, first
        if instance.fds_counted is None or now - instance.fds_counted >= FDS_INTERVAL:
            instance.fds_counted = now
            for role_sum in instance.roles.values():
                role_sum.fds = self._count_fds(role_sum.stats)
        for role, role_sum in instance.roles.items():
            self._add(role_sum, waits=not instance.only_helps(role))
        self._name(ref, instance, stats, now)
        if ref.start_time is not None:
            labels = (ref.engine, ref.instance_name)
            self._builder.put(catalog.SERVER_START, ref.start_time, *labels)
        self._limit(ref, now)

    def _limit(self, ref: EngineProcessRef, now: float) -> None:
        """Add what the control group of an instance may have, and has."""
        labels = (ref.engine, ref.instance_name)
        quota = self._quotas.read(ref.pid, now)
        if quota is not None:
            self._builder.put(catalog.CGROUP_CPU_LIMIT, quota.cores, *labels)
            self._builder.put(catalog.CGROUP_CPU_PERIODS, quota.periods, *labels)
            self._builder.put(catalog.CGROUP_CPU_THROTTLED_PERIODS, quota.throttled, *labels)
            self._builder.put(catalog.CGROUP_CPU_THROTTLED, quota.throttled_seconds, *labels)
        memory = self._memory.read(ref.pid, now)
        if memory is None:
            return
        self._builder.put(catalog.CGROUP_MEMORY_USED, memory.used, *labels)
        self._builder.put(catalog.CGROUP_MEMORY_LIMIT, memory.limit, *labels)
        if memory.reclaimable is not None:
            self._builder.put(catalog.CGROUP_MEMORY_RECLAIMABLE, memory.reclaimable, *labels)

    def _name(
        self,
        ref: EngineProcessRef,
        instance: _Instance,
        stats: Sequence[ProcessStat],
        now: float,
    ) -> None:
        """Say which processes these are; helpers of no known role once they have lasted."""
        if instance.all_named and all(number in self._table for number in instance.named.values()):
            for number in instance.named.values():
                self._builder.add(number, 1.0)
            return
        ranks = self._ranks.of(stats)
        roles = ((stat, role_of(stat, ref.pid)) for stat in stats)
        shown = [
            (stat.pid, role, ranks[stat.pid])
            for stat, role in roles
            if role is not Role.OTHER or now - instance.first[stat.pid, stat.start_ticks] >= SETTLED
        ]
        shown.sort(key=lambda one: one[1] is Role.OTHER)
        named: dict[tuple[int, Role, str], int] = {}
        for key in shown[:MOST_NAMED]:
            known = instance.named.get(key)
            if known is None or known not in self._table:
                known = self._intern_name(ref, *key)
            named[key] = known
            self._builder.add(named[key], 1.0)
        instance.named = named
        instance.all_named = len(shown) == len(stats)

    def _intern_name(self, ref: EngineProcessRef, pid: int, role: Role, rank: str) -> int:
        """Return the series that names a process."""
        labels = (ref.engine, ref.instance_name, role.value, str(pid), rank)
        return self._table.intern(placement.PROCESS_INFO, labels)

    def _role(self, ref: EngineProcessRef, instance: _Instance, role: Role) -> _RoleSum:
        """Return the sum of a role, made on first sight."""
        if role not in instance.roles:
            labels = (ref.engine, ref.instance_name, role.value)
            instance.roles[role] = _RoleSum(
                tuple(
                    self._table.intern(metric, labels)
                    for metric in (
                        catalog.CPU_SECONDS,
                        catalog.PROCESSES,
                        catalog.RESIDENT_MEMORY,
                        catalog.THREADS,
                        catalog.OPEN_FDS,
                        catalog.CPU_WAIT,
                    )
                )
            )
            instance.fds_counted = None
        return instance.roles[role]

    def _count_fds(self, stats: Sequence[ProcessStat]) -> int | None:
        """Return the file descriptors of all these processes, or None when one is not shown."""
        counts = [count_fds(self._proc, stat.pid) for stat in stats]
        known = [count for count in counts if count is not None]
        return sum(known) if known and len(known) == len(counts) else None

    def _add(self, role_sum: _RoleSum, *, waits: bool) -> None:
        """Add the samples of one role; a role without processes has no memory to speak of."""
        cpu, processes, resident, threads, fds, wait = role_sum.ids
        self._builder.add(cpu, role_sum.cpu_seconds)
        self._builder.add(processes, len(role_sum.stats))
        waited = self._waits.longest(role_sum.stats) if waits else None
        if waited is not None:
            role_sum.waited = (role_sum.waited or 0.0) + waited
        if role_sum.waited is not None:
            self._builder.add(wait, role_sum.waited)
        if not role_sum.stats:
            return
        self._builder.add(resident, role_sum.resident)
        self._builder.add(threads, role_sum.threads)
        if role_sum.fds is not None:
            self._builder.add(fds, role_sum.fds)
