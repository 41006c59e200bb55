"""A simulated host, second by second: what the agent would see of it, and what was true.

    for frame, truth in simulation.run(table): ...

The frames hold the samples that the real collectors would give, at once; `Server` shows the same
host on real sockets.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, NamedTuple

from agent.catalog import placement
from agent.model import Event, Frame, Metric, SeriesTable
from tests.simulator.disturb import Around, Disturbance, surroundings
from tests.simulator.engine import Engine
from tests.simulator.gpus import GIB, Card
from tests.simulator.hosts import Host, Processes
from tests.simulator.limits import Owed, Spent
from tests.simulator.replica import Replica
from tests.simulator.truth import Cause, Judge, Targets, Truth

START: Final = 1_800_000_000.0
"""Unix seconds at which every simulation begins."""

_CALM: Final = 60.0
"""Seconds without a shortage after which another one is a new exhaustion."""


class Exhaustion(NamedTuple):
    """Something that ran out.

    Attributes:
        kind: `kv` where a request was refused for want of blocks or thrown out, `preemption` where
            one was thrown out, `device_memory`, `host_memory`.
        time: seconds since the beginning.
        instance: of which server; empty for the host.
    """

    kind: str
    time: float
    instance: str


@dataclass(slots=True, kw_only=True)
class Member:
    """One server of the host.

    Attributes:
        engines: its ranks.
        cards: indexes of the GPUs that it runs on.
        weights: bytes of them on each GPU.
        kv_bytes: bytes of the KV reservation on each GPU.
        other: bytes on each GPU for everything else.
        disturbances: what happens to it.
        limits_known: whether its command line tells the limits.
    """

    engines: Sequence[Engine]
    cards: Sequence[int] = (0,)
    weights: float = 16 * GIB
    kv_bytes: float = 50 * GIB
    other: float = 4 * GIB
    disturbances: Sequence[Disturbance] = ()
    limits_known: bool = True


@dataclass(slots=True)
class _Site:
    """A server at work."""

    member: Member
    replica: Replica
    processes: Processes
    judges: list[Judge]
    owed: Owed = field(default_factory=Owed)


@dataclass(slots=True)
class Simulation:
    """A host with simulated engines.

    Args:
        members: its servers; the truth that is told is that of the first one's first rank.
        seconds: how long it runs.
        targets: which latencies are well.
        cards: its GPUs; none for a host of which only the pages are seen.
        host: the machine; None for one of which only the pages are seen.
        processes: whether the processes of the servers are seen.
        trend: second at which what runs out later begins to grow; NaN where nothing does.

    Attributes:
        exhaustions: what ran out so far, in order.
        truths: the last truth of each rank, by name of the server and rank.
    """

    members: Sequence[Member]
    seconds: int
    targets: Targets = field(default_factory=Targets)
    cards: Sequence[Card] = ()
    host: Host | None = field(default_factory=Host)
    processes: bool = True
    trend: float = math.nan
    start: float = START
    exhaustions: list[Exhaustion] = field(default_factory=list)
    truths: dict[tuple[str, int], Truth] = field(default_factory=dict)
    _sites: list[_Site] = field(default_factory=list)
    _busy: dict[int, dict[int, float]] = field(default_factory=dict)
    _seen: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put the servers on their GPUs."""
        for number, member in enumerate(self.members):
            pid = 4000 + 10 * number
            replica = Replica(
                f"engine-{number}",
                member.engines,
                start=self.start - 600.0,
                limits_known=member.limits_known,
                pid=pid,
            )
            for index in member.cards if self.cards else ():
                card = self.cards[index]
                card.engines[pid + 2] = member.weights + member.kv_bytes + member.other
                card.grows = card.grows or pid + 2
            judges = [Judge(self.targets) for _ in member.engines]
            self._sites.append(_Site(member, replica, Processes(pid=pid), judges))

    @property
    def replicas(self) -> list[Replica]:
        """Return the servers."""
        return [site.replica for site in self._sites]

    def run(self, table: SeriesTable) -> Iterator[tuple[Frame, Truth]]:
        """Yield what the agent sees at the end of each second, and what was true in it."""
        frames = _Frames(table, self)
        for second in range(self.seconds):
            self.step(second)
            yield frames.frame(self.start + second + 1.0), self.truths["engine-0", 0]

    def restart(self, number: int, engines: Sequence[Engine], second: int) -> None:
        """Let a server begin anew between two seconds, with engines that begin then."""
        site = self._sites[number]
        site.replica.restart(engines, start=self.start + second)
        site.judges = [Judge(self.targets) for _ in engines]
        site.owed = Owed()
        for kind in ("kv", "preemption"):
            self._seen.pop((kind, site.replica.name), None)

    def step(self, second: int) -> None:
        """Let a second pass."""
        loads: dict[int, list[Spent]] = {card.index: [] for card in self.cards}
        arounds: dict[int, Around] = {}
        cores = 0.0
        host = Around()
        for number, site in enumerate(self._sites):
            around = surroundings(site.member.disturbances, float(second))
            self._contend(number, site.member, around)
            spent = self._advance(site, second, around)
            done = site.owed.pay(spent[0], within=float(len(site.replica.engines)))
            work = min(1.0, done.gpu) * around.conditions.share
            for index in site.member.cards:
                self._busy.setdefault(index, {})[number] = work
            cores += site.processes.work(done, spent[1], around)
            for index in site.member.cards if self.cards else ():
                loads[index].append(done)
                arounds.setdefault(index, around)
            host.cores += around.cores
            host.host_memory += around.host_memory
        for card in self.cards:
            before = card.state.get("memory_free", 1)
            card.work(loads[card.index], arounds.get(card.index, Around()))
            if before > 0 >= card.free:
                self.exhaustions.append(Exhaustion("device_memory", second + 1.0, ""))
        if self.host is not None:
            left = self.host.available
            self.host.work(cores, host)
            if left > 0.0 >= self.host.available:
                self.exhaustions.append(Exhaustion("host_memory", second + 1.0, ""))

    def _contend(self, number: int, member: Member, around: Around) -> None:
        """Leave an engine the time of its GPUs that the other engines on them did not use.

        The driver slices time: who wants it all has at least its even share.
        """
        left = 1.0
        for index in member.cards:
            others = [work for who, work in self._busy.get(index, {}).items() if who != number]
            left = min(left, max(1.0 / (1 + len(others)), 1.0 - sum(others)))
        if left < 1.0:
            share = around.conditions.share * left
            around.conditions = replace(around.conditions, share=share)
            around.causes.append(Cause.CO_TENANT)

    def _advance(self, site: _Site, second: int, around: Around) -> tuple[Spent, int]:
        """Let a second pass in one server; return the work of its ranks together."""
        total, streamed = Spent(), 0
        site.replica.up = not around.down
        cause: Cause | None = around.causes[0] if around.causes else None
        for rank, (one, judge) in enumerate(zip(site.replica.engines, site.judges, strict=True)):
            one.conditions = around.conditions
            before = one.streamed
            one.advance(second + 1.0)
            spent = one.ledger.spent
            for name in ("gpu", "host", "memory", "compute", "steps", "prefilled"):
                setattr(total, name, getattr(total, name) + getattr(spent, name))
            streamed += one.streamed - before
            judge.disturbance = cause
            self.truths[site.replica.name, rank] = judge.judge(one)
            self._note("kv", site.replica.name, one.shortages)
            self._note("preemption", site.replica.name, one.preemptions)
        return total, streamed

    def _note(self, kind: str, instance: str, times: Sequence[float]) -> None:
        """Keep the first moment of each stretch in which something ran out."""
        taken, last = self._seen.get((kind, instance), (0, float("-inf")))
        for time in times[taken:]:
            if time - last > _CALM:
                self.exhaustions.append(Exhaustion(kind, time, instance))
            last = time
        self._seen[kind, instance] = len(times), last


class _Frames:
    """Makes the frames of a simulation.

    Args:
        table: interns the series.
        simulation: what is shown.
    """

    def __init__(self, table: SeriesTable, simulation: Simulation) -> None:
        self._table = table
        self._simulation = simulation
        self._known: dict[tuple[object, ...], list[int]] = {}

    def frame(self, time: float) -> Frame:
        """Return what the agent sees now."""
        simulation, table = self._simulation, self._table
        values: list[float] = []
        shape: list[object] = []
        makers: list[Callable[[], list[int]]] = []
        events: list[Event] = []
        for site in simulation._sites:
            series, own = site.replica.samples(table, time)
            values += own
            shape.append(id(series))
            makers.append(partial(list, series))
            events += site.replica.events
            site.replica.events = []
            labels = {"engine": "vllm", "instance_name": site.replica.name}
            if simulation.processes:
                self._add(site.processes.samples(), labels, values, makers, shape)
                self._add(self._pids(site), labels, values, makers, shape)
        for card in simulation.cards:
            labels = {"gpu": str(card.index), "uuid": card.uuid}
            shape.append(tuple(card.processes))
            self._add(card.samples(), labels, values, makers, shape)
        if simulation.host is not None:
            self._add(simulation.host.samples(), {}, values, makers, shape)
        key = tuple(shape)
        ids = self._known.get(key)
        if ids is None:
            ids = self._known[key] = [number for make in makers for number in make()]
        return Frame(time, table, ids, values, events)

    def _pids(self, site: _Site) -> Iterator[tuple[Metric, dict[str, str], float]]:
        """Yield which processes are the server's."""
        for role, pid in site.processes.pids().items():
            yield placement.PROCESS_INFO, {"process": role, "pid": str(pid)}, 1.0

    def _add(
        self,
        samples: Iterator[tuple[Metric, dict[str, str], float]],
        labels: dict[str, str],
        values: list[float],
        makers: list[Callable[[], list[int]]],
        shape: list[object],
    ) -> None:
        """Add samples that have the same series whenever the shape is the same."""
        found = list(samples)
        values += [value for _metric, _own, value in found]
        shape.append(len(found))

        def ids() -> list[int]:
            return [
                self._table.intern(
                    metric, tuple({**labels, **own}.get(name, "") for name in metric.labels)
                )
                for metric, own, _value in found
            ]

        makers.append(ids)
