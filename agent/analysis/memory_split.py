"""What the memory of a GPU is spent on, as each engine on it sees it.

what its processes hold = weights + kv_cache + other + growth
the whole GPU           = all of that + other_tenants + unlisted + driver_reserved + free

Each part is measured, derived or unknown. Weights and KV cache are measured where the agent saw the
engine start (`agent.analysis.memory_start`), else derived from the files of the model.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from agent.analysis.memory_lanes import Lane, Values, lanes_of, total, value
from agent.analysis.memory_start import Levels, Start, reservation
from agent.analysis.placement import GpuKey, Instance, Placement
from agent.catalog import placement as catalog
from agent.model import Frame, Metric

FLAT: Final = 10.0
"""Seconds for which memory must be level before an engine counts as ready."""

_RESTLESS: Final = 30.0  # the same where others on the GPU keep its memory moving
_REMEMBERED: Final = 600.0  # seconds without a word of the driver about an engine that goes on
_LEVEL: Final = 32.0 * 2**20  # bytes within which memory is level
_EXCESS: Final = 1.05  # what is derived may be so much more than all that is held


class Known(StrEnum):
    """How a part is known."""

    MEASURED = "measured"
    DERIVED = "derived"


class Part(NamedTuple):
    """Bytes, and how they are known, in a word and for people."""

    size: float
    evidence: Known
    how: str


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """The split of one GPU for one engine.

    Attributes:
        instance: the engine.
        gpu: the GPU.
        held: bytes that its processes hold there, or None where nobody says.
        ready_at: when the engine was taken for ready, in Unix seconds; None before.
        parts: by name; what is unknown is absent.
        unknown: by the name of a part, why it is.
    """

    instance: Instance
    gpu: GpuKey
    held: float | None
    ready_at: float | None
    parts: Mapping[str, Part]
    unknown: Mapping[str, str]


@dataclass(slots=True)
class _Track:
    """What was seen of one engine on one GPU since it started."""

    pids: frozenset[str]
    seen: float = 0.0
    started: float | None = None
    level: float = -1.0
    level_since: float = 0.0
    ready_at: float | None = None
    at_ready: float = 0.0
    watched: bool = False
    start: Start | None = None

    def is_another(self, pids: frozenset[str], started: float | None) -> bool:
        """Return whether the engine was started anew."""
        if self.started is not None and started is not None and abs(started - self.started) > 1.0:
            return True
        return bool(self.pids) and bool(pids) and self.pids.isdisjoint(pids)


@dataclass(slots=True)
class _Use:
    """The memory in use of one GPU: its history, and since when it is level."""

    levels: Levels = field(default_factory=Levels)
    level: float = -1.0
    since: float = 0.0


class MemorySplitter:
    """Splits the memory of each GPU for each engine on it; remembers how the engines started."""

    def __init__(self) -> None:
        self._seen: object = None
        self._placement: Placement | None = None
        self._lanes: list[Lane] = []
        self._used: dict[GpuKey, int] = {}
        self._uses: dict[GpuKey, _Use] = {}
        self._tracks: dict[tuple[Instance, GpuKey], _Track] = {}

    def observe(self, frame: Frame, placement: Placement) -> list[GpuMemory]:
        """Return the split for each tie of the placement at the time of the frame."""
        if frame.ids is not self._seen or placement is not self._placement:
            self._seen, self._placement = frame.ids, placement
            self._lanes, self._used = lanes_of(frame, placement)
            since = frame.time - _REMEMBERED
            self._tracks = {key: one for key, one in self._tracks.items() if one.seen >= since}
        for gpu, at in self._used.items():
            self._watch(gpu, frame.time, frame.values[at])
        return [self._split(lane, frame) for lane in self._lanes]

    def _watch(self, gpu: GpuKey, time: float, used: float) -> None:
        """Keep the history of a GPU: an engine may start there that is not known yet."""
        use = self._uses.get(gpu)
        if use is None:
            use = self._uses[gpu] = _Use()
        use.levels.observe(time, used)
        if abs(used - use.level) > _LEVEL:
            use.level, use.since = used, time

    def _split(self, lane: Lane, frame: Frame) -> GpuMemory:
        """Return the split for one engine on one GPU."""
        values = frame.values
        held = lane.held(values)
        track = self._follow(lane, frame, held)
        parts: dict[str, Part] = {}
        unknown: dict[str, str] = {}
        if held is None:
            why = "it cannot be seen which processes on the GPU are the engine's"
            unknown = dict.fromkeys(_OWN + _OTHERS, why)
        else:
            if track.ready_at is None:
                unknown = dict.fromkeys(_OWN, "the engine is not ready yet")
            else:
                _own_parts(lane, track, held, values, parts=parts, unknown=unknown)
            _tenants(lane, held, values, parts, unknown)
        for name, at in (("driver_reserved", lane.reserved), ("free", lane.free)):
            size = value(at, values)
            if size is None:
                unknown[name] = "the driver does not say it"
            else:
                parts[name] = Part(size, Known.MEASURED, "the driver")
        return GpuMemory(lane.tie.instance, lane.tie.gpu, held, track.ready_at, parts, unknown)

    def _follow(self, lane: Lane, frame: Frame, held: float | None) -> _Track:
        """Bring up to date what is known of an engine since it started."""
        time, values, pids = frame.time, frame.values, lane.tie.pids
        key = (lane.tie.instance, lane.tie.gpu)
        started = value(lane.started, values)
        track = self._tracks.get(key)
        if track is None or track.is_another(pids, started):
            track = self._tracks[key] = _Track(pids)
        track.seen = time
        track.pids = pids or track.pids
        track.started = track.started if started is None else started
        if held is None or track.ready_at is not None:
            return track
        if abs(held - track.level) > _LEVEL:
            track.level, track.level_since = held, time
        use = self._uses.get(lane.tie.gpu)
        level_for = time - track.level_since
        calm = use is None or time - use.since >= FLAT or level_for >= _RESTLESS
        if value(lane.up, values) == 1.0 and level_for >= FLAT and calm:
            track.ready_at, track.at_ready = time, held
            _look_back(track, use, lane, values)
        return track


_OWN: Final = ("weights", "kv_cache", "other", "growth")
_OTHERS: Final = ("other_tenants", "unlisted")


def _look_back(track: _Track, use: _Use | None, lane: Lane, values: Values) -> None:
    """Find out what the start of an engine that is ready now reserved."""
    if use is None or track.started is None or track.ready_at is None:
        return
    moves = use.levels.between(track.started, track.ready_at)
    if moves is None:
        return
    track.watched = True
    expected, weights = lane.kv_cache(values), lane.weights(values)
    found: Start | None = None
    if expected is not None:
        found = reservation(moves, held=track.at_ready, expected=expected)
    if found is None:
        found = reservation(moves, held=track.at_ready)
    # Weights that are read fast rise like a reservation.
    if found is not None and (weights is None or found.weights >= weights / 2):
        track.start = found


def _own_parts(
    lane: Lane,
    track: _Track,
    held: float,
    values: Values,
    *,
    parts: dict[str, Part],
    unknown: dict[str, str],
) -> None:
    """Add the parts that are the engine's own."""
    if track.start is not None:
        step = "the step by which its memory rose when it started"
        before = "what it held before it reserved its KV cache"
        parts["weights"] = Part(track.start.weights, Known.MEASURED, before)
        parts["kv_cache"] = Part(track.start.kv_cache, Known.MEASURED, step)
    else:
        _derived_parts(lane, track.at_ready, values, parts, unknown)
    if "weights" not in parts or "kv_cache" not in parts:
        unknown["other"] = "weights or KV cache are unknown"
    elif "other" not in unknown:
        rest = max(0.0, track.at_ready - parts["weights"].size - parts["kv_cache"].size)
        evidence = parts["kv_cache"].evidence
        parts["other"] = Part(rest, evidence, "what it held besides when it was ready")
    since = "since it was ready" if track.watched else "since the agent first saw it ready"
    evidence = Known.MEASURED if track.watched and not lane.is_assumed else Known.DERIVED
    parts["growth"] = Part(held - track.at_ready, evidence, since)


def _derived_parts(
    lane: Lane,
    at_ready: float,
    values: Values,
    parts: dict[str, Part],
    unknown: dict[str, str],
) -> None:
    """Add weights and KV cache of an engine whose start was not seen."""
    weights, kv_cache = lane.weights(values), lane.kv_cache(values)
    if weights is None:
        unknown["weights"] = "its start was not seen, nor the files of its model"
        unknown["kv_cache"] = "its start was not seen, nor what a token takes"
        return
    if weights > _EXCESS * at_ready:
        unknown["weights"] = "the files of its model hold more than it does"
        unknown["kv_cache"] = unknown["weights"]
        return
    parts["weights"] = Part(weights, Known.DERIVED, "size of the model's files")
    if kv_cache is not None and weights + kv_cache <= _EXCESS * at_ready:
        how = "tokens that it can hold times the bytes of one"
        parts["kv_cache"] = Part(kv_cache, Known.DERIVED, how)
    elif kv_cache is None and lane.utilization:
        how = f"all beside its weights: it takes {lane.utilization} of the GPU in advance"
        parts["kv_cache"] = Part(max(0.0, at_ready - weights), Known.DERIVED, how)
        unknown["other"] = "cannot be told from the KV cache"
    else:
        unknown["kv_cache"] = "its start was not seen, nor what a token takes"


def _tenants(
    lane: Lane, held: float, values: Values, parts: dict[str, Part], unknown: dict[str, str]
) -> None:
    """Add what others hold on the GPU."""
    if lane.is_assumed:
        unknown.update(dict.fromkeys(_OTHERS, "all in use is taken for the engine's"))
        return
    listed = total(lane.others, values)
    parts["other_tenants"] = Part(listed, Known.MEASURED, "the driver's list of processes")
    used = value(lane.used, values)
    if used is None:
        unknown["unlisted"] = "the driver does not say what is in use"
        return
    rest = max(0.0, used - held - listed)
    parts["unlisted"] = Part(rest, Known.DERIVED, "in use by no process that the driver lists")


def samples(memory: GpuMemory) -> Iterator[tuple[Metric, tuple[str, ...], float]]:
    """Yield the samples of a split: metric, label values, value."""
    labels = (*memory.instance, *memory.gpu)
    for name, part in memory.parts.items():
        yield catalog.GPU_MEMORY, (*labels, name, part.evidence.value), part.size


def as_json(memory: GpuMemory) -> dict[str, Any]:
    """Return the split for people."""
    return {
        **memory.instance._asdict(),
        **memory.gpu._asdict(),
        "held_bytes": memory.held,
        "ready_time_seconds": memory.ready_at,
        "parts": {
            name: {"bytes": part.size, "evidence": part.evidence.value, "how": part.how}
            for name, part in memory.parts.items()
        },
        "unknown": dict(memory.unknown),
    }
