"""The analysis of the engines: keeps the window, asks each part about each replica, says it.

    frame ──► window ──► view of a replica ──► parts ──► samples and events
                              ▲
    frame ──► placement ──────┘ (which GPUs belong to the view)

A replica's judgement costs a good part of a millisecond, and nothing about an engine changes within
one second that a verdict should follow. So each replica is judged at every fifth tick, and of more
than five one at a tick; between, what was concluded stands. Only where the KV cache may soon be
exhausted a forecast five seconds old comes late: one replica of those a tick is foreseen anew.
What a replica can carry takes longest, and is worked out for no more of them at a tick than keeps
pace. It is done within the tick, in steps: the window gets no row before the next one.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from agent.analysis import memory_split, placement
from agent.analysis.bottleneck import Targets
from agent.analysis.capacities import Capacities, Sample
from agent.analysis.forecasts.memory import MemoryForecasts
from agent.analysis.guard import Guard
from agent.analysis.learning import Learning
from agent.analysis.memory_split import GpuMemory, Known, MemorySplitter
from agent.analysis.placement import Placer
from agent.analysis.replica_capacity import EVERY as ESTIMATES_EVERY
from agent.analysis.replica_state import ReplicaState
from agent.analysis.replicas import GpuKey, Replica, Replicas
from agent.analysis.window import View, Window, rounded
from agent.catalog import agent as agent_catalog
from agent.catalog import engine, gpu, host, process
from agent.catalog import placement as placement_catalog
from agent.model import EMPTY_READING, Event, Frame, Reading
from agent.steps import Steps, at_once

EVERY: Final = 5
"""Ticks from one judgement of a replica to its next."""

_UNEVEN: Final = 0.1  # of an estimate: by that ticks may be longer without one more of them

WANTED: Final = frozenset(
    {
        agent_catalog.ENGINE_UP,
        engine.REQUESTS_RUNNING,
        engine.REQUESTS_WAITING,
        engine.KV_CACHE_USAGE,
        engine.KV_CACHE_CAPACITY,
        engine.KV_CACHE_USED,
        engine.START_TIME,
        engine.PROMPT_TOKENS,
        engine.PROMPT_TOKENS_CACHED,
        engine.GENERATION_TOKENS,
        engine.PREFIX_CACHE_QUERIES,
        engine.PREFIX_CACHE_HITS,
        engine.STEPS,
        engine.PREEMPTIONS,
        engine.PROMPT_SECONDS,
        engine.GENERATION_SECONDS,
        engine.TIME_TO_FIRST_TOKEN,
        engine.INTER_TOKEN_LATENCY,
        engine.E2E_LATENCY,
        engine.QUEUE_TIME,
        engine.PREFILL_TIME,
        engine.REQUEST_PROMPT_TOKENS,
        engine.REQUEST_GENERATION_TOKENS,
        engine.REQUEST_TIME_PER_OUTPUT_TOKEN,
        engine.REQUESTS_FINISHED,
        engine.MAX_NUM_SEQS,
        placement_catalog.KV_CACHE_TOKEN_SIZE,
        engine.MAX_NUM_BATCHED_TOKENS,
        engine.MAX_MODEL_LEN,
        process.CPU_SECONDS,
        process.CPU_WAIT,
        process.CGROUP_CPU_LIMIT,
        process.CGROUP_CPU_PERIODS,
        process.CGROUP_CPU_THROTTLED_PERIODS,
        process.RESIDENT_MEMORY,
        host.CPU_SECONDS,
        host.CPUS,
        host.MEMORY_AVAILABLE,
        host.PRESSURE_SECONDS,
        gpu.UTILIZATION,
        gpu.SM_ACTIVITY,
        gpu.DRAM_ACTIVITY,
        gpu.SM_CLOCK,
        gpu.SM_CLOCK_MAX,
        gpu.CLOCKS_EVENT_REASON,
        gpu.MEMORY_USED,
        gpu.MEMORY_FREE,
    }
)
"""The metrics that some part reads."""

MEANS: Final = frozenset({engine.PREFILL_TIME})
"""Histograms among them of which nobody reads the buckets: a tenth of all columns."""


class EngineAnalysis:
    """Draws the conclusions about every engine replica.

    Args:
        targets: the latencies that a model should keep, by its name.
    """

    def __init__(self, targets: Callable[[str], Targets] = lambda _model: Targets()) -> None:
        self.targets = targets
        self.capacities = Capacities()
        self._learning = Learning(self.capacities)
        self.placer = Placer()
        self._splitter = MemorySplitter()
        self._memory: list[GpuMemory] = []
        self._forecasts = MemoryForecasts()
        self._window = Window(WANTED, means=MEANS)
        self._replicas = Replicas(
            self._window,
            self._gpus_of,
        )
        self._states: dict[Replica, ReplicaState] = {}
        self._here: Sequence[ReplicaState] = ()
        self._guard = Guard()
        self._ticks = 0
        self._time = math.nan
        self._ids: list[int] = []

    def observe(self, frame: Frame) -> Reading:
        """Return what follows from a frame and those before it."""
        return at_once(self.in_steps(frame))

    def in_steps(self, frame: Frame) -> Steps[Reading]:
        """Do what `observe` does, replica by replica."""
        self._ticks += 1
        split = partial(self._split, frame)
        self._memory = self._guard.run("memory_split", split, time=frame.time) or []
        self._window.append(frame)
        yield
        facts = partial(self.capacities.facts.observe, frame)
        self._guard.run("facts", facts, time=frame.time)
        events: list[Event] = []
        known = self._replicas.known(frame.table, self.placer.placement)
        self._states = {
            replica: self._states.get(replica)
            or ReplicaState(replica, offset=7.0 * place, guard=self._guard)
            for place, replica in enumerate(known)
        }
        replaced = self._replicas.replaced()
        self._here = [self._states[replica] for replica in known if replica not in replaced]
        due = self._due(frame.time)
        for place, replica in enumerate(known):
            state = self._states[replica]
            if replica in replaced:
                continue
            if state in due:
                yield
                yield from self._estimate(replica, self._replicas.view(replica))
            if self._is_turn(place, state, frame.time):
                yield
                events += yield from self._judge(replica, self._replicas.view(replica))
        stirring = [one for one in self._here if one.stirs and one.foreseen_at < frame.time]
        if stirring:
            yield
            oldest = min(stirring, key=lambda one: one.foreseen_at)
            oldest.foresee(self._replicas.view(oldest.replica))
        yield
        return self._reading(frame, events)

    def _due(self, time: float) -> Sequence[ReplicaState]:
        """Return the replicas whose estimate is worked out at this tick, of those that are due.

        After a start, and when what was learned came back, all of them are.
        """
        passed, self._time = time - self._time, time
        many = len(self._here)
        every = max(ESTIMATES_EVERY, float(many))
        due = [state for state in self._here if state.is_due(time, every=every)]
        pace = many * passed / every if passed > 0.0 else 1.0
        most = max(1, math.ceil(min(pace, many) - _UNEVEN))
        return sorted(due, key=lambda one: one.estimated_at)[:most]

    def _is_turn(self, place: int, state: ReplicaState, time: float) -> bool:
        """Return whether a replica is to be judged at this tick."""
        turns = max(EVERY, len(self._states))
        # Ticks may be rare: then each replica has its turn before the minute is over.
        late = time - state.judged_at >= 2.0 * turns
        return late or (self._ticks + place) % turns == 0

    def _judge(self, replica: Replica, view: View) -> Steps[Sequence[Event]]:
        """Judge a replica anew and return what happened."""
        state = self._states[replica]
        gpus = self._gpus_of(replica.engine, replica.instance_name, replica.rank)
        about = replica._asdict()
        follow = partial(self._learning.follow, state, view, gpus)
        happened = self._guard.run("learning", follow, time=float(view.times[-1]), about=about)
        concluded = yield from state.observe(
            view,
            self.targets(replica.model_name),
            tenants=self._part(replica, "other_tenants"),
            reserved=self._reserved(replica),
        )
        return [*(happened or ()), *concluded]

    def _estimate(self, replica: Replica, view: View) -> Steps[None]:
        """Work out anew what a replica can carry."""
        return self._states[replica].estimate(
            view,
            self.targets(replica.model_name),
            terms=self.capacities.terms,
            per_hour=self.capacities.per_hour(replica),
        )

    def _split(self, frame: Frame) -> list[GpuMemory]:
        """Return what the memory of each engine's GPUs is spent on."""
        return self._splitter.observe(frame, self.placer.observe(frame))

    def _gpus_of(self, kind: str, name: str, rank: str) -> Sequence[GpuKey]:
        """Return the GPUs that a replica runs on now."""
        return self.placer.placement.gpus_of(kind, name, rank)

    def _part(self, replica: Replica, name: str) -> float:
        """Return the bytes of a part on the GPUs of a replica; NaN where that is unknown."""
        found = [
            memory.parts[name].size
            for memory in self._memory
            if memory.instance == replica[:2] and name in memory.parts
        ]
        return sum(found) if found else math.nan

    def _reserved(self, replica: Replica) -> float | None:
        """Return the bytes of KV cache that a replica was seen to reserve."""
        found = [
            memory.parts["kv_cache"]
            for memory in self._memory
            if memory.instance == replica[:2] and "kv_cache" in memory.parts
        ]
        measured = [part.size for part in found if part.evidence is Known.MEASURED]
        return sum(measured) if measured and len(measured) == len(found) else None

    def _reading(self, frame: Frame, events: Sequence[Event]) -> Reading:
        """Return everything that stands, as samples."""
        table = frame.table
        ids: list[int] = []
        values: list[float] = []
        foresee = partial(self._forecasts.observe, frame)
        foreseen = self._guard.run("memory_forecasts", foresee, time=frame.time)
        for reading in (self.placer.reading, foreseen or EMPTY_READING):
            ids += reading.ids
            values += map(rounded, reading.values)
        for memory in self._memory:
            for metric, labels, value in memory_split.samples(memory):
                ids.append(table.intern(metric, labels))
                values.append(value)
        sums = partial(self._sums, frame)
        for metric, labels, value in self._guard.run("capacities", sums, time=frame.time) or ():
            ids.append(table.intern(metric, labels))
            values.append(value)
        for state in self._here:
            known = state.samples(table)
            ids += known[0]
            values += known[1]
        failed = self._guard.reading(table)
        ids += failed.ids
        values += failed.values
        if ids != self._ids:
            self._ids = ids
        return Reading(self._ids, values, [*events, *failed.events])

    def _sums(self, frame: Frame) -> Iterable[Sample]:
        """Return what follows from all replicas together."""
        if not self.capacities.due(frame):
            return self.capacities.said
        results = {state.replica: state.capacity for state in self._here}
        placed = {replica: self._gpus_of(*replica[:2], replica.rank) for replica in results}
        return self.capacities.observe(frame, placed, results)

    def states(self) -> Sequence[ReplicaState]:
        """Return what is known of each replica but those in whose place others are."""
        return self._here

    def watched(self) -> Sequence[tuple[ReplicaState, View]]:
        """Return what is known of each of these, and its view, once a frame was taken."""
        return [(state, self._replicas.view(state.replica)) for state in self._here]

    def instances_of(self, labels: Mapping[str, str]) -> Collection[tuple[str, str]]:
        """Return the engine instances that labels are about, by engine and instance name."""
        if "instance_name" in labels:
            return {
                replica[:2]
                for replica in self._states
                if replica.instance_name == labels["instance_name"]
                and labels.get("engine", replica.engine) == replica.engine
            }
        uuid = labels.get("uuid")
        return {tie.instance for tie in self.placer.placement.ties if tie.gpu.uuid == uuid}

    @property
    def learning(self) -> Learning:
        """What was learned, to be kept over a restart."""
        return self._learning

    def capacity_json(self) -> dict[str, Any]:
        """Return what the replicas carry, what is asked and left of them, and what they cost."""
        return {
            "replicas": [state.capacity_json() for state in self._here],
            **self.capacities.as_json(),
        }

    def as_json(self) -> dict[str, Any]:
        """Return all conclusions; units are in the names of the keys."""
        return {
            "replicas": [state.as_json() for state in self._here],
            "placement": placement.as_json(self.placer.placement),
            "memory": [memory_split.as_json(memory) for memory in self._memory],
            "memory_forecasts": self._forecasts.as_json(),
        }
