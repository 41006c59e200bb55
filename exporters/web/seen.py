"""All that the page shows at one moment, as plain data."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from agent.alerts.severe import SEVERE
from agent.catalog import agent as catalog
from agent.model import Frame, Metric

JSON = Mapping[str, Any]

RUNBOOKS: Final = "/runbooks"
"""Where the agent has them."""

_SHIPPED: Final = "inferwatch"
_SLIGHT: Final = ("info", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """A source as the page tells it."""

    name: str
    state: str
    detail: str


class Sample(NamedTuple):
    """A sample of a metric, with its labels by name."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Samples of one series.

    Attributes:
        labels: by name.
        times: Unix seconds, ascending.
        values: as many.
    """

    labels: Mapping[str, str]
    times: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert that fires or may soon.

    Attributes:
        name: of its rule.
        severity: as the rule says.
        firing: it fires; else its condition has not held for long enough yet.
        summary: one sentence.
        description: what it means and what to do.
        about: which engine, GPU or source.
        since: when its condition began to hold, on the clock of the frame.
        kept_since: since when its condition no longer holds, None while it does.
        runbook: where it is explained; without a host, on this one.
        instance_name: the engine that it is about; empty for none.
    """

    name: str
    severity: str
    firing: bool
    summary: str
    description: str
    about: str
    since: float
    kept_since: float | None
    runbook: str
    instance_name: str

    @property
    def rank(self) -> int:
        """0 for the most severe."""
        return 0 if self.severity in SEVERE else 2 if self.severity in _SLIGHT else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What there is to show.

    Attributes:
        host: what this agent is called.
        time: Unix seconds of the numbers, None before the first.
        silence: why they are too old to be true, or nothing.
        banner: a sentence for every visitor, such as that this is a replay.
        looked_for: what is looked for on a host, a sentence each.
        engines: the document of `/api/v1/engines`.
        capacity: that of `/api/v1/capacity`.
        alerts: those that fire or may soon, the worst first.
        sources: how each fares.
        pages: engines whose own page can be asked for.
        samples: those of the frame, by metric.
        courses: the last minutes of some, by metric.
    """

    host: str
    time: float | None
    silence: str
    banner: str
    looked_for: Sequence[str]
    engines: JSON
    capacity: JSON
    alerts: Sequence[Alert]
    sources: Sequence[SourceLine]
    pages: Sequence[str]
    samples: Mapping[Metric, Sequence[Sample]] = field(default_factory=dict)
    courses: Mapping[Metric, Sequence[Course]] = field(default_factory=dict)

    def value(self, metric: Metric, **labels: str) -> float | None:
        """Return the value of the first sample with these labels, None where there is none."""
        for sample in self.samples.get(metric, ()):
            if all(sample.labels.get(name) == value for name, value in labels.items()):
                return sample.value
        return None

    def instances(self) -> list[tuple[str, str]]:
        """Return engine and name of each engine that is known, in the order of names."""
        told = {(s.labels["engine"], s.labels["instance_name"]) for s in self._ups()}
        said = {(one["engine"], one["instance_name"]) for one in self.replicas()}
        return sorted(told | said, key=lambda one: (one[1], one[0]))

    def is_up(self, engine: str, name: str) -> bool | None:
        """Return whether an engine answers, None where that is not known yet."""
        up = self.value(catalog.ENGINE_UP, engine=engine, instance_name=name)
        return None if up is None else bool(up)

    def _ups(self) -> Sequence[Sample]:
        return self.samples.get(catalog.ENGINE_UP, ())

    def replicas(self) -> Sequence[JSON]:
        """Return what is concluded about each replica."""
        found: Sequence[JSON] = self.engines.get("replicas", ())
        return found

    def source(self, name: str) -> SourceLine | None:
        """Return a source by its name."""
        return next((one for one in self.sources if one.name == name), None)


class Samples:
    """Finds the samples of some metrics in one frame after the other."""

    def __init__(self, wanted: Collection[Metric]) -> None:
        self._wanted = frozenset(wanted)
        self._ids: Sequence[int] | None = None
        self._places: list[tuple[int, Metric, Mapping[str, str]]] = []

    def of(self, frame: Frame) -> dict[Metric, list[Sample]]:
        """Return the samples of a frame by metric."""
        if frame.ids is not self._ids:
            self._places = [*self._found(frame)]
            self._ids = frame.ids
        found: dict[Metric, list[Sample]] = {}
        for place, metric, labels in self._places:
            found.setdefault(metric, []).append(Sample(labels, frame.values[place]))
        return found

    def _found(self, frame: Frame) -> Iterator[tuple[int, Metric, Mapping[str, str]]]:
        """Yield where in frames with these series the metrics stand."""
        for place, number in enumerate(frame.ids):
            series = frame.table[number]
            if series.metric in self._wanted:
                yield (
                    place,
                    series.metric,
                    dict(zip(series.metric.labels, series.labels, strict=True)),
                )


_ABOUT: Final = ("instance_name", "model_name", "gpu", "source", "path", "receiver", "interface")


def alert_of(told: JSON) -> Alert:
    """Return an alert from the document that Prometheus's API has of it."""
    labels, notes = told["labels"], told["annotations"]
    about = [f"{name} {labels[name]}" for name in _ABOUT if labels.get(name)]
    return Alert(
        name=labels.get("alertname", ""),
        severity=labels.get("severity", ""),
        firing=told["state"] == "firing",
        summary=notes.get("summary", ""),
        description=notes.get("description", ""),
        about=", ".join(about),
        since=_moment(told["activeAt"]),
        kept_since=_moment(told["keepFiringSince"]) if "keepFiringSince" in told else None,
        runbook=_runbook(labels.get("ruleset", ""), notes.get("runbook_url", "")),
        instance_name=labels.get("instance_name", ""),
    )


def _runbook(ruleset: str, link: str) -> str:
    """Return where a runbook is; that of a shipped rule, if this agent has it, by its path alone.

    The name by which others reach this host need not be one that the reader's browser knows.
    """
    before, mark, anchor = link.partition(f"{RUNBOOKS}#")
    ours = ruleset == _SHIPPED and mark and "/" not in before.partition("://")[2]
    return f"{RUNBOOKS}#{anchor}" if ours else link


def _moment(text: str) -> float:
    """Return a time as JSON has it in Unix seconds."""
    return datetime.fromisoformat(text).timestamp()


def alerts_of(told: Sequence[JSON]) -> list[Alert]:
    """Return alerts, those that fire first, then by severity and age."""
    found = map(alert_of, told)
    return sorted(found, key=lambda one: (not one.firing, one.rank, one.since, one.name))
