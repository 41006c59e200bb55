"""Alerts to Keep: what is sent, how it is told one alert from another, when it hears again."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import Secret
from agent.config.receivers import KeepReceiver
from agent.model import Alert, SourceError
from exporters.delivery import RefusedError
from exporters.keep import Keep, as_event
from tests.fakes.alert_server import AlertServer
from tests.fakes.clock import ManualClock

NOW = 1_800_000_000.0
LABELS = {
    "alertname": "EngineDown",
    "severity": "critical",
    "instance_name": "chat",
    "model_name": "big",
    "environment": "production",
}
ANNOTATIONS = {
    "summary": "chat is down",
    "description": "Nothing answers.",
    "numbers": "up: 0",
    "runbook_url": "https://books/down",
}


def alert(*, resolved: bool = False, **labels: str) -> Alert:
    """Return an alert."""
    return Alert(
        labels={**LABELS, **labels},
        annotations=ANNOTATIONS,
        starts_at=NOW - 30.0,
        ends_at=NOW - 5.0 if resolved else NOW + 240.0,
        resolved=resolved,
        generator_url="http://gpu7:9745/?alert=EngineDown",
    )


@pytest.fixture
async def server() -> AsyncIterator[AlertServer]:
    """A Keep that listens."""
    one = AlertServer(status=202)
    await one.start()
    yield one
    await one.aclose()


async def send(receiver: KeepReceiver, *alerts: Alert) -> str:
    """Send alerts and return the answer."""
    sender = Keep(receiver, clock=ManualClock(time=NOW))
    try:
        return await sender.send(alerts)
    finally:
        await sender.aclose()
        await sender.aclose()


async def test_what_is_sent_is_what_keep_has(server: AlertServer, tmp_path: Path):
    """The fields of Keep's alerts, at its address, with the key in its header."""
    key = tmp_path / "key"
    await asyncio.to_thread(key.write_text, "secret\n")
    receiver = KeepReceiver(name="k", url=server.url, api_key=Secret(file=key))
    assert await send(receiver, alert()) == "202 Accepted"
    assert server.paths == ["/base/alerts/event"]
    assert server.headers[0]["X-API-KEY"] == "secret"
    assert "Authorization" not in server.headers[0]
    assert server.bodies == [
        [
            {
                "id": alert().fingerprint,
                "fingerprint": alert().fingerprint,
                "name": "EngineDown",
                "status": "firing",
                "severity": "critical",
                "lastReceived": "2027-01-15T08:00:00.000Z",
                "source": ["inferwatch"],
                "message": "chat is down",
                "description": "Nothing answers.\n\nup: 0\n\nRunbook: https://books/down",
                "labels": LABELS,
                "annotations": ANNOTATIONS,
                "startsAt": "2027-01-15T07:59:30.000Z",
                "environment": "production",
                "service": "big",
                "url": "http://gpu7:9745/?alert=EngineDown",
            }
        ]
    ]


async def test_no_key_is_no_header(server: AlertServer):
    """A Keep without authentication is shown nothing."""
    await send(KeepReceiver(name="k", url=server.url), alert())
    assert "X-API-KEY" not in server.headers[0]


async def test_a_key_that_is_wrong_is_tried_again(server: AlertServer):
    """Without the right key alerts wait, and the message says what to set."""
    server.status = 401
    with pytest.raises(SourceError, match="set api_key") as raised:
        await send(KeepReceiver(name="k", url=server.url), alert())
    assert not isinstance(raised.value, RefusedError)


async def test_what_keep_cannot_read_is_refused(server: AlertServer):
    """An alert of which Keep says that it is none is not tried for ever."""
    server.status = 422
    with pytest.raises(RefusedError):
        await send(KeepReceiver(name="k", url=server.url), alert())


def test_the_end_is_of_the_same_alert():
    """Beginning and end have one fingerprint; the end says when it was."""
    begun, ended = as_event(alert(), NOW), as_event(alert(resolved=True), NOW)
    assert begun["fingerprint"] == ended["fingerprint"]
    assert (ended["status"], ended["lastReceived"]) == ("resolved", "2027-01-15T07:59:55.000Z")


@pytest.mark.parametrize(
    ("severity", "said"),
    [
        ("critical", "critical"),
        ("page", "critical"),
        ("Warning", "warning"),
        ("ticket", "warning"),
        ("info", "info"),
        ("sev-2", "info"),
        ("", "info"),
    ],
)
def test_severities_are_those_that_keep_has(severity: str, said: str):
    """Keep knows five; what it does not know it would take for info, and so is said."""
    event = as_event(alert(severity=severity), NOW)
    assert event["severity"] == said
    assert event["labels"]["severity"] == severity


def test_what_is_not_known_is_left_out():
    """An alert of a host names no service, and an agent without an address no link."""
    bare = Alert(
        labels={"alertname": "A"}, annotations={}, starts_at=0.0, ends_at=0.0, resolved=False
    )
    event = as_event(bare, NOW)
    assert {"url", "service", "environment"}.isdisjoint(event)
    assert (event["message"], event["description"]) == ("A", "A")


names = st.dictionaries(st.text(min_size=1), st.text())


@given(labels=names, annotations=names, resolved=st.booleans())
def test_there_is_always_a_fingerprint(
    labels: dict[str, str], annotations: dict[str, str], *, resolved: bool
):
    """Whatever an alert says, it has the fingerprint of its labels alone, and is JSON."""
    one = Alert(
        labels=labels, annotations=annotations, starts_at=0.0, ends_at=1.0, resolved=resolved
    )
    event = json.loads(json.dumps(as_event(one, NOW)))
    assert event["id"] == event["fingerprint"] == one.fingerprint
    assert len(event["fingerprint"]) == 16
