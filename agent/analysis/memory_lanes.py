"""Where in a frame stands what the split of a GPU's memory is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agent.analysis.placement import Evidence, GpuKey, Placement, Tie
from agent.catalog import agent, engine, gpu
from agent.catalog import placement as catalog
from agent.model import Frame, Metric, Series

_GPU: Final = len(gpu.LABELS)
_INSTANCE: Final = len(engine.INSTANCE)
_UTILIZATION: Final = engine.INFO.labels.index("gpu_memory_utilization")

Values = Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One engine on one GPU: the positions of its values in frames of one layout.

    Attributes:
        tie: which engine and which GPU.
        own: memory of each of its processes there.
        others: memory of each other process there.
        used, free, reserved: memory of the GPU.
        up: whether its page answers.
        started: when its server started.
        capacity: tokens of KV cache at each of its ranks.
        token_size: bytes of one token over the GPUs of one rank.
        weights_size: bytes of the weights over the GPUs of one rank.
        gpus: how many GPUs the engine has.
        ranks: how many data-parallel ranks it has.
        utilization: share of the GPU that it was told to take, as it was told; empty if unknown.
        alone: no other engine is placed there.
    """

    tie: Tie
    own: tuple[int, ...]
    others: tuple[int, ...]
    used: int | None
    free: int | None
    reserved: int | None
    up: int | None
    started: int | None
    capacity: tuple[int, ...]
    token_size: int | None
    weights_size: int | None
    gpus: int
    ranks: int
    utilization: str
    alone: bool

    @property
    def is_assumed(self) -> bool:
        """Return whether what is in use is taken for the engine's, for want of anything better."""
        return not self.own and self.tie.evidence is Evidence.CONFIG and self.alone

    def held(self, values: Values) -> float | None:
        """Return the bytes that the engine holds there."""
        if self.own:
            return total(self.own, values)
        return value(self.used, values) if self.is_assumed else None

    def weights(self, values: Values) -> float | None:
        """Return the bytes of its weights there, by the files of the model."""
        size = value(self.weights_size, values)
        return None if size is None else size * self.ranks / self.gpus

    def kv_cache(self, values: Values) -> float | None:
        """Return the bytes of its KV cache there, by the model's description.

        None where the weights are unknown: part of the model may then lie elsewhere.
        """
        size = value(self.token_size, values)
        if size is None or self.weights_size is None or not self.capacity:
            return None
        return total(self.capacity, values) * size / self.gpus


def value(at: int | None, values: Values) -> float | None:
    """Return the value at a position, if there is one."""
    return None if at is None else values[at]


def total(places: Sequence[int], values: Values) -> float:
    """Return the sum of the values at positions."""
    return sum([values[at] for at in places])


def lanes_of(frame: Frame, placement: Placement) -> tuple[list[Lane], dict[GpuKey, int]]:
    """Return a lane for each tie of the placement, and where the memory in use of each GPU is."""
    by_gpu: dict[GpuKey, dict[Metric, int]] = {}
    processes: dict[GpuKey, list[tuple[str, int]]] = {}
    by_instance: dict[tuple[str, ...], dict[Metric, list[tuple[Series, int]]]] = {}
    for at, series_id in enumerate(frame.ids):
        series = frame.table[series_id]
        if series.metric is gpu.PROCESS_MEMORY:
            key = GpuKey(*series.labels[:_GPU])
            processes.setdefault(key, []).append((series.labels[_GPU], at))
        elif series.metric in _OF_GPU:
            by_gpu.setdefault(GpuKey(*series.labels[:_GPU]), {})[series.metric] = at
        elif series.metric in _OF_ENGINE:
            found = by_instance.setdefault(series.labels[:_INSTANCE], {})
            found.setdefault(series.metric, []).append((series, at))
    lanes = [
        _lane(
            tie,
            placement,
            by_gpu.get(tie.gpu, {}),
            processes.get(tie.gpu, []),
            by_instance.get(tie.instance, {}),
        )
        for tie in placement.ties
    ]
    used = {
        key: found[gpu.MEMORY_USED] for key, found in by_gpu.items() if gpu.MEMORY_USED in found
    }
    return lanes, used


_OF_GPU: Final = frozenset({gpu.MEMORY_USED, gpu.MEMORY_FREE, gpu.MEMORY_RESERVED})
_OF_ENGINE: Final = frozenset(
    {
        agent.ENGINE_UP,
        engine.START_TIME,
        engine.KV_CACHE_CAPACITY,
        engine.REQUESTS_RUNNING,
        engine.INFO,
        catalog.WEIGHTS_SIZE,
        catalog.KV_CACHE_TOKEN_SIZE,
    }
)


def _lane(
    tie: Tie,
    placement: Placement,
    of_gpu: dict[Metric, int],
    processes: list[tuple[str, int]],
    of_engine: dict[Metric, list[tuple[Series, int]]],
) -> Lane:
    """Return the lane of one tie."""

    def first(metric: Metric) -> int | None:
        found = of_engine.get(metric)
        return found[0][1] if found else None

    about = of_engine.get(engine.INFO)
    ranks = {series.labels for series, _at in of_engine.get(engine.REQUESTS_RUNNING, [])}
    return Lane(
        tie=tie,
        own=tuple(at for pid, at in processes if pid in tie.pids),
        others=tuple(at for pid, at in processes if pid not in tie.pids),
        used=of_gpu.get(gpu.MEMORY_USED),
        free=of_gpu.get(gpu.MEMORY_FREE),
        reserved=of_gpu.get(gpu.MEMORY_RESERVED),
        up=first(agent.ENGINE_UP),
        started=first(engine.START_TIME),
        capacity=tuple(at for _series, at in of_engine.get(engine.KV_CACHE_CAPACITY, [])),
        token_size=first(catalog.KV_CACHE_TOKEN_SIZE),
        weights_size=first(catalog.WEIGHTS_SIZE),
        gpus=len(placement.gpus_of(*tie.instance)),
        ranks=max(1, len(ranks)),
        utilization=about[0][0].labels[_UTILIZATION] if about else "",
        alone=len(placement.engines_on(tie.gpu)) == 1,
    )
