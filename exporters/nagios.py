"""What the alerts and the state of the replicas are to Nagios, Icinga and their like."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

from agent.alerts.severe import SEVERE
from exporters.perfdata import Datum, Range, plain


class Status(IntEnum):
    """The states of a service, each with the exit status of a plugin."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


# From good to bad: what is not known hides no trouble.
_ORDER: Final = (Status.OK, Status.UNKNOWN, Status.WARNING, Status.CRITICAL)

SEVERITIES: Final[Mapping[str, Status]] = {
    **dict.fromkeys(SEVERE, Status.CRITICAL),
    "info": Status.OK,
    "none": Status.OK,
}
"""What the severities of alerts are, unless somebody says otherwise."""

_OTHERWISE: Final = Status.WARNING
_MOST_NAMED: Final = 3
_MOST_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number of a replica: its key in `/api/v1/signals`, and how plugins write it."""

    key: str
    unit: str = ""
    scale: float = 1.0
    most: float | None = None


GAUGES: Final[Mapping[str, Gauge]] = {
    "utilization": Gauge("utilization_ratio", "%", 100.0),
    "predicted_utilization": Gauge("predicted_utilization_ratio", "%", 100.0),
    "demand": Gauge("demand_tokens_per_minute"),
    "capacity": Gauge("capacity_tokens_per_minute"),
    "headroom": Gauge(""),
    "queue": Gauge("queue_requests"),
    "queue_wait": Gauge("queue_wait_p95_seconds", "s"),
    "kv_cache": Gauge("kv_cache_usage_ratio", "%", 100.0, 100.0),
}
"""The numbers of a replica, by the end of their label: shares in percent, tokens each minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is looked at, and what is how bad.

    Attributes:
        instances: names of engine instances; none for all, and then the host too.
        models: likewise of models.
        alerts: names of alerts, none for all.
        severities: what those are.
        limits: by gauge, where it should be: outside the first is a warning, the second critical.
    """

    instances: Collection[str] = ()
    models: Collection[str] = ()
    alerts: Collection[str] = ()
    severities: Mapping[str, Status] = field(default_factory=dict)
    limits: Mapping[str, tuple[Range | None, Range | None]] = field(default_factory=dict)

    @property
    def narrowed(self) -> bool:
        """Whether not all engines are meant."""
        return bool(self.instances or self.models)

    def means(self, labels: Mapping[str, Any]) -> bool:
        """Return whether an alert or a replica is of an instance and a model that is meant."""
        return (not self.instances or labels.get("instance_name") in self.instances) and (
            not self.models or labels.get("model_name") in self.models
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is said, and how bad it is."""

    status: Status
    text: str
    line: str = ""


def result(
    alerts: Sequence[Mapping[str, Any]], replicas: Sequence[Mapping[str, Any]], wanted: Wanted
) -> tuple[Status, str]:
    """Return the state of the service and the output of the plugin.

    Args:
        alerts: as `/api/v1/alerts` of Prometheus has them.
        replicas: as `/api/v1/signals` has them.
        wanted: see there.
    """
    chosen = [one for one in replicas if wanted.means(one)]
    served = {one["instance_name"] for one in chosen}
    findings = [*_alerts(alerts, served, wanted)]
    data: list[Datum] = []
    for replica in chosen:
        for datum in _data(replica, chosen, wanted):
            data.append(datum)
            findings += _limits(datum)
    if wanted.narrowed and not chosen and not findings:
        names = ", ".join([*wanted.instances, *wanted.models])
        findings.append(Finding(Status.UNKNOWN, f"nothing is known of {names}"))
    return _written(findings, data, chosen)


def failed(status: Status, text: str) -> tuple[Status, str]:
    """Return what is said where the agent could not be asked."""
    return status, f"{status.name} - {plain(text)}"


def _alerts(
    alerts: Sequence[Mapping[str, Any]], served: Collection[str], wanted: Wanted
) -> Iterator[Finding]:
    """Yield the alerts that fire and are meant, as findings."""
    severities = {**SEVERITIES, **wanted.severities}
    for alert in alerts:
        labels = alert["labels"]
        name, severity = labels.get("alertname", ""), labels.get("severity", "")
        if alert["state"] != "firing" or (wanted.alerts and name not in wanted.alerts):
            continue
        # An alert that names no model is of that which its instance serves.
        ours = "model_name" not in labels and labels.get("instance_name") in served
        if not wanted.means(labels) and not ours:
            continue
        about = labels.get("instance_name") or labels.get("gpu") or ""
        status = severities.get(severity.lower(), _OTHERWISE)
        said = f"{name} {about}".rstrip()
        summary = alert.get("annotations", {}).get("summary", "")
        yield Finding(status, said, f"[{status.name}] {said}: {summary} ({severity})")


def _data(
    replica: Mapping[str, Any], replicas: Sequence[Mapping[str, Any]], wanted: Wanted
) -> Iterator[Datum]:
    """Yield the numbers of a replica."""
    name = replica["instance_name"]
    alike = [one for one in replicas if one["instance_name"] == name]
    whose = f"{name}.{replica['model_name']}.{replica['rank']}" if len(alike) > 1 else name
    for gauge, told in GAUGES.items():
        value = _value(replica, told.key) if told.key else _headroom(replica)
        warning, critical = wanted.limits.get(gauge, (None, None))
        yield Datum(
            label=f"{whose}_{gauge}",
            value=None if value is None else value * told.scale,
            unit=told.unit,
            warning=warning,
            critical=critical,
            least=None if gauge == "headroom" else 0.0,
            most=told.most,
        )


def _value(replica: Mapping[str, Any], key: str) -> float | None:
    """Return a number of a replica, None where it is not known."""
    told = replica.get(key) or {}
    value = told.get("value", told.get("estimate"))
    return None if value is None else float(value)


def _headroom(replica: Mapping[str, Any]) -> float | None:
    """Return the tokens a minute that a replica could take more, None where that is not known."""
    capacity = _value(replica, "capacity_tokens_per_minute")
    demand = _value(replica, "demand_tokens_per_minute")
    return None if capacity is None or demand is None else capacity - demand


def _limits(datum: Datum) -> Iterator[Finding]:
    """Yield how a number violates its ranges; one that is not known violates none."""
    for limit, status in ((datum.critical, Status.CRITICAL), (datum.warning, Status.WARNING)):
        if limit is not None and datum.value is not None and limit.violated(datum.value):
            said = f"{datum.label} is {datum.value:.4g}{datum.unit}"
            yield Finding(status, said, f"[{status.name}] {said} (range {limit.text})")
            return


def _written(
    findings: Sequence[Finding], data: Sequence[Datum], replicas: Sequence[Mapping[str, Any]]
) -> tuple[Status, str]:
    """Return the state and the output: a line with the numbers, then a line for each finding."""
    worst_first = sorted(findings, key=lambda one: -_ORDER.index(one.status))
    status = worst_first[0].status if worst_first else Status.OK
    bad = [one for one in worst_first if one.status is not Status.OK]
    named = ", ".join(one.text for one in bad[:_MOST_NAMED])
    if len(bad) > _MOST_NAMED:
        named += f" and {len(bad) - _MOST_NAMED} more"
    seen = "1 engine replica is" if len(replicas) == 1 else f"{len(replicas)} engine replicas are"
    text = named or f"{seen} watched, and nothing fires that is worse than info"
    first = f"{status.name} - {plain(text)}"
    if data:
        first += " | " + " ".join(map(str, data))
    lines = [plain(one.line) for one in worst_first if one.line]
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = [f"and {len(lines) - _MOST_LINES} more"]
    return status, "\n".join([first, *lines])
