"""Alerts to Alertmanager over HTTP: what is sent, with what credentials, what answers mean."""

import base64
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from agent.config import Secret
from agent.config.access import BasicAuth, Tls
from agent.config.receivers import AlertReceiver
from agent.model import Alert, SourceError
from exporters.alertmanager import Alertmanager, as_sent
from exporters.delivery import RefusedError
from tests.fakes.alert_server import AlertServer, alert_server, an_alert

ALERT = an_alert()


@pytest.fixture
async def server() -> AsyncIterator[AlertServer]:
    """A server that listens."""
    async with alert_server() as one:
        yield one


async def send(receiver: AlertReceiver) -> str:
    """Send one alert and return the answer."""
    sender = Alertmanager(receiver)
    try:
        return await sender.send([ALERT])
    finally:
        await sender.aclose()
        await sender.aclose()


async def test_what_is_sent_is_what_the_api_wants(server: AlertServer):
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
    assert server.paths == ["/base/api/v2/alerts"]
    assert "Authorization" not in server.headers[0]


async def test_credentials_are_sent_and_renewed(server: AlertServer, tmp_path: Path):
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


async def test_a_missing_secret_is_a_failure_to_try_again(server: AlertServer, tmp_path: Path):
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
    server = AlertServer()
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
async def test_alerts_that_are_not_taken_are_refused(server: AlertServer, status: int):
    """An answer that blames the alerts is final, and its words are told."""
    server.status = status
    with pytest.raises(RefusedError, match=f"{status}.*because"):
        await send(AlertReceiver(name="m", url=server.url))


@pytest.mark.parametrize("status", [301, 401, 404, 408, 429, 500, 503])
async def test_other_answers_are_tried_again(server: AlertServer, status: int):
    """An answer that says something of the receiver is not the fault of the alerts."""
    server.status = status
    with pytest.raises(SourceError, match=str(status)) as raised:
        await send(AlertReceiver(name="m", url=server.url))
    assert not isinstance(raised.value, RefusedError)


async def test_nobody_there_is_a_failure():
    """A refused connection is told with the address."""
    with pytest.raises(SourceError, match=r"telling http://127.0.0.1:1 failed"):
        await send(AlertReceiver(name="m", url="http://127.0.0.1:1"))


def test_a_link_is_left_out_where_there_is_none():
    """Without an address of its own page the alert has no link."""
    bare = Alert(labels={}, annotations={}, starts_at=0.0, ends_at=0.0, resolved=True)
    assert as_sent(bare) == {
        "labels": {},
        "annotations": {},
        "startsAt": "1970-01-01T00:00:00.000Z",
        "endsAt": "1970-01-01T00:00:00.000Z",
    }
