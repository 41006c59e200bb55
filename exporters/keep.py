"""Alerts to Keep (KeepHQ): its generic `/alerts/event`.

Keep tells one alert from another by `fingerprint`, which without one it makes of the name alone;
here it is that of all labels, the same that Alertmanager has. An alert fires there until it is
told as resolved, and each telling that is not the same as the one before can start workflows: so
Keep hears of each beginning and each end once, and of what fires on only every few hours, in case
that it lost what it had accepted.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from agent.alerts.severe import SEVERE
from agent.config.receivers import KeepReceiver
from agent.http_client import Access
from agent.model import Alert, Clock
from exporters.alertmanager import timestamp
from exporters.posting import Poster

KIND: Final = "keep"
SOURCE: Final = "inferwatch"
_PATH: Final = "/alerts/event"

# Keep has five severities and takes any other for info.
_SEVERITIES: Final = {
    **dict.fromkeys(SEVERE, "critical"),
    "high": "high",
    "error": "high",
    "major": "high",
    "warning": "warning",
    "ticket": "warning",
    "minor": "warning",
    "info": "info",
    "low": "low",
    "none": "low",
}


class Keep:
    """One Keep; a `Sender`.

    Args:
        receiver: from the settings.
        clock: says when an alert is told.
    """

    def __init__(self, receiver: KeepReceiver, *, clock: Clock) -> None:
        self._clock = clock
        self._poster = Poster(
            receiver.url + _PATH,
            called=receiver.url,
            access=Access(api_key=receiver.api_key, tls=receiver.tls),
            tls=receiver.tls,
            wants="api_key",
        )

    async def send(self, alerts: Sequence[Alert]) -> str:
        """Make one request and return what was answered; errors as `Poster.post`."""
        now = self._clock.time()
        return await self._poster.post([as_event(alert, now) for alert in alerts])

    async def aclose(self) -> None:
        """Close all connections; safe to call twice."""
        await self._poster.aclose()


def as_event(alert: Alert, time: float) -> dict[str, Any]:
    """Return an alert as Keep's `AlertDto` has it, with what Alertmanager would say beside it.

    Args:
        alert: the alert.
        time: Unix seconds when it is told.
    """
    labels, said = alert.labels, alert.annotations
    fingerprint = alert.fingerprint
    name = labels.get("alertname", "")
    summary = said.get("summary", name)
    event: dict[str, Any] = {
        "id": fingerprint,  # without one Keep makes a new one each time, and sees no repetition
        "fingerprint": fingerprint,
        "name": name,
        "status": "resolved" if alert.resolved else "firing",
        "severity": _SEVERITIES.get(labels.get("severity", "").lower(), "info"),
        "lastReceived": timestamp(alert.ends_at if alert.resolved else time),
        "source": [SOURCE],
        "message": summary,
        "description": "\n\n".join(_paragraphs(said, summary)),
        "labels": dict(labels),
        "annotations": dict(said),
        "startsAt": timestamp(alert.starts_at),
    }
    optional = {
        "environment": labels.get("environment"),
        "service": labels.get("model_name") or labels.get("instance_name"),
        "url": alert.generator_url,
    }
    return event | {key: value for key, value in optional.items() if value}


def _paragraphs(said: Mapping[str, str], summary: str) -> Iterator[str]:
    """Yield all that people need: a workflow fails that reads an annotation which is not there."""
    yield said.get("description", summary)
    for name in ("verdict", "numbers"):
        if name in said:
            yield said[name]
    if "runbook_url" in said:
        yield f"Runbook: {said['runbook_url']}"
