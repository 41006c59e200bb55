"""Everyone who is told: one that is down delays no other, and what became of alerts is counted."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent import http_client
from agent.config import Secret
from agent.config.access import Tls
from agent.config.receivers import AlertReceiver
from agent.model import Frame, SeriesTable
from agent.service import SystemClock
from exporters.alertmanager import Alertmanager
from exporters.receivers import Channel, Receivers
from tests.fakes.alert_server import AlertServer, alert_server, an_alert

ALERT = an_alert()


@pytest.fixture
async def server() -> AsyncIterator[AlertServer]:
    """A server that listens."""
    async with alert_server() as one:
        yield one


def channel(receiver: AlertReceiver) -> Channel:
    """Return the way to an Alertmanager."""
    return Channel(
        kind="alertmanager",
        name=receiver.name,
        url=receiver.url,
        sender=Alertmanager(receiver),
        made_of=receiver,
        timeout=receiver.timeout,
        spool_size=10**6,
    )


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that tasks and sockets bring about."""
    for _turn in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError


async def test_a_receiver_that_hangs_delays_no_other(server: AlertServer, tmp_path: Path):
    """Publishing returns at once, the other receiver is told, and what waits is spooled."""
    hanging = AlertServer()
    hanging.hang = True
    await hanging.start()
    table = SeriesTable()
    exporter = Receivers(
        [
            channel(AlertReceiver(name="hangs", url=hanging.url, timeout=20.0)),
            channel(AlertReceiver(name="works", url=server.url)),
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
    server: AlertServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
):
    """A secret or certificate on a dead filesystem costs its receiver alone, and heals."""
    path = tmp_path / "never-answers"
    real = getattr(http_client, what)
    hung = Secret(file=path) if what == "credentials" else Tls(ca_file=path)
    healed = threading.Event()

    def reads(*given: object) -> object:
        if hung in given:
            healed.wait()
            given = (Secret(env="TOKEN"), None, None) if what == "credentials" else (Tls(),)
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
    exporter = Receivers(
        [channel(hanging), channel(AlertReceiver(name="works", url=server.url))],
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


def waiting(exporter: Receivers, table: SeriesTable) -> dict[str, float]:
    """Return how many alerts wait for each receiver, as the page says."""
    return said_of_each(exporter, table, "inferwatch_alerts_waiting")


def delivered(exporter: Receivers, table: SeriesTable) -> dict[str, float]:
    """Return how many alerts each receiver took, as the page says."""
    return said_of_each(exporter, table, "inferwatch_alerts_delivered_total")


def said_of_each(exporter: Receivers, table: SeriesTable, metric: str) -> dict[str, float]:
    """Return what the page says of each receiver."""
    reading = exporter.reading()
    return {
        table[series_id].labels[0]: value
        for series_id, value in zip(reading.ids, reading.values, strict=True)
        if table[series_id].metric.name == metric
    }


async def test_what_became_of_the_alerts_is_counted(server: AlertServer):
    """Each receiver has its samples; before the first alert nothing is said of its health."""
    table = SeriesTable()
    exporter = Receivers(
        [channel(AlertReceiver(name="m", url=server.url))],
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


async def test_other_receivers_are_told_from_then_on(server: AlertServer, tmp_path: Path):
    """One that stays goes on undisturbed, one that is gone is closed, a new one is told."""
    table = SeriesTable()
    stays, goes, comes = (AlertReceiver(name=name, url=server.url) for name in "sgc")
    exporter = Receivers(
        [channel(stays), channel(goes)],
        table=table,
        clock=SystemClock(),
        random=lambda: 1.0,
        folder=tmp_path,
    )
    async with contextlib.aclosing(exporter):
        await exporter.publish(Frame(0.0, table, [], [], (), [ALERT]))
        await until(lambda: delivered(exporter, table) == {"s": 1.0, "g": 1.0})
        await exporter.use([channel(comes), channel(stays)])
        await exporter.publish(Frame(1.0, table, [], [], (), [ALERT]))
        await until(lambda: delivered(exporter, table) == {"c": 1.0, "s": 2.0})
        assert len(server.bodies) == 4


async def test_what_waits_goes_to_a_receiver_with_another_address(
    server: AlertServer, tmp_path: Path
):
    """Alerts that the old address did not take are brought to the new one."""
    table = SeriesTable()
    wrong, right = (AlertReceiver(name="m", url=url) for url in ("http://127.0.0.1:1", server.url))
    exporter = Receivers(
        [channel(wrong)], table=table, clock=SystemClock(), random=lambda: 1.0, folder=tmp_path
    )
    async with contextlib.aclosing(exporter):
        await exporter.publish(Frame(0.0, table, [], [], (), [ALERT]))
        await until(lambda: waiting(exporter, table) == {"m": 1.0})
        await exporter.use([channel(right)])
        await exporter.publish(Frame(1.0, table, [], []))
        await until(lambda: delivered(exporter, table) == {"m": 1.0})
        assert server.bodies[0][0]["labels"] == ALERT.labels


def test_channels_differ_by_what_their_sender_was_made_of():
    """Another password is another way, though nothing else of the channel says so."""
    one = AlertReceiver(name="m", url="http://h")
    assert channel(one) == channel(one)
    assert channel(one) != channel(replace(one, bearer_token=Secret(env="TOKEN")))
