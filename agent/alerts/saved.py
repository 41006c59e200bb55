"""The state of alerts between two runs of the agent, as values that JSON has.

What was firing goes on firing, and receivers are told anew. What was pending goes on waiting; the
time for which nobody watched does not count. What fired under a rule that is gone has ended, and
receivers are told so. What is older than Prometheus's outage tolerance is not taken up again.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeGuard

from agent.alerts.state import AlertStates, Instance, State
from agent.moment import END

OUTAGE_TOLERANCE: Final = 3600.0
"""Seconds after which what was saved says nothing about now; Prometheus's default."""

SETTLING: Final = 60.0
"""Seconds that sources get after a start before what they do not say is taken for untrue."""

_VERSION: Final = 1
_TIMES: Final = ("active_at", "fired_at", "resolved_at", "kept_since", "sent_at")


def save(time: float, states: Iterable[tuple[str, AlertStates]]) -> dict[str, Any]:
    """Return the state of all alerts.

    Args:
        time: Unix seconds.
        states: the name of the group and the alerts of each rule.
    """
    alerts = [
        {"group": group, "alert": rule.rule.name, **_as_json(instance)}
        for group, rule in states
        for instance in rule.instances.values()
    ]
    return {"version": _VERSION, "time": time, "alerts": alerts}


def restore(
    saved: Any,
    time: float,
    states: Iterable[tuple[str, AlertStates]],
    gone: Callable[[str, str], AlertStates],
) -> int:
    """Take up what was saved; what makes no sense is left out.

    Args:
        saved: what `save` gave, or whatever was found in its place.
        time: Unix seconds now.
        states: as for `save`; those of the same group and name are filled, or of the same name
            where the rule moved to another group.
        gone: returns what is to be filled for the group and the name of a rule that is no more.

    Returns:
        How many alerts of rules that are still there were taken up.
    """
    if not isinstance(saved, Mapping) or saved.get("version") != _VERSION:
        return 0
    then, alerts = saved.get("time"), saved.get("alerts")
    if not _is_time(then) or not isinstance(alerts, list):
        return 0
    if not 0 <= time - then <= OUTAGE_TOLERANCE:
        return 0
    rules: dict[tuple[str, str], AlertStates] = {}
    moved: dict[str, AlertStates] = {}
    for group, rule in states:
        rules.setdefault((group, rule.rule.name), rule)
        moved.setdefault(rule.rule.name, rule)
    count = 0
    for item in alerts:
        try:
            group, name = _text(item["group"]), _text(item["alert"])
            instance = _from_json(item)
        except (LookupError, AttributeError, TypeError, ValueError, OverflowError):
            continue
        known = rules.get((group, name)) or moved.get(name)
        _return(instance, time - then)
        # Where two have the same labels, the first is that of a rule which is still there.
        (known or gone(group, name)).instances.setdefault(instance.labels, instance)
        count += known is not None
    return count


def _return(instance: Instance, outage: float) -> None:
    """Let an alert go on where it was."""
    instance.returning = True
    # Receivers may have taken it for resolved meanwhile, or may have missed its end.
    instance.sent_at = None
    if instance.state is State.PENDING:
        instance.active_at += outage


def _as_json(instance: Instance) -> dict[str, Any]:
    """Return an alert as values that JSON has; the value itself may be none of them."""
    return {
        "labels": dict(instance.labels),
        "element": dict(instance.element),
        "value": repr(instance.value),
        "state": instance.state.value,
        **{name: getattr(instance, name) for name in _TIMES},
    }


def _from_json(item: Mapping[str, Any]) -> Instance:
    """Return an alert; raises where one of its parts is not what it should be."""
    times = {name: item[name] for name in _TIMES}
    if not all(then is None or _is_time(then) for then in times.values()):
        raise TypeError
    if times["active_at"] is None or not item["labels"]:
        raise ValueError
    return Instance(
        labels=_labels(item["labels"]),
        element=_labels(item["element"]),
        value=float(item["value"]),
        state=State(item["state"]),
        **times,
    )


def _is_time(value: Any) -> TypeGuard[float]:
    """Return whether it is Unix seconds that have a date, as receivers are told them."""
    return isinstance(value, int | float) and 0 <= value < END


def _text(value: Any) -> str:
    """Return a name; raises where it is none."""
    if not isinstance(value, str):
        raise TypeError
    return value


def _labels(pairs: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return labels as they are kept."""
    return tuple(sorted((str(name), str(value)) for name, value in pairs.items()))
