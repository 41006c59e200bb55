"""Alerts to any webhook, in the format in which Alertmanager notifies one (version 4).

Alertmanager notifies of groups. Nothing is grouped here: each alert is a group of its own, as
under `group_by: ['...']`, and so a request says the end of one alert or that it fires.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from agent.config.receivers import WebhookReceiver
from agent.http_client import Access
from agent.model import Alert
from exporters.posting import Poster

KIND: Final = "webhook"
_VERSION: Final = "4"
# Go's time that is none; Alertmanager does not say when it would take an alert for resolved.
_NEVER: Final = "0001-01-01T00:00:00Z"
_ESCAPES: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}
_ASCII: Final = 0x80
_BASIC: Final = 0x10000


class Webhook:
    """One webhook; a `Sender` of one alert at a time.

    Args:
        receiver: from the settings.
        external_url: where people find the agent's page.
    """

    def __init__(self, receiver: WebhookReceiver, *, external_url: str) -> None:
        self._name = receiver.name
        self._external_url = external_url
        self._poster = Poster(
            receiver.url,
            called=receiver.url,
            access=Access(
                bearer_token=receiver.bearer_token, basic_auth=receiver.basic_auth, tls=receiver.tls
            ),
            tls=receiver.tls,
            wants="bearer_token or basic_auth",
        )

    async def send(self, alerts: Sequence[Alert]) -> str:
        """Make a request for each alert and return the last answer; errors as `Poster.post`."""
        answer = ""
        for alert in alerts:
            answer = await self._poster.post(
                as_notification(alert, receiver=self._name, external_url=self._external_url)
            )
        return answer

    async def aclose(self) -> None:
        """Close all connections; safe to call twice."""
        await self._poster.aclose()


def as_notification(alert: Alert, *, receiver: str, external_url: str) -> dict[str, Any]:
    """Return what Alertmanager would send of an alert that is alone in its group."""
    labels, annotations = dict(alert.labels), dict(alert.annotations)
    status = "resolved" if alert.resolved else "firing"
    return {
        "receiver": receiver,
        "status": status,
        "alerts": [
            {
                "status": status,
                "labels": labels,
                "annotations": annotations,
                "startsAt": _timestamp(alert.starts_at),
                "endsAt": _timestamp(alert.ends_at) if alert.resolved else _NEVER,
                "generatorURL": alert.generator_url,
                "fingerprint": alert.fingerprint,
            }
        ],
        "groupLabels": labels,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": external_url,
        "version": _VERSION,
        "groupKey": f"{{}}:{_shown(labels)}",
        "truncatedAlerts": 0,
    }


def _timestamp(time: float) -> str:
    """Return Unix seconds as Go writes them: without zeros at the end of the fraction."""
    moment = datetime.fromtimestamp(round(time, 3), tz=UTC)
    text = moment.isoformat(timespec="milliseconds").removesuffix("+00:00")
    return re.sub(r"\.?0*$", "", text) + "Z" if "." in text else text + "Z"


def _shown(labels: Mapping[str, str]) -> str:
    """Return labels as Alertmanager writes them in the key of a group."""
    pairs = (f"{name}={_quoted(value)}" for name, value in sorted(labels.items()))
    return f"{{{', '.join(pairs)}}}"


def _quoted(text: str) -> str:
    """Return a text as Go's %q has it."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    """Return a character as it stands between Go's quotes."""
    known = _ESCAPES.get(character)
    if known is not None:
        return known
    if character.isprintable():
        return character
    number = ord(character)
    if number < _ASCII:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < _BASIC else f"\\U{number:08x}"
