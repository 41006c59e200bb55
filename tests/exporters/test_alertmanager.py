"""Alerts to Alertmanager over HTTP: what is sent, with what credentials, what answers mean."""

import asyncio
import base64
import os
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from agent import http_client
from agent.config import Secret
from agent.config.settings import AlertReceiver, BasicAuth, Tls
from agent.model import Alert, Frame, SeriesTable, SourceError
from agent.service import SystemClock
from exporters.alertmanager import Alertmanager, AlertmanagerExporter, as_sent
from exporters.delivery import RefusedError

ALERT = Alert(
    labels={"alertname": "A", "severity": "info"},
    annotations={"summary": "s"},
    starts_at=1_800_000_000.0,
    ends_at=1_800_000_240.25,
    resolved=False,
    generator_url="http://host:9745/?alert=A",
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """An Alertmanager that keeps what it was told and answers as it is set to."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.hang = False
        self.bodies: list[Any] = []
        self.headers: list[Any] = []
        self._runner: web.AppRunner | None = None

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        """Listen on loopback."""
        application = web.Application()
        application.router.add_post("/base/api/v2/alerts", self._take)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{port}/base"

    async def _take(self, request: web.Request) -> web.Response:
        """Answer one request."""
        self.headers.append(request.headers)
        self.bodies.append(await request.json())
        if self.hang:
            await asyncio.sleep(30)
        return web.Response(status=self.status, text="because" if self.status != 200 else "")

    async def aclose(self) -> None:
        """Stop."""
        if self._runner is not None:
            await self._runner.cleanup()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server that listens."""
    one = Server()
    await one.start()
    yield one
    await one.aclose()


async def send(receiver: AlertReceiver) -> str:
    """Send one alert and return the answer."""
    sender = Alertmanager(receiver)
    try:
        return await sender.send([ALERT])
    finally:
        await sender.aclose()
        await sender.aclose()


async def test_what_is_sent_is_what_the_api_wants(server: Server):
    """Labels, annotations, times in RFC 3339 and the link, as a list in one request."""
    assert await send(AlertReceiver(name="m", url=server.url)) == "200 OK"
    assert server.bodies == [
        [
            {
                "labels": {"alertname": "A", "severity": "info"},
                "annotations": {"summary": "s"},
                "startsAt": "2027-01-15T08:00:00.000Z",
                "endsAt": "2027-01-15T08:04:00.250Z",
                "generatorURL": "http://host:9745/?alert=A",
            }
        ]
    ]
    assert server.headers[0]["Content-Type"] == "application/json"
    assert "Authorization" not in server.headers[0]


async def test_credentials_are_sent_and_renewed(server: Server, tmp_path: Path):
    """A bearer token or a password is read from its place at each request."""
    secret = tmp_path / "secret"
    token = AlertReceiver(name="m", url=server.url, bearer_token=Secret(file=secret))
    basic = AlertReceiver(
        name="m",
        url=server.url,
        basic_auth=BasicAuth(username="user", password=Secret(file=secret)),
    )
    for word in ("one", "two"):
        secret.write_text(word)
        await send(token)
        assert server.headers[-1]["Authorization"] == f"Bearer {word}"
    await send(basic)
    pair = base64.b64encode(b"user:two").decode()
    assert server.headers[-1]["Authorization"] == f"Basic {pair}"


async def test_a_missing_secret_is_a_failure_to_try_again(server: Server, tmp_path: Path):
    """A secret that is not there yet makes the request fail and names the place."""
    receiver = AlertReceiver(name="m", url=server.url, bearer_token=Secret(file=tmp_path / "none"))
    with pytest.raises(SourceError, match="none") as raised:
        await send(receiver)
    assert not isinstance(raised.value, RefusedError)


async def test_tls_is_verified(tmp_path: Path):
    """A certificate of the configured authority is trusted, another is not."""
    authority, other = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = Server()
    await server.start(context)
    try:
        for ca, trusted in ((authority, True), (other, False)):
            file = tmp_path / f"{trusted}.pem"
            ca.cert_pem.write_to_path(file)
            receiver = AlertReceiver(name="m", url=server.url, tls=Tls(ca_file=file))
            if trusted:
                assert await send(receiver) == "200 OK"
            else:
                with pytest.raises(SourceError, match="certificate"):
                    await send(receiver)
    finally:
        await server.aclose()


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_alerts_that_are_not_taken_are_refused(server: Server, status: int):
    """An answer that blames the alerts is final, and its words are told."""
    server.status = status
    with pytest.raises(RefusedError, match=f"{status}.*because"):
        await send(AlertReceiver(name="m", url=server.url))


@pytest.mark.parametrize("status", [301, 401, 404, 408, 429, 500, 503])
async def test_other_answers_are_tried_again(server: Server, status: int):
    """An answer that says something of the receiver is not the fault of the alerts."""
    server.status = status
    with pytest.raises(SourceError, match=str(status)) as raised:
        await send(AlertReceiver(name="m", url=server.url))
    assert not isinstance(raised.value, RefusedError)


async def test_nobody_there_is_a_failure():
    """A refused connection is told with the address."""
    with pytest.raises(SourceError, match=r"telling http://127.0.0.1:1 failed"):
        await send(AlertReceiver(name="m", url="http://127.0.0.1:1"))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that tasks and sockets bring about."""
    for _turn in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError


async def test_a_receiver_that_hangs_delays_no_other(server: Server, tmp_path: Path):
    """Publishing returns at once, the other receiver is told, and what waits is spooled."""
    hanging = Server()
    hanging.hang = True
    await hanging.start()
    table = SeriesTable()
    exporter = AlertmanagerExporter(
        [
            AlertReceiver(name="hangs", url=hanging.url, timeout=20.0),
            AlertReceiver(name="works", url=server.url),
        ],
        table=table,
        clock=SystemClock(),
        random=lambda: 1.0,
        folder=tmp_path,
    )
    begun = time.monotonic()
    await exporter.publish(Frame(0.0, table, [], [], (), [ALERT]))
    await exporter.publish(Frame(1.0, table, [], []))
    assert time.monotonic() - begun < 0.2
    await until(lambda: bool(server.bodies and hanging.bodies))
    await until(lambda: waiting(exporter, table) == {"hangs": 1.0, "works": 0.0})
    begun = time.monotonic()
    await exporter.aclose()
    await exporter.aclose()
    assert time.monotonic() - begun < 1.0
    assert os.listdir(tmp_path) == ["alertmanager-hangs.spool"]  # noqa: PTH208 - not in a coroutine
    await hanging.aclose()


class Hurried(SystemClock):
    """Does not wait for long before it tries again."""

    async def sleep(self, seconds: float) -> None:
        """Wait a hundredth of the time."""
        await asyncio.sleep(seconds / 100)


@pytest.mark.parametrize("what", ["credentials", "tls_context"])
async def test_a_file_that_never_answers_delays_no_other(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
):
    """A secret or certificate on a dead filesystem costs its receiver alone, and heals."""
    path = tmp_path / "never-answers"
    real = getattr(http_client, what)
    hung = Secret(file=path) if what == "credentials" else Tls(ca_file=path)
    healed = threading.Event()

    def reads(*given: object) -> object:
        if hung in given:
            healed.wait()
            given = (Secret(env="TOKEN"), None) if what == "credentials" else (Tls(),)
        return real(*given)

    monkeypatch.setenv("TOKEN", "late")
    monkeypatch.setattr(http_client, what, reads)
    hanging = AlertReceiver(
        name="hangs",
        url=server.url if what == "credentials" else "https://127.0.0.1:1",
        bearer_token=hung if isinstance(hung, Secret) else None,
        tls=hung if isinstance(hung, Tls) else Tls(),
        timeout=0.5,
    )
    table = SeriesTable()
    told: list[str] = []
    exporter = AlertmanagerExporter(
        [hanging, AlertReceiver(name="works", url=server.url)],
        table=table,
        clock=Hurried(),
        random=lambda: 0.0,
        told=lambda _name, error, _time: told.append(error),
    )
    try:
        await exporter.publish(Frame(0.0, table, [], [], (), [ALERT]))
        await until(lambda: waiting(exporter, table) == {"hangs": 1.0, "works": 0.0})
        await until(lambda: any("no answer within" in error for error in told))
        healed.set()
        if what == "credentials":
            await until(lambda: waiting(exporter, table)["hangs"] == 0.0)
            assert server.headers[-1]["Authorization"] == "Bearer late"
        else:
            await until(lambda: any("telling https" in error for error in told))
    finally:
        healed.set()  # or the thread would hang as long as the tests run
        await exporter.aclose()


def waiting(exporter: AlertmanagerExporter, table: SeriesTable) -> dict[str, float]:
    """Return how many alerts wait for each receiver, as the page says."""
    reading = exporter.reading()
    return {
        table[series_id].labels[0]: value
        for series_id, value in zip(reading.ids, reading.values, strict=True)
        if table[series_id].metric.name == "inferwatch_alerts_waiting"
    }


async def test_what_became_of_the_alerts_is_counted(server: Server):
    """Each receiver has its samples; before the first alert nothing is said of its health."""
    table = SeriesTable()
    exporter = AlertmanagerExporter(
        [AlertReceiver(name="m", url=server.url)],
        table=table,
        clock=SystemClock(),
        random=lambda: 1.0,
    )

    def said() -> dict[str, float]:
        reading = exporter.reading()
        names = [table[series_id].metric.name for series_id in reading.ids]
        return dict(zip(names, reading.values, strict=True))

    assert "inferwatch_alert_receiver_up" not in said()
    await exporter.publish(Frame(0.0, table, [], [], (), [ALERT]))
    await until(lambda: said().get("inferwatch_alerts_delivered_total") == 1.0)
    assert said()["inferwatch_alert_receiver_up"] == 1.0
    await exporter.aclose()


def test_a_link_is_left_out_where_there_is_none():
    """Without an address of its own page the alert has no link."""
    bare = Alert(labels={}, annotations={}, starts_at=0.0, ends_at=0.0, resolved=True)
    assert as_sent(bare) == {
        "labels": {},
        "annotations": {},
        "startsAt": "1970-01-01T00:00:00.000Z",
        "endsAt": "1970-01-01T00:00:00.000Z",
    }
