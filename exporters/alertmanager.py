"""Alerts to Alertmanager, API v2.

Nothing is grouped, silenced, inhibited or held here: that is Alertmanager's business.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from agent.config.receivers import AlertReceiver
from agent.http_client import Access
from agent.model import Alert
from exporters.posting import Poster

KIND: Final = "alertmanager"
_PATH: Final = "/api/v2/alerts"


class Alertmanager:
    """One Alertmanager; a `Sender`."""

    def __init__(self, receiver: AlertReceiver) -> None:
        self._poster = Poster(
            receiver.url + _PATH,
            called=receiver.url,
            access=Access(
                bearer_token=receiver.bearer_token, basic_auth=receiver.basic_auth, tls=receiver.tls
            ),
            tls=receiver.tls,
            wants="bearer_token or basic_auth",
        )

    async def send(self, alerts: Sequence[Alert]) -> str:
        """Make one request and return what was answered; errors as `Poster.post`."""
        return await self._poster.post([as_sent(alert) for alert in alerts])

    async def aclose(self) -> None:
        """Close all connections; safe to call twice."""
        await self._poster.aclose()


def as_sent(alert: Alert) -> dict[str, Any]:
    """Return an alert as the API wants it."""
    sent: dict[str, Any] = {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": timestamp(alert.starts_at),
        "endsAt": timestamp(alert.ends_at),
    }
    if alert.generator_url:
        sent["generatorURL"] = alert.generator_url
    return sent


def timestamp(time: float) -> str:
    """Return Unix seconds as RFC 3339 has them, in milliseconds."""
    moment = datetime.fromtimestamp(round(time, 3), tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
