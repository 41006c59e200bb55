"""The agent that plays a recording."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import structlog

from agent.app.access import page_address
from agent.app.common import looked_for, signals, source_lines
from agent.app.conclusions import Conclusions
from agent.app.courses import courses
from agent.app.history import target_of
from agent.app.judging import Judging, rules_of
from agent.app.prometheus_api import Asked
from agent.app.version import version
from agent.catalog import agent as catalog
from agent.catalog import alerts
from agent.config import Listen, Settings
from agent.config.settings import History, Labels
from agent.log import ChangeLog
from agent.model import ConfigError, Frame, Reading, RecordingFailedError, SeriesTable
from agent.recording import RecordedTick, RecordingReader
from agent.replay import Replay, ReplayClock, until_damage
from agent.service import SystemClock
from exporters.access import Guard
from exporters.http_api import HttpApi, Views
from exporters.prometheus import PrometheusExporter

_NO_CONFIGURATION = "a replay has no configuration to read again"
# Alerts of a recording are nobody's business but its viewer's, and its host is not this one.
_SETTINGS: Final = Settings(history=History(enabled=False), labels=Labels(instance="recording"))


class ReplayAgent:
    """Runs the pipeline, the rules and the exporters on a recording.

    Args:
        path: the recording.
        speed: seconds of it for each second; 0 for as fast as possible.
        ahead: seconds of it that are played at once, so that something is known from the start.

    Raises:
        RecordingError: it is not one.
    """

    def __init__(self, path: Path, *, speed: float, ahead: float = 0.0) -> None:
        self._table = SeriesTable()
        self._reader = RecordingReader(path, self._table)
        self._speed = speed
        self._ahead = ahead
        self._clock = ReplayClock()
        self._conclusions = Conclusions(_SETTINGS)
        self._pipeline = self._conclusions.pipeline(self._table)
        self._log = ChangeLog()
        self._says_alerts = False
        self._groups = rules_of(_SETTINGS)
        self._judging = self._new_judging()
        self._page = PrometheusExporter(self._clock)
        self._asked = Asked(
            _SETTINGS.exporters.http_api.queries,
            path=None,
            target=target_of(_SETTINGS),
            judging=lambda: self._judging,
            page=self._page,
            interval=lambda: _SETTINGS.tick.interval,
            clock=self._clock,
            wall=SystemClock(),
        )
        header = self._reader.header
        facts = (path.name, str(header.get("note", "")))
        self._facts = {
            self._table.intern(catalog.BUILD_INFO, (version(),)): 1.0,
            self._table.intern(catalog.RECORDING_INFO, facts): 1.0,
        }
        self._banner = "This is a replay of a recording. " + str(header.get("note", ""))

    async def last_page(self) -> str:
        """Play to the end and return the page in the text format.

        Raises:
            RecordingError: the recording is damaged, or holds no tick.
        """
        self._check(await self._replay().run(self._ticks(loop=False)))
        return self._page.render(openmetrics=False).decode()

    async def run(self, *, listen: Listen, loop: bool, web_config: Path | None = None) -> None:
        """Serve the recording while it plays, until its end or a signal.

        Args:
            listen: where.
            loop: begin again at the end.
            web_config: what is asked of those who come; nothing without one.

        Raises:
            ConfigError: the address to listen on cannot be had, or the web configuration has
                problems.
            RecordingError: the recording is damaged further on, or holds no tick.
        """
        log = structlog.get_logger()
        guard = Guard(clock=SystemClock(), told=self._web_config_told)
        api = HttpApi(self._page, self._views(), guard=guard)
        stop = asyncio.Event()
        self._says_alerts = True
        with signals(stop.set, self._decline_reload):
            try:
                await api.listen([listen], web_config=web_config)
                log.info("inferwatch plays a recording", recording=str(self._reader.path))
                log.info("open it in a browser", url=page_address(listen, guard))
                playing = asyncio.create_task(self._replay().run(self._ticks(loop=loop)))
                stopped = asyncio.create_task(stop.wait())
                await asyncio.wait((playing, stopped), return_when=asyncio.FIRST_COMPLETED)
                for task in (playing, stopped):
                    task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    self._check(await playing)
                if self._reader.unknown:
                    names = ", ".join(sorted(self._reader.unknown))
                    log.warning("the recording has metrics that this agent lacks", metrics=names)
            finally:
                await self._asked.queries.aclose()
                await api.aclose()

    @staticmethod
    def _web_config_told(problem: str) -> None:
        """Say what is wrong with a web configuration that has changed."""
        if problem:
            structlog.get_logger().error("the web configuration is refused", reason=problem)

    def _replay(self) -> Replay:
        """Return what plays."""
        return Replay(
            self._pipeline,
            [self._page],
            clock=self._clock,
            pace=SystemClock(),
            speed=self._speed,
            facts=self._facts,
            judge=self._judge,
            further=self._readings,
            ahead=self._ahead,
        )

    def _new_judging(self) -> Judging:
        """Return rules without a past, and a history in memory for them."""
        return Judging(
            _SETTINGS,
            table=self._table,
            clock=self._clock,
            log=self._log,
            groups=self._groups,
            verdict=self._conclusions.about,
        )

    def _judge(self, frame: Frame) -> Frame:
        """Return a frame with the alerts that follow from it; while it is served, say them."""
        judged = self._judging.judge(frame)
        if self._says_alerts:
            self._log.events(judged.events[len(frame.events) :], frame.time)
        return judged

    def _readings(self) -> Sequence[Reading]:
        """Return the samples about the rules, less how long they take: that is of this process."""
        duration = self._table.intern(alerts.RULES_DURATION)
        said: dict[int, float] = {}
        for reading in self._judging.readings():
            said.update(zip(reading.ids, reading.values, strict=True))
        said.pop(duration, None)
        return (Reading([*said], [*said.values()]),)

    def _check(self, last: Frame | None) -> None:
        """Refuse a recording that had nothing to play.

        Raises:
            RecordingFailedError: there was no frame.
        """
        if last is None:
            raise RecordingFailedError(
                f"{self._reader.path}: holds no ticks: its recorder ended before the first"
            )

    def _decline_reload(self) -> None:
        """Answer SIGHUP, which without an answer would end the process."""
        structlog.get_logger().info(_NO_CONFIGURATION)

    def _ticks(self, *, loop: bool) -> Iterator[RecordedTick]:
        """Yield the ticks, again and again if wanted, with a time that goes on.

        Each round is judged by itself: its counters begin anew, and what lasts longer than the
        recording was never seen to.
        """
        shift = 0.0
        while True:
            self._judging = self._new_judging()
            first = last = None
            for tick in until_damage(self._reader.ticks(), _warn):
                first = tick.monotonic if first is None else first
                last = tick.monotonic
                yield tick.shifted(shift)
            if not loop or first is None or last is None:
                return
            shift += last - first + _SETTINGS.tick.interval

    def _views(self) -> Views:
        """Return what the HTTP endpoint may ask."""

        async def refuse() -> str:
            raise ConfigError(_NO_CONFIGURATION)

        return Views(
            engine_pages=dict,
            sources=lambda: source_lines(self._pipeline),
            reload=refuse,
            banner=self._banner,
            version=version(),
            interval=lambda: _SETTINGS.tick.interval,
            engines=self._conclusions.as_json,
            capacity=self._conclusions.capacity,
            signals=self._conclusions.signals_json,
            prometheus=self._asked.api,
            host="a recording",
            alerts=self._asked.alerts,
            looked_for=looked_for(),
            courses=lambda time: courses(self._judging, time),
            no_engine_pages="a recording holds no pages of engines",
        )


def _warn(damage: str) -> None:
    """Say that a recording lacks its end."""
    structlog.get_logger().warning("the recording ends early", reason=damage)
