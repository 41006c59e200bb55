"""What a learned model holds for: an engine with these flags, on these GPUs, with this driver.

Only what is known is compared: a driver that does not answer yet changes nothing.
"""

import math
from collections.abc import Container, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from agent.analysis.replicas import GpuKey, Replica
from agent.analysis.window import View
from agent.catalog import engine, gpu
from agent.model import Frame, Metric

Fingerprint: TypeAlias = dict[str, str | float]
"""What is known, by name."""

TOLERANCE: Final = 0.05
"""Measured sizes that differ by less are the same: an engine sizes its cache anew at each start."""

_MEASURED: Final = frozenset({"kv_cache_tokens"})

_INSTANCE: Final = len(engine.INSTANCE)
_GPU: Final = len(gpu.LABELS)
_NUMBERS: Final = {
    "max_num_seqs": engine.MAX_NUM_SEQS,
    "max_num_batched_tokens": engine.MAX_NUM_BATCHED_TOKENS,
    "max_model_len": engine.MAX_MODEL_LEN,
    "kv_cache_tokens": engine.KV_CACHE_CAPACITY,
}


class _Read(NamedTuple):
    """What a fingerprint follows from, besides the labels of info series.

    Attributes:
        numbers: those of the page, by name.
        gpus: that the replica runs on.
    """

    numbers: Mapping[str, float]
    gpus: Sequence[GpuKey]


class Facts:
    """Knows of each engine and GPU what stands in the labels of its info series."""

    def __init__(self) -> None:
        self._seen: object = None
        self._engines: dict[tuple[str, ...], dict[str, str]] = {}
        self._gpus: dict[tuple[str, ...], dict[str, str]] = {}
        self._known: dict[Replica, tuple[_Read, Fingerprint]] = {}

    def observe(self, frame: Frame) -> None:
        """Take note of a frame; looks only when there are other series than before."""
        if frame.ids is self._seen:
            return
        self._seen = frame.ids
        self._engines, self._gpus, self._known = {}, {}, {}
        for series_id in frame.ids:
            series = frame.table[series_id]
            if series.metric is engine.INFO:
                own = series.labels[:_INSTANCE]
                self._engines[own] = dict(zip(series.metric.labels, series.labels, strict=True))
            elif series.metric is gpu.INFO:
                self._gpus[series.labels[:_GPU]] = dict(
                    zip(series.metric.labels, series.labels, strict=True)
                )

    def gpus(self) -> Mapping[tuple[str, ...], Mapping[str, str]]:
        """Return the facts of each GPU that is shown, by its labels."""
        return self._gpus

    def fingerprint(
        self, replica: Replica, view: View, gpus: Sequence[GpuKey], *, told: Container[Metric] = ()
    ) -> Fingerprint:
        """Return what is known of a replica.

        Args:
            replica: which.
            view: of it.
            gpus: that it runs on.
            told: limits that somebody told; who tells another one has started no other engine.
        """
        numbers = {
            name: value
            for name, metric in _NUMBERS.items()
            if metric not in told and not math.isnan(value := view.now(metric))
        }
        read = _Read(numbers, gpus)
        before = self._known.get(replica)
        if before is not None and before[0] == read:
            return before[1]
        known = self._fingerprint(replica, read)
        self._known[replica] = (read, known)
        return known

    def _fingerprint(self, replica: Replica, read: _Read) -> Fingerprint:
        """Return what is known of a replica, in which its numbers and GPUs are these."""
        known: Fingerprint = {"model_name": replica.model_name} if replica.model_name else {}
        own = self._engines.get(replica[:_INSTANCE], {})
        known.update({name: own[name] for name in engine.INFO.labels[_INSTANCE:] if own.get(name)})
        known.update(read.numbers)
        infos = [self._gpus.get(tuple(key), {}) for key in read.gpus]
        if read.gpus and all(infos):
            known["gpus"] = ", ".join(sorted(key[1] for key in read.gpus))
            known["gpu_names"] = ", ".join(sorted({one.get("name", "") for one in infos}))
            versions = {one["driver_version"] for one in infos if one.get("driver_version")}
            if versions:
                known["driver_version"] = ", ".join(sorted(versions))
        return known


def differences(before: Mapping[str, str | float], now: Mapping[str, str | float]) -> list[str]:
    """Return a phrase for each thing that is known of both and is another now."""
    return [
        f"{name} is {_shown(now[name])}, was {_shown(value)}"
        for name, value in before.items()
        if name in now and not _same(name, value, now[name])
    ]


def _same(name: str, before: str | float, now: str | float) -> bool:
    """Return whether two values mean the same."""
    if name not in _MEASURED or isinstance(before, str) or isinstance(now, str):
        return before == now
    return math.isclose(before, now, rel_tol=TOLERANCE)


def _shown(value: str | float) -> str:
    """Return a value for people."""
    return repr(value) if isinstance(value, str) else f"{value:g}"
