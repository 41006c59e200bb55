"""Receivers as the settings have them: each kind is told in its own way, as often as it wants."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.app.receivers import channels_of
from agent.config.receivers import (
    AlertReceiver,
    AlertReceivers,
    KeepReceiver,
    KeepReceivers,
    WebhookReceiver,
    WebhookReceivers,
)
from agent.config.settings import Exporters, Settings
from agent.model import Alert, Frame, SeriesTable
from exporters.receivers import Receivers
from tests.fakes.alert_server import AlertServer, alert_server
from tests.fakes.clock import ManualClock

NOW = 1_800_000_000.0


@pytest.fixture
async def server() -> AsyncIterator[AlertServer]:
    """One server for all receivers; they ask at other paths."""
    async with alert_server() as one:
        yield one


def settings(url: str) -> Settings:
    """Return settings with a receiver of each kind."""
    return Settings(
        exporters=Exporters(
            alertmanager=AlertReceivers(receivers=(AlertReceiver(name="a", url=url),)),
            keep=KeepReceivers(receivers=(KeepReceiver(name="k", url=url),)),
            webhook=WebhookReceivers(receivers=(WebhookReceiver(name="w", url=url + "/hook"),)),
        )
    )


def alerts(*, resolved: bool = False) -> list[Alert]:
    """Return two alerts."""
    return [
        Alert(
            labels={"alertname": name},
            annotations={},
            starts_at=NOW,
            ends_at=NOW + 240.0,
            resolved=resolved,
        )
        for name in ("A", "B")
    ]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what tasks and sockets bring about, half a minute at most."""
    for _turn in range(6000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError


async def test_each_kind_hears_as_often_as_it_wants(server: AlertServer, tmp_path: Path):
    """Alertmanager hears each time of what fires on, Keep and webhooks once; all of the end."""
    table, clock = SeriesTable(), ManualClock(time=NOW)
    receivers = Receivers(
        channels_of(settings(server.url), clock=clock, external_url="http://h:9745"),
        table=table,
        clock=clock,
        random=lambda: 1.0,
        folder=tmp_path,
    )
    counted = {"/base/api/v2/alerts": 0, "/base/alerts/event": 0, "/base/hook": 0}

    async def tell(told: list[Alert], **more: int) -> None:
        """Publish a frame and wait until as many requests more were made as are expected."""
        for path, count in more.items():
            counted[next(key for key in counted if key.endswith(path))] += count
        await receivers.publish(Frame(clock.time(), table, [], [], (), told))
        await until(lambda: {path: server.paths.count(path) for path in counted} == counted)
        clock.advance(60.0)

    async with contextlib.aclosing(receivers):
        await tell(alerts(), alerts=1, event=1, hook=2)
        await tell(alerts(), alerts=1)
        await tell(alerts(resolved=True), alerts=1, event=1, hook=2)
        await tell(alerts(resolved=True), alerts=1)
        clock.advance(5 * 3600.0)
        await tell(alerts(), alerts=1, event=1, hook=2)
    events = [
        [one["status"] for one in body]
        for path, body in zip(server.paths, server.bodies, strict=True)
        if path.endswith("event")
    ]
    assert events == [["firing"] * 2, ["resolved"] * 2, ["firing"] * 2]
    spools = {"keep-k.spool", "webhook-w.spool"}
    assert {*os.listdir(tmp_path)} == spools  # noqa: PTH208 - not in a coroutine
