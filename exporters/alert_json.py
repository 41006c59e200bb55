"""Alerts as values that JSON has, for the spool."""

from typing import Any

from agent.model import Alert


def alert_as_json(alert: Alert) -> dict[str, Any]:
    """Return an alert as values that JSON has."""
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "starts_at": alert.starts_at,
        "ends_at": alert.ends_at,
        "resolved": alert.resolved,
        "generator_url": alert.generator_url,
    }


def alert_from_json(item: dict[str, Any]) -> Alert | None:
    """Return the alert that was written so, None where it makes no sense."""
    try:
        return Alert(
            labels={str(name): str(value) for name, value in item["labels"].items()},
            annotations={str(name): str(value) for name, value in item["annotations"].items()},
            starts_at=float(item["starts_at"]),
            ends_at=float(item["ends_at"]),
            resolved=bool(item["resolved"]),
            generator_url=str(item["generator_url"]),
        )
    except (LookupError, AttributeError, TypeError, ValueError):
        return None
