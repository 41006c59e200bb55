"""What was seen of a fault, from the things that were written down while it was there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.analysis.bottleneck import Targets
from evaluation.faults_client import Asked

HARM_WITHIN: Final = 10.0
HARM_REQUESTS: Final = 3
"""One late request is a busy machine; that many within `HARM_WITHIN` seconds is harm."""

_STAMP: Final = "time_timestamp_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One notification that an alert fires, or that it is over.

    Attributes:
        time: Unix seconds at which it reached the receiver.
        alert: its name.
        stock: whether Prometheus sent it; else the agent did.
        severity: of the agent's.
        summary: in its own words.
        cause: its label `cause`, if it has one.
        fires: whether it fires; else it is over.
    """

    time: float
    alert: str
    stock: bool
    severity: str
    summary: str
    cause: str
    fires: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A verdict of the agent and when it was first read."""

    time: float
    cause: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """A fault that was made.

    Attributes:
        name: short.
        what: what was done.
        began: Unix seconds.
        over: when its cause was taken away.
        until: when the next one began, or all ended.
        right: verdicts and causes of death that are right; empty where none need be.
        wanted: alerts any of which is right; empty where none should fire.
    """

    name: str
    what: str
    began: float
    over: float
    until: float
    right: frozenset[str]
    wanted: frozenset[str]


def told(stamp: float, body: dict[str, Any], *, instance: str) -> Iterable[Told]:
    """Yield the alerts of a notification, but for those of another engine of the host."""
    for alert in body["alerts"]:
        labels = alert["labels"]
        if labels.get("instance_name", instance) != instance:
            continue
        yield Told(
            time=stamp,
            alert=labels["alertname"],
            stock=labels.get("from") == "stock",
            severity=labels.get("severity", ""),
            summary=alert["annotations"].get("summary", ""),
            cause=labels.get("cause", ""),
            fires=alert["status"] == "firing",
        )


def harm(asked: Iterable[Asked], targets: Targets, *, began: float, until: float) -> float | None:
    """Return the Unix seconds at which users began to be let down, None if they were not."""
    moments = sorted(
        moment
        for one in asked
        if one.ended and (moment := one.harmed(targets)) is not None and began <= moment < until
    )
    several = zip(moments, moments[HARM_REQUESTS - 1 :], strict=False)
    return next((first for first, last in several if last - first <= HARM_WITHIN), None)


def firsts(heard: Iterable[Told], *, began: float, until: float, stock: bool) -> list[Told]:
    """Return the alerts that began to fire in a time, each once, in order.

    The receiver hears of an alert when it begins and when it ends, so what fires on from before is
    not among them.
    """
    found: dict[str, Told] = {}
    for one in sorted(heard, key=lambda one: one.time):
        if one.fires and began <= one.time < until and one.stock == stock:
            found.setdefault(one.alert, one)
    return [*found.values()]


def ended(heard: Iterable[Told], alert: Told, *, until: float) -> float | None:
    """Return when an alert was first told as over after it had begun, None if it was not."""
    times = (
        one.time
        for one in heard
        if not one.fires
        and (one.alert, one.cause) == (alert.alert, alert.cause)
        and alert.time <= one.time < until
    )
    return min(times, default=None)


def again(whole: dict[str, Any], some: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a whole run with the faults that were made again in a later one."""
    later = {row["fault"]: {**row, "again": True} for row in some["faults"]}
    rows = [later.get(row["fault"], row) for row in whole["faults"]]
    return {**whole, "faults": rows, "raw_again": [*whole.get("raw_again", ()), some["raw"]]}


def figures(
    fault: Injected,
    *,
    heard: Sequence[Told],
    verdicts: Sequence[Verdict],
    harmed: float | None,
    incidents: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Return what a row of the table says, times in seconds after the cause.

    Args:
        fault: what was made.
        heard: every notification of the run.
        verdicts: every change of verdict of the run.
        harmed: when users began to be let down.
        incidents: what `inferwatch incidents --json` gave, of the whole run.
    """
    began = fault.began
    mine = firsts(heard, began=began, until=fault.until, stock=False)
    stock = firsts(heard, began=began, until=fault.until, stock=True)
    said = [one for one in verdicts if began <= one.time < fault.over]
    causes = [(one.time, one.cause, one.sentence) for one in said]
    causes += [(one.time, one.cause, one.summary) for one in mine if one.cause]
    right = next((entry for entry in sorted(causes) if entry[1] in fault.right), None)
    return {
        "fault": fault.name,
        "what": fault.what,
        "lasted": fault.over - began,
        "harm": None if harmed is None else harmed - began,
        "wanted": sorted(fault.wanted),
        "alerts": [
            {
                "alert": one.alert,
                "severity": one.severity,
                "after": one.time - began,
                "ended": None
                if (end := ended(heard, one, until=fault.until)) is None
                else end - began,
                "summary": one.summary,
                "wanted": one.alert in fault.wanted,
            }
            for one in mine
        ],
        "stock": [{"alert": one.alert, "after": one.time - began} for one in stock],
        "verdicts": [
            {"after": one.time - began, "cause": one.cause, "sentence": one.sentence}
            for one in said
        ],
        "right": None
        if right is None
        else {"after": right[0] - began, "cause": right[1], "sentence": right[2]},
        "expected": sorted(fault.right),
        "incidents": [
            {"trigger": one["trigger"], "after": one[_STAMP] - began, "text": one["text"]}
            for one in incidents
            if one[_STAMP] is not None and began <= one[_STAMP] < fault.until
        ],
    }
