"""Which engine runs on which GPU.

The driver lists the processes that hold memory on each GPU, the processes collector those that
belong to each engine; where the two meet, the engine runs. The configuration may say it instead,
and then it alone counts. With tensor parallelism an engine has several GPUs, with data parallelism
each rank has its own where the titles of the processes tell, and a GPU may have several engines.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from agent.catalog import gpu, metrics_of
from agent.catalog import placement as catalog
from agent.model import EMPTY_READING, Frame, Reading, Series

_GPU_LABELS: Final = len(gpu.LABELS)
_GPU_METRICS: Final = frozenset(
    metric for metric in metrics_of(gpu) if metric.labels[:_GPU_LABELS] == gpu.LABELS
)


class GpuKey(NamedTuple):
    """A GPU, or a MIG instance, by its labels; equal to the plain tuple of them."""

    gpu: str
    uuid: str
    mig: str


class Instance(NamedTuple):
    """An engine's server by its labels."""

    engine: str
    instance_name: str


class Evidence(StrEnum):
    """Why an engine is taken to run on a GPU."""

    PROCESS = "process"
    CONFIG = "config"


@dataclass(frozen=True, slots=True)
class Tie:
    """An engine on a GPU.

    Attributes:
        instance: which engine.
        gpu: which GPU.
        evidence: how that is known.
        ranks: the data-parallel ranks that run there; `""` is a process of no known rank.
        pids: its processes that the driver lists there; none where only the configuration knows.
    """

    instance: Instance
    gpu: GpuKey
    evidence: Evidence
    ranks: frozenset[str] = frozenset()
    pids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Placement:
    """Who runs where. Compared by content, and the same object while nothing changes.

    Attributes:
        ties: ordered by engine and GPU.
        unresolved: devices of the configuration that the driver does not show, by instance.
    """

    ties: tuple[Tie, ...] = ()
    unresolved: Mapping[Instance, tuple[str, ...]] = field(default_factory=dict)

    def gpus_of(self, engine: str, instance_name: str, rank: str = "") -> tuple[GpuKey, ...]:
        """Return the GPUs of an engine, or of one of its ranks where those are told apart."""
        own = [tie for tie in self.ties if tie.instance == (engine, instance_name)]
        if rank and any(rank in tie.ranks for tie in own):
            # A process of no known rank may belong to this one as well as to another.
            own = [tie for tie in own if rank in tie.ranks or not any(tie.ranks)]
        return tuple(tie.gpu for tie in own)

    def engines_on(self, gpu: tuple[str, str, str]) -> tuple[Instance, ...]:
        """Return the engines on a GPU or MIG instance."""
        return tuple(tie.instance for tie in self.ties if tie.gpu == gpu)


NOWHERE: Final = Placement()
"""No engine is known to run on any GPU."""


class Placer:
    """Keeps the placement up to date; looks only when there are other series than before."""

    def __init__(self) -> None:
        self._seen: object = None
        self._indexes: list[int] = []
        self._listed: list[float] = []
        self._reading: Reading = EMPTY_READING
        self.placement = NOWHERE

    def observe(self, frame: Frame) -> Placement:
        """Return who runs where at the time of the frame."""
        if frame.ids is not self._seen:
            self._prepare(frame)
        elif self._indexes and [frame.values[at] for at in self._indexes] != self._listed:
            # The driver renumbered its GPUs; what the configuration calls 0 is another.
            self._prepare(frame)
        return self.placement

    @property
    def reading(self) -> Reading:
        """The samples of `engine_gpu`; the same lists while nothing changes."""
        return self._reading

    def _prepare(self, frame: Frame) -> None:
        """Look at all series of a frame."""
        self._seen = frame.ids
        series = [frame.table[series_id] for series_id in frame.ids]
        self._indexes = [at for at, one in enumerate(series) if one.metric is gpu.INDEX]
        self._listed = [frame.values[at] for at in self._indexes]
        indexes = {
            series[at].labels[1]: f"{frame.values[at]:.0f}" for at in self._indexes
        }  # by uuid
        placement = place(series, indexes)
        if placement == self.placement:
            return
        self.placement = placement
        ids = [
            frame.table.intern(catalog.ENGINE_GPU, (*tie.instance, *tie.gpu, tie.evidence))
            for tie in placement.ties
        ]
        self._reading = Reading(ids, [1.0] * len(ids))


def place(series: Iterable[Series], indexes: Mapping[str, str]) -> Placement:
    """Return who runs where.

    Args:
        series: what a frame holds.
        indexes: by uuid, the index at which the driver lists a GPU now, where that is known.
    """
    known: set[GpuKey] = set()
    owners: dict[str, list[tuple[Instance, str]]] = {}
    pinned: dict[Instance, list[str]] = {}
    holders: dict[str, list[GpuKey]] = {}
    for one in series:
        if one.metric in _GPU_METRICS:
            key = GpuKey(*one.labels[:_GPU_LABELS])
            known.add(key)
            if one.metric is gpu.PROCESS_MEMORY:
                holders.setdefault(one.labels[_GPU_LABELS], []).append(key)
        elif one.metric is catalog.PROCESS_INFO:
            engine, name, _role, pid, rank = one.labels
            owners.setdefault(pid, []).append((Instance(engine, name), rank))
        elif one.metric is catalog.PINNED_INFO:
            engine, name, device = one.labels
            pinned.setdefault(Instance(engine, name), []).append(device)
    ties = _by_process(owners, holders)
    seen = {(tie.instance, tie.gpu): tie for tie in ties}
    ties = [tie for tie in ties if tie.instance not in pinned]
    unresolved: dict[Instance, tuple[str, ...]] = {}
    for instance, devices in pinned.items():
        found = {device: _resolve(device, known, indexes) for device in devices}
        for key in dict.fromkeys(key for key in found.values() if key is not None):
            by_process = seen.get((instance, key))
            ties.append(
                Tie(
                    instance,
                    key,
                    Evidence.CONFIG,
                    ranks=by_process.ranks if by_process else frozenset(),
                    pids=by_process.pids if by_process else frozenset(),
                )
            )
        missing = tuple(device for device, key in found.items() if key is None)
        if missing:
            unresolved[instance] = missing
    return Placement(tuple(sorted(ties, key=_order)), unresolved)


def _by_process(
    owners: Mapping[str, Sequence[tuple[Instance, str]]], holders: Mapping[str, Sequence[GpuKey]]
) -> list[Tie]:
    """Return the ties that the driver's lists of processes show."""
    ranks: dict[tuple[Instance, GpuKey], set[str]] = {}
    pids: dict[tuple[Instance, GpuKey], set[str]] = {}
    for pid, owned in owners.items():
        keys = holders.get(pid, ())
        # The GPU that is cut up may list the processes of its MIG instances too.
        cut_up = {key.gpu for key in keys if key.mig}
        for key in keys:
            if not key.mig and key.gpu in cut_up:
                continue
            for instance, rank in owned:
                ranks.setdefault((instance, key), set()).add(rank)
                pids.setdefault((instance, key), set()).add(pid)
    return [
        Tie(instance, key, Evidence.PROCESS, frozenset(found), frozenset(pids[instance, key]))
        for (instance, key), found in ranks.items()
    ]


def _resolve(device: str, known: Iterable[GpuKey], indexes: Mapping[str, str]) -> GpuKey | None:
    """Return the GPU that the configuration calls by an index or an identifier."""
    for key in known:
        if key.uuid == device or (not key.mig and indexes.get(key.uuid, key.gpu) == device):
            return key
    return None


def _order(tie: Tie) -> tuple[Instance, int, GpuKey]:
    """Order GPUs by number, not by text."""
    number = int(tie.gpu.gpu) if tie.gpu.gpu.isdecimal() else -1
    return tie.instance, number, tie.gpu


def as_json(placement: Placement) -> list[dict[str, object]]:
    """Return the placement for people: one entry an engine and GPU, then what was not found."""
    entries: list[dict[str, object]] = [
        {
            "engine": tie.instance.engine,
            "instance_name": tie.instance.instance_name,
            **tie.gpu._asdict(),
            "evidence": str(tie.evidence),
            "ranks": sorted(rank for rank in tie.ranks if rank),
            "pids": sorted(int(pid) for pid in tie.pids),
        }
        for tie in placement.ties
    ]
    entries += [
        {**instance._asdict(), "evidence": str(Evidence.CONFIG), "not_found": list(devices)}
        for instance, devices in placement.unresolved.items()
    ]
    return entries
