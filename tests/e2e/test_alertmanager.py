"""A rule that fires on a recording reaches people through a real Alertmanager, once."""

import asyncio
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from agent.alerts.group import Site
from agent.app.alerting import Alerting
from agent.app.conclusions import new_pipeline
from agent.app.receivers import channels_of
from agent.app.rules import load_rules, shipped_rule_files
from agent.config.receivers import AlertReceiver, AlertReceivers
from agent.config.settings import Exporters, Settings
from agent.model import Frame, Reading, SeriesTable
from agent.recording import RecordedTick, RecordingReader
from agent.replay import play
from agent.service import SystemClock
from agent.store.history import History
from agent.store.target import Target
from exporters.receivers import Receivers
from tests.e2e import alertmanager
from tests.e2e.alertmanager import Pager, RealAlertmanager
from tests.servers import NEEDS_ALERTMANAGER

pytestmark = [
    pytest.mark.server,
    NEEDS_ALERTMANAGER,
]

RECORDING = Path(__file__).parents[1] / "recordings" / "vllm-enginecrash.rec.gz"
ALERT = "EngineDown"


class ReplayedAgent:
    """Rules, their state and delivery as the agent has them, on recorded ticks at any time."""

    def __init__(self, folder: Path, url: str) -> None:
        self.table = SeriesTable()
        self._pipeline = new_pipeline(self.table)
        self._ticks = [*RecordingReader(RECORDING, self.table).ticks()]
        self._history = History(
            self.table,
            clock=SystemClock(),
            path=folder / "history.db",
            target=Target(job="inferwatch", instance="h:9745"),
        )
        self.alerting = Alerting(
            load_rules(shipped_rule_files()),
            site=Site(external_labels={"site": "test"}, external_url="http://h:9745"),
            table=self.table,
            history=self._history,
            clock=SystemClock(),
            tick=1.0,
            state_file=folder / "alerts.json",
        )
        told = AlertReceivers(receivers=(AlertReceiver(name="main", url=url),))
        self.exporter = Receivers(
            channels_of(
                Settings(exporters=Exporters(alertmanager=told)),
                clock=SystemClock(),
                external_url="http://h:9745",
            ),
            table=self.table,
            clock=SystemClock(),
            random=random.random,
            folder=folder,
        )

    async def __aenter__(self) -> Self:
        """Begin as the agent does."""
        await self.alerting.restore()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End as the agent does on SIGTERM."""
        await self.exporter.aclose()
        await self.alerting.aclose()
        await asyncio.to_thread(self._history.close)

    async def crash(self, end: float) -> None:
        """Play the whole recording, such that its last tick is at this time."""
        for tick in self._ticks:
            await self._play(tick, end - self._ticks[-1].time)

    async def stay_down(self, start: float, seconds: int) -> None:
        """Play what the agent sees of the dead engine, each second anew."""
        down = [self._ticks[-1]] * seconds
        for number, tick in enumerate(self._declared(down)):
            await self._play(tick, start + number - tick.time)

    async def come_back(self, start: float) -> None:
        """Play the seconds before the crash."""
        for tick in self._declared(self._ticks[:5]):
            await self._play(tick, start - self._ticks[0].time)

    def _declared(self, ticks: list[RecordedTick]) -> Iterator[RecordedTick]:
        """Yield ticks with the sources that there are in the recording."""
        appeared = [spec for tick in self._ticks for spec in tick.appeared]
        yield RecordedTick(ticks[0].time, ticks[0].looks, appeared)
        yield from (RecordedTick(tick.time, tick.looks) for tick in ticks[1:])

    async def _play(self, tick: RecordedTick, shift: float) -> None:
        """Let one tick pass through the agent."""
        frame: Frame = play(self._pipeline, tick.shifted(shift), Reading([], []))
        self._history.append(frame)
        await self.exporter.publish(self.alerting.evaluate(frame))

    def waiting(self) -> float:
        """Return how many alerts wait for the receiver."""
        reading = self.exporter.reading()
        return next(
            value
            for series_id, value in zip(reading.ids, reading.values, strict=True)
            if self.table[series_id].metric.name == "inferwatch_alerts_waiting"
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[RealAlertmanager, Pager]]:
    """A running Alertmanager and the one whom it notifies."""
    with alertmanager.running(tmp_path) as both:
        yield both


async def until(condition: Callable[[], bool], *, seconds: float = 15.0) -> None:
    """Wait for what other processes bring about."""
    for _turn in range(int(seconds / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError


# What Alertmanager would say again it says within its group interval, half a second.
QUIET = 1.5


async def test_once_through_restarts_of_either_side(
    server: tuple[RealAlertmanager, Pager], tmp_path: Path
):
    """An alert is notified once and resolved once, though agent and Alertmanager restart."""
    real, pager = server
    now = SystemClock().time()
    async with ReplayedAgent(tmp_path, real.url) as agent:
        await agent.crash(now - 120.0)
        await until(lambda: pager.states(ALERT) == ["firing"])
    async with ReplayedAgent(tmp_path, real.url) as agent:
        await agent.stay_down(now - 119.0, 5)
        await until(lambda: agent.waiting() == 0)
        await asyncio.to_thread(real.stop)
        await agent.stay_down(now - 114.0, 70)
        await until(lambda: agent.waiting() > 0)
        await asyncio.to_thread(real.start)
        await until(lambda: agent.waiting() == 0)
        assert ALERT in {alert["labels"]["alertname"] for alert in real.alerts()}
        await asyncio.sleep(QUIET)
        assert pager.states(ALERT) == ["firing"]
        await agent.come_back(now - 40.0)
        await until(lambda: pager.states(ALERT) == ["firing", "resolved"])
    async with ReplayedAgent(tmp_path, real.url) as agent:
        await agent.come_back(now - 30.0)
        await until(lambda: agent.waiting() == 0)
        await asyncio.sleep(QUIET)
    assert pager.states(ALERT) == ["firing", "resolved"]


async def test_an_end_that_nobody_took_is_told_after_restarts(
    server: tuple[RealAlertmanager, Pager], tmp_path: Path
):
    """What ends while Alertmanager is down is told by the next agent to the next Alertmanager."""
    real, pager = server
    now = SystemClock().time()
    async with ReplayedAgent(tmp_path, real.url) as agent:
        await agent.crash(now - 60.0)
        await until(lambda: pager.states(ALERT) == ["firing"])
        await asyncio.to_thread(real.stop)
        await agent.come_back(now - 50.0)
        await until(lambda: agent.waiting() > 0)
    assert (await asyncio.to_thread((tmp_path / "alertmanager-main.spool").read_text)).count(ALERT)
    await asyncio.to_thread(real.start)
    async with ReplayedAgent(tmp_path, real.url) as agent:
        await agent.come_back(now - 40.0)
        await until(lambda: pager.states(ALERT) == ["firing", "resolved"])


async def test_the_fingerprint_is_that_of_alertmanager(
    server: tuple[RealAlertmanager, Pager], tmp_path: Path
):
    """Both sides name an alert by the same sixteen digits, whatever its labels hold."""
    real, _pager = server
    async with ReplayedAgent(tmp_path, real.url) as agent:
        told = []
        alerting = agent.alerting

        def keep(frame: Frame) -> Frame:
            done = Alerting.evaluate(alerting, frame)
            told.extend(done.alerts)
            return done

        alerting.evaluate = keep
        await agent.crash(SystemClock().time() - 10.0)
        await until(lambda: bool(real.alerts()))
    assert {alert["fingerprint"] for alert in real.alerts()} <= {
        alert.fingerprint for alert in told
    }
