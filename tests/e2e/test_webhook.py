"""What a webhook is told by the agent is what a real Alertmanager would tell it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.config.receivers import AlertReceiver
from agent.model import Alert
from agent.service import SystemClock
from exporters.alertmanager import Alertmanager
from exporters.webhook import as_notification
from tests.e2e import alertmanager
from tests.servers import NEEDS_ALERTMANAGER

pytestmark = [
    pytest.mark.server,
    NEEDS_ALERTMANAGER,
]

LABELS = {
    "alertname": "EngineDown",
    "instance": "gpu7:9745",
    "model_name": 'big\\7b "instruct"\tü\u00a0\u200b🙂',
    "severity": "critical",
}


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process brings about."""
    for _turn in range(300):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError


@pytest.mark.parametrize("fraction", [0.0, 0.25])
async def test_the_same_alert_is_told_in_the_same_words(tmp_path: Path, fraction: float):
    """Beginning and end are equal to Alertmanager's of a group of one, each field of them."""
    now = float(int(SystemClock().time())) + fraction
    begun = Alert(
        labels=LABELS,
        annotations={"summary": "chat | down", "numbers": "up: 0\nand more"},
        starts_at=now - 30.0,
        ends_at=now + 240.0,
        resolved=False,
        generator_url="http://gpu7:9745/?alert=EngineDown",
    )
    with alertmanager.running(tmp_path, group_by="'...'") as (real, pager):
        sender = Alertmanager(AlertReceiver(name="m", url=real.url))
        try:
            await sender.send([begun])
            await until(lambda: len(pager.bodies) == 1)
            ended = replace(begun, ends_at=now - 1.0, resolved=True)
            await sender.send([ended])
            await until(lambda: len(pager.bodies) == 2)
        finally:
            await sender.aclose()
        told = [
            as_notification(one, receiver="pager", external_url=_external_url(pager.bodies))
            for one in (begun, ended)
        ]
        # Alertmanager 0.33 tells besides why it notifies.
        for body in pager.bodies:
            body.pop("notification_reason", None)
        assert told == pager.bodies


def _external_url(bodies: list[dict[str, Any]]) -> str:
    """Return what Alertmanager takes for its own address: the name of the host and its port."""
    return str(bodies[0]["externalURL"])
