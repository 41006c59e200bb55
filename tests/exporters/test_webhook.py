"""Alerts to any webhook, in Alertmanager's format."""

import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import Secret
from agent.config.receivers import WebhookReceiver
from agent.model import Alert, SourceError
from exporters.webhook import Webhook, as_notification
from tests.fakes.alert_server import AlertServer, alert_server, an_alert

LABELS = {"alertname": "A", "severity": "info"}


@pytest.fixture
async def server() -> AsyncIterator[AlertServer]:
    """A webhook that listens."""
    async with alert_server() as one:
        yield one


async def test_what_a_receiver_says_is_one_line(server: AlertServer):
    """It goes to logs and terminals, whatever somebody on the way there wrote."""
    server.status, server.why = 500, "<html>\n\x1b[31mno\x9b2J\r\n gateway\x00"
    sender = Webhook(WebhookReceiver(name="a", url=f"{server.url}/hook"), external_url="")
    with pytest.raises(SourceError, match=r"Error: <html> \[31mno 2J gateway$"):
        await sender.send([an_alert()])
    await sender.aclose()


async def test_what_is_sent_is_alertmanagers_notification(
    server: AlertServer, monkeypatch: pytest.MonkeyPatch
):
    """One group of one alert, at the very address that was given, with credentials."""
    monkeypatch.setenv("TOKEN", "secret")
    receiver = WebhookReceiver(
        name="tickets", url=f"{server.url}/hook", bearer_token=Secret(env="TOKEN")
    )
    sender = Webhook(receiver, external_url="http://host:9745")
    try:
        assert await sender.send([an_alert()]) == "200 OK"
    finally:
        await sender.aclose()
        await sender.aclose()
    assert server.paths == ["/base/hook"]
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert server.bodies == [
        {
            "receiver": "tickets",
            "status": "firing",
            "alerts": [
                {
                    "status": "firing",
                    "labels": LABELS,
                    "annotations": {"summary": "s"},
                    "startsAt": "2027-01-15T08:00:00Z",
                    "endsAt": "0001-01-01T00:00:00Z",
                    "generatorURL": "http://host:9745/?alert=A",
                    "fingerprint": an_alert().fingerprint,
                }
            ],
            "groupLabels": LABELS,
            "commonLabels": LABELS,
            "commonAnnotations": {"summary": "s"},
            "externalURL": "http://host:9745",
            "version": "4",
            "groupKey": '{}:{alertname="A", severity="info"}',
            "truncatedAlerts": 0,
        }
    ]


def test_an_end_says_when():
    """A resolved alert has the time of its end, in whatever fraction of a second."""
    sent = as_notification(an_alert(resolved=True), receiver="r", external_url="")
    assert (sent["status"], sent["alerts"][0]["status"]) == ("resolved", "resolved")
    assert sent["alerts"][0]["endsAt"] == "2027-01-15T08:04:00.25Z"


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]*", fullmatch=True), st.text()))
def test_any_label_can_be_sent(labels: dict[str, str]):
    """Whatever labels hold, the notification is JSON and its key names each of them once."""
    one = Alert(labels=labels, annotations={}, starts_at=0.0, ends_at=0.0, resolved=False)
    sent = json.loads(json.dumps(as_notification(one, receiver="r", external_url="")))
    assert sent["alerts"][0]["labels"] == labels
    assert sent["groupKey"].count('="') >= len(labels)
    assert "\n" not in sent["groupKey"]
