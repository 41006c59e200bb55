"""What an incident was, read from its recording: when, what, who held what, when it was over."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agent.catalog import agent as agent_catalog
from agent.catalog import engine, forecast, gpu, host, placement, process, verdict
from agent.incidents.folder import Entry as File
from agent.incidents.folder import IncidentError
from agent.incidents.summary import facts_of, summary
from agent.model import Event, Metric, RecordingError, SeriesTable
from agent.recording import RecordedTick, RecordingReader

TOP: Final = 8
"""Processes that are named of each kind."""

_ENDS: Final = frozenset({"engine_recovered", "alert_resolved"})


@dataclass(slots=True)
class _Moment:
    """All values of one tick, by metric and labels."""

    time: float
    values: dict[Metric, dict[tuple[str, ...], float]] = field(default_factory=dict)

    def of(self, metric: Metric) -> Mapping[tuple[str, ...], float]:
        """Return the values of a metric by the values of its labels."""
        return self.values.get(metric, {})


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the timeline: Unix seconds, what kind of thing, and a sentence."""

    time: float
    kind: str
    text: str


def post_mortem(path: Path) -> dict[str, Any]:
    """Return the account of an incident, with units in the names.

    Raises:
        RecordingError: the file is none, or not one tick of it can be read.
        IncidentError: it is a recording of something else.
    """
    table = SeriesTable()
    reader = RecordingReader(path, table)
    try:
        facts = facts_of(reader.header)
    except ValueError as error:
        raise IncidentError(f"{path}: {error}") from None
    account = _Account(table, since=facts.since, time=facts.time)
    try:
        for tick in reader.ticks():
            account.take(tick)
    except RecordingError:  # what came before is worth telling
        if account.start is None:
            raise
    if account.start is None or account.end is None:
        raise RecordingError(f"{path}: holds no ticks")
    name = path.name.partition(".")[0]
    problem = summary(File(name, path, 0)).problem
    moment = account.before or account.moment or _Moment(account.start)
    return {
        "id": name,
        "trigger": facts.trigger,
        "engine": facts.engine,
        "text": facts.text,
        "began_timestamp_seconds": facts.since,
        "detected_timestamp_seconds": facts.time,
        "detection_delay_seconds": max(0.0, facts.time - facts.since),
        "ended_timestamp_seconds": account.ended(facts.engine),
        "recorded": {
            "start_timestamp_seconds": account.start,
            "end_timestamp_seconds": account.end,
            "ticks": account.ticks,
            "until_timestamp_seconds": facts.until,
            "problem": problem,
        },
        "timeline": [
            {"timestamp_seconds": one.time, "kind": one.kind, "text": one.text}
            for one in sorted(account.timeline, key=lambda one: one.time)
        ],
        "moment_timestamp_seconds": moment.time,
        "engines": list(_engines(moment)),
        "memory_split": list(_memory_split(moment)),
        "gpus": list(_gpus(moment)),
        "host_memory": _host_memory(moment),
        "processes_by_gpu_memory": _top(_gpu_processes(moment)),
        "processes_by_host_memory": _top(_host_processes(moment)),
        "forecasts": list(_forecasts(moment)),
    }


class _Account:
    """Follows the ticks of an incident.

    Attributes:
        before: the last tick before it began.
        moment: the tick at which it was detected.
    """

    def __init__(self, table: SeriesTable, *, since: float, time: float) -> None:
        self.start: float | None = None
        self.end: float | None = None
        self.ticks = 0
        self.timeline: list[Entry] = []
        self.before: _Moment | None = None
        self.moment: _Moment | None = None
        self._table = table
        self._since = since
        self._time = time
        self._up: dict[tuple[str, ...], float] = {}
        self._verdicts: dict[tuple[str, ...], str] = {}
        self._ends: list[Event] = []
        self._told: set[float] = set()

    def take(self, tick: RecordedTick) -> None:
        """Take a tick."""
        self.start = tick.time if self.start is None else self.start
        self.end = tick.time
        self.ticks += 1
        moment = _Moment(tick.time)
        for look in tick.looks:
            if look.reading is None:
                continue
            self._events(look.reading.events, tick.time)
            for series_id, value in zip(look.reading.ids, look.reading.values, strict=True):
                series = self._table[series_id]
                if not series.suffix:
                    moment.values.setdefault(series.metric, {})[series.labels] = value
        if not moment.values:
            return
        if tick.time < self._since:
            self.before = moment
        if tick.time <= self._time:
            self.moment = moment
        self._follow(moment)

    def _events(self, events: Iterable[Event], time: float) -> None:
        """Put events on the timeline."""
        for event in events:
            self.timeline.append(Entry(event.time, event.kind, event.message or event.kind))
            if event.kind == "verdict_changed":
                self._told.add(time)
            if event.kind in _ENDS and event.time >= self._since:
                self._ends.append(event)

    def _follow(self, moment: _Moment) -> None:
        """Put on the timeline what changed in states."""
        for labels, up in moment.of(agent_catalog.ENGINE_UP).items():
            before = self._up.get(labels)
            self._up[labels] = up
            if before is not None and before != up:
                text = f"{' '.join(labels)} {'answers' if up else 'does not answer'}"
                self.timeline.append(Entry(moment.time, "engine_up", text))
        for labels, value in moment.of(verdict.VERDICT).items():
            replica, cause = labels[:-1], labels[-1]
            if value != 1.0 or self._verdicts.get(replica) == cause:
                continue
            was = self._verdicts.get(replica)
            self._verdicts[replica] = cause
            if moment.time in self._told:
                continue  # an event says it, and why
            text = f"{_name(replica)}: {cause}" + (f", before that {was}" if was else "")
            self.timeline.append(Entry(moment.time, "verdict", text))

    def ended(self, instance_name: str) -> float | None:
        """Return when the trouble was over, None where that is not in the recording."""
        about = [
            event
            for event in self._ends
            if not instance_name or event.labels.get("instance_name") == instance_name
        ]
        recovered = [event.time for event in about if event.kind == "engine_recovered"]
        if recovered:
            return recovered[-1]
        return about[-1].time if about else None


def _name(labels: tuple[str, ...]) -> str:
    """Return the labels of a replica for people."""
    return " ".join(label for label in labels if label)


def _engines(moment: _Moment) -> Iterator[dict[str, Any]]:
    """Yield what each engine was at."""
    verdicts = {
        labels[:-1]: labels[-1]
        for labels, value in moment.of(verdict.VERDICT).items()
        if value == 1.0
    }
    replicas = {*moment.of(engine.REQUESTS_RUNNING), *verdicts}
    for replica in sorted(replicas):
        yield {
            **dict(zip(engine.LABELS, replica, strict=True)),
            "up": moment.of(agent_catalog.ENGINE_UP).get(replica[:2]) == 1.0,
            "verdict": verdicts.get(replica),
            "requests_running": moment.of(engine.REQUESTS_RUNNING).get(replica),
            "requests_waiting": moment.of(engine.REQUESTS_WAITING).get(replica),
            "kv_cache_usage_ratio": moment.of(engine.KV_CACHE_USAGE).get(replica),
        }


def _memory_split(moment: _Moment) -> Iterator[dict[str, Any]]:
    """Yield the parts of the memory of each engine's GPUs."""
    for labels, size in sorted(moment.of(placement.GPU_MEMORY).items()):
        yield {
            **dict(zip(placement.GPU_MEMORY.labels, labels, strict=True)),
            "size_bytes": size,
        }


def _gpus(moment: _Moment) -> Iterator[dict[str, Any]]:
    """Yield the memory of each GPU."""
    for labels, used in sorted(moment.of(gpu.MEMORY_USED).items()):
        yield {
            **dict(zip(gpu.LABELS, labels, strict=True)),
            "used_bytes": used,
            "free_bytes": moment.of(gpu.MEMORY_FREE).get(labels),
            "total_bytes": moment.of(gpu.MEMORY_TOTAL).get(labels),
        }


def _host_memory(moment: _Moment) -> dict[str, Any]:
    """Return the memory of the host."""
    return {
        "available_bytes": moment.of(host.MEMORY_AVAILABLE).get(()),
        "total_bytes": moment.of(host.MEMORY_TOTAL).get(()),
        "swap_used_bytes": moment.of(host.SWAP_USED).get(()),
    }


def _gpu_processes(moment: _Moment) -> Iterator[dict[str, Any]]:
    """Yield the memory of each process on a GPU."""
    for labels, size in moment.of(gpu.PROCESS_MEMORY).items():
        yield {**dict(zip(gpu.PROCESS_MEMORY.labels, labels, strict=True)), "size_bytes": size}


def _host_processes(moment: _Moment) -> Iterator[dict[str, Any]]:
    """Yield the memory of the processes of each role of each engine."""
    for labels, size in moment.of(process.RESIDENT_MEMORY).items():
        yield {**dict(zip(process.LABELS, labels, strict=True)), "size_bytes": size}


def _top(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the largest."""
    return sorted(found, key=lambda one: -float(one["size_bytes"]))[:TOP]


_FORECASTS: Final[tuple[Metric, ...]] = tuple(
    metric
    for metric in vars(forecast).values()
    if isinstance(metric, Metric) and "bound" in metric.labels
)


def _forecasts(moment: _Moment) -> Iterator[dict[str, Any]]:
    """Yield what was foreseen, the bounds of each together."""
    for metric in _FORECASTS:
        bounds: dict[tuple[str, ...], dict[str, float]] = {}
        for labels, seconds in moment.of(metric).items():
            bounds.setdefault(labels[:-1], {})[labels[-1]] = seconds
        for labels, found in sorted(bounds.items()):
            named = dict(zip(metric.labels[:-1], labels, strict=True))
            yield {
                "metric": metric.name,
                "labels": {name: value for name, value in named.items() if value},
                "low_seconds": found.get("low"),
                "estimate_seconds": found.get("estimate"),
                "high_seconds": found.get("high"),
            }
