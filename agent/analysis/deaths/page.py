"""What a frame says of one engine, as far as its life depends on it."""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from agent.catalog import agent as agent_catalog
from agent.catalog import engine as catalog
from agent.catalog import incident, process
from agent.model import Frame, Metric, Series

Instance = tuple[str, str]
"""The labels `engine` and `instance_name`."""


class Page(NamedTuple):
    """The numbers of one engine at one tick, over all of its replicas; None is unknown.

    Attributes:
        up: whether its page could be read at this tick; what follows is of the last that could.
        servers: server processes of it on this host.
        started: Unix seconds, as its page or the process behind it said.
        began: Unix seconds at which the server process that runs now began.
        requests: running and waiting.
        running: of these.
        kv_usage: the highest of its replicas.
        preemptions, steps, tokens, finished: counters.
        answers: HTTP answers, or requests that ended where it does not count answers.
        errors: how many of these failed.
        oom_kills: in the cgroup of its server.
    """

    up: bool
    servers: float | None
    started: float | None
    began: float | None
    requests: float | None
    running: float | None
    kv_usage: float | None
    preemptions: float | None
    steps: float | None
    tokens: float | None
    finished: float | None
    answers: float | None
    errors: float | None
    oom_kills: float | None

    def moved(self, before: "Page | None") -> bool:
        """Return whether the engine did anything since another page, or has nothing to do.

        One that does not count its steps is taken to move.
        """
        if before is None or not self.requests or self.steps is None:
            return True
        return self.steps != before.steps or self.tokens != before.tokens


_PLACES: Final[dict[tuple[Metric, str], str]] = {
    (agent_catalog.ENGINE_UP, ""): "up",
    (catalog.START_TIME, ""): "started",
    (process.SERVER_START, ""): "began",
    (catalog.REQUESTS_WAITING, ""): "waiting",
    (catalog.REQUESTS_RUNNING, ""): "running",
    (catalog.KV_CACHE_USAGE, ""): "kv_usage",
    (catalog.PREEMPTIONS, ""): "preemptions",
    (catalog.STEPS, ""): "steps",
    (catalog.GENERATION_TOKENS, ""): "tokens",
    (incident.CGROUP_OOM_KILLS, ""): "oom_kills",
}

_SUMS: Final = (
    "servers",
    "started",
    "began",
    "running",
    "waiting",
    "preemptions",
    "steps",
    "tokens",
    "finished",
    "answers",
    "errors",
    "oom_kills",
)
"""What is added up over all replicas of an engine."""


class PageReader:
    """Finds the numbers of every engine in frames; prepared once for each layout."""

    def __init__(self) -> None:
        self._seen: Sequence[int] | None = None
        self._readers: dict[Instance, Callable[[Sequence[float]], Page]] = {}

    def read(self, frame: Frame) -> dict[Instance, Page]:
        """Return the numbers of each engine that is watched."""
        if frame.ids is not self._seen:
            self._seen = frame.ids
            self._readers = dict(_readers(frame))
        values = frame.values
        return {instance: read(values) for instance, read in self._readers.items()}


def _readers(frame: Frame) -> Iterable[tuple[Instance, Callable[[Sequence[float]], Page]]]:
    """Yield what reads the numbers of each engine out of the values of a frame."""
    places: dict[Instance, dict[str, list[int]]] = {}
    for position, series_id in enumerate(frame.ids):
        series = frame.table[series_id]
        for name in _names(series):
            instance = (series.labels[0], series.labels[1])
            places.setdefault(instance, {}).setdefault(name, []).append(position)
    for instance, found in places.items():
        if "up" in found:
            yield instance, _reader(found)


def _names(series: Series) -> tuple[str, ...]:
    """Return for which numbers a series counts."""
    name = _PLACES.get((series.metric, series.suffix))
    if name is not None:
        return (name,)
    last = series.labels[-1] if series.labels else ""
    if series.metric is process.PROCESSES:
        return ("servers",) if last == "server" else ()
    if series.metric is catalog.HTTP_RESPONSES:
        return ("answers", "errors") if last.startswith("5") else ("answers",)
    if series.metric is catalog.REQUESTS_FINISHED:
        return ("finished", "errors") if last == "error" else ("finished",)
    return ()


def _reader(places: dict[str, list[int]]) -> Callable[[Sequence[float]], Page]:
    """Return what reads the numbers at these positions."""
    answers = "answers" if "answers" in places else "finished"
    found = [places.get(answers if name == "answers" else name, ()) for name in _SUMS]
    up, usage = places["up"][0], places.get("kv_usage", ())
    # The first of each at one stroke; the few that are missing, or of several, after it.
    first = itemgetter(*(one[0] if one else up for one in found))
    further = [(index, place) for index, one in enumerate(found) for place in one[1:]]
    missing = [index for index, one in enumerate(found) if not one]

    def read(values: Sequence[float]) -> Page:
        sums: list[Any] = [*first(values)]
        for index, place in further:
            sums[index] += values[place]
        for index in missing:
            sums[index] = None
        servers, started, began, running, waiting, preemptions = sums[:6]
        steps, tokens, finished, answered, errors, oom_kills = sums[6:]
        return Page(
            up=values[up] == 1.0,
            servers=servers,
            started=started,
            began=began,
            requests=_both(running, waiting),
            running=running,
            kv_usage=max([values[place] for place in usage], default=None),
            preemptions=preemptions,
            steps=steps,
            tokens=tokens,
            finished=finished,
            answers=answered,
            errors=None if answered is None else errors or 0.0,
            oom_kills=oom_kills,
        )

    return read


def _both(one: float | None, other: float | None) -> float | None:
    """Return the sum of those of two numbers that are known."""
    if one is None or other is None:
        return other if one is None else one
    return one + other
