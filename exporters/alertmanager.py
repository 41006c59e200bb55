"""Alerts to Alertmanager, API v2, to every receiver that is configured.

Nothing is grouped, silenced, inhibited or held here: that is Alertmanager's business.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp

from agent.catalog import alerts as catalog
from agent.config.settings import AlertReceiver
from agent.http_client import Access
from agent.model import Alert, Clock, ConfigError, Frame, Reading, SeriesTable, SourceError
from exporters.delivery import Delivery, RefusedError
from exporters.spool import Spool

_PATH: Final = "/api/v2/alerts"
# These say something of the receiver or of the credentials and nothing of the alerts.
_NOT_THE_ALERTS: Final = {401, 403, 404, 405, 407, 408, 421, 425, 426, 429}
_SHOWN: Final = 300


class Alertmanager:
    """One Alertmanager. Connections are kept."""

    def __init__(self, receiver: AlertReceiver) -> None:
        self._receiver = receiver
        self._access = Access(
            bearer_token=receiver.bearer_token, basic_auth=receiver.basic_auth, tls=receiver.tls
        )
        self._session: aiohttp.ClientSession | None = None

    async def send(self, alerts: Sequence[Alert]) -> str:
        """Make one request and return what was answered.

        Raises:
            RefusedError: these alerts are not taken.
            SourceError: it could not be told, for any other reason; the message says which.
        """
        receiver = self._receiver
        try:
            if self._session is None:
                self._session = await self._open()
            async with self._session.post(
                receiver.url + _PATH,
                json=[as_sent(alert) for alert in alerts],
                headers=await self._access.credentials(),
                allow_redirects=False,
                server_hostname=receiver.tls.server_name,
            ) as response:
                said = (await response.content.read(_SHOWN)).decode(errors="replace").strip()
                return _judged(response, said)
        except (aiohttp.ClientError, OSError, ConfigError) as error:
            reason = str(error) or type(error).__name__
            raise SourceError(f"telling {receiver.url} failed: {reason}") from error

    async def _open(self) -> aiohttp.ClientSession:
        """Return a session."""
        secure = self._receiver.url.startswith("https:")
        context = await self._access.tls_context() if secure else True
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context),
            headers={"User-Agent": "inferwatch"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        )

    async def aclose(self) -> None:
        """Close all connections; safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _judged(response: aiohttp.ClientResponse, said: str) -> str:
    """Return an answer, or raise what it means."""
    status = response.status
    answered = f"{status} {response.reason or ''}".rstrip()
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return answered
    told = f"{response.url} answered {answered}" + (f": {said}" if said else "")
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        if status not in _NOT_THE_ALERTS:
            raise RefusedError(told)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            told += "; set bearer_token or basic_auth"
    raise SourceError(told)


def as_sent(alert: Alert) -> dict[str, Any]:
    """Return an alert as the API wants it."""
    sent: dict[str, Any] = {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": _timestamp(alert.starts_at),
        "endsAt": _timestamp(alert.ends_at),
    }
    if alert.generator_url:
        sent["generatorURL"] = alert.generator_url
    return sent


def _timestamp(time: float) -> str:
    """Return Unix seconds as RFC 3339 has them, in milliseconds."""
    moment = datetime.fromtimestamp(round(time, 3), tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class AlertmanagerExporter:
    """Tells every receiver; an `Exporter`. Its tasks begin with the first frame.

    Args:
        receivers: from the settings.
        table: of the run, for the samples that it gives about itself.
        clock: for waiting.
        random: gives numbers from 0 to 1.
        folder: where alerts wait over a restart; None for nowhere.
        spool_size: bytes that the file of each receiver may have.
        told: called with `alertmanager NAME`, what is wrong (or nothing), and the time.
    """

    name = "alertmanager"

    def __init__(
        self,
        receivers: Sequence[AlertReceiver],
        *,
        table: SeriesTable,
        clock: Clock,
        random: Callable[[], float],
        folder: Path | None = None,
        spool_size: int = 4 * 2**20,
        told: Callable[[str, str, float], None] = lambda _name, _error, _time: None,
    ) -> None:
        self._table = table
        self._servers = [Alertmanager(receiver) for receiver in receivers]
        self._deliveries: list[tuple[str, Delivery]] = []
        for receiver, server in zip(receivers, self._servers, strict=True):
            spool = None
            if folder is not None:
                path = folder / f"alertmanager-{receiver.name}.spool"
                spool = Spool(path, max_size=spool_size)
            delivery = Delivery(
                f"{self.name} {receiver.name}",
                server.send,
                timeout=receiver.timeout,
                clock=clock,
                random=random,
                spool=spool,
                told=told,
            )
            self._deliveries.append((receiver.name, delivery))

    async def publish(self, frame: Frame) -> None:
        """Hand the alerts of a frame to every receiver's task."""
        for _name, delivery in self._deliveries:
            delivery.start()
            if frame.alerts:
                delivery.put(frame.alerts)

    def reading(self) -> Reading:
        """Return the samples about the delivery."""
        ids: list[int] = []
        values: list[float] = []
        for name, delivery in self._deliveries:
            counts = delivery.counts
            said = [
                (catalog.DELIVERED, counts.delivered),
                (catalog.DELIVERY_FAILURES, counts.failures),
                (catalog.REFUSED, counts.refused),
                (catalog.DROPPED, counts.dropped),
                (catalog.WAITING, counts.waiting),
                (catalog.RECEIVER_UP, counts.up),
            ]
            for metric, value in said:
                if value is not None:
                    ids.append(self._table.intern(metric, (name,)))
                    values.append(float(value))
        return Reading(ids, values)

    async def aclose(self) -> None:
        """Stop; what waits goes to the spool. Safe to call twice."""
        await asyncio.gather(*(delivery.aclose() for _name, delivery in self._deliveries))
        await asyncio.gather(*(server.aclose() for server in self._servers))
