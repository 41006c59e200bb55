"""The agent that watches this host."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from agent.app.access import Access, page_address
from agent.app.common import looked_for, signals, source_lines
from agent.app.conclusions import Conclusions
from agent.app.courses import courses
from agent.app.demand import DemandHistory
from agent.app.history import target_of
from agent.app.judging import Judging, rules_of
from agent.app.learned import STATE_FILE, LearnedFile
from agent.app.prometheus_api import Asked
from agent.app.reports import Reports
from agent.app.restart import waits_for_restart
from agent.app.sources import Sources
from agent.app.version import version
from agent.catalog import agent as catalog
from agent.config import Settings
from agent.log import ChangeLog, configure_logging
from agent.model import ConfigError, Frame, Look, SeriesTable
from agent.pipeline import Health, Pipeline
from agent.recording import RecordingWriter, Scrubber
from agent.runtime import Runtime
from agent.service import ServiceManager, SystemClock
from agent.store.forgetting import Forgetting
from exporters.http_api import EnginePage, HttpApi, Views
from exporters.prometheus import PrometheusExporter


class Agent:
    """Watches this host.

    Args:
        settings: what to watch and how.
        read_settings: reads the settings anew for a reload; raises ConfigError.
        config: where they are read from, for the processes that make reports.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        read_settings: Callable[[], Settings],
        config: Path | None = None,
    ) -> None:
        self._settings = settings
        self._begun_with = settings
        self._read_settings = read_settings
        self._clock = SystemClock()
        self._log = structlog.get_logger()
        self._service = ServiceManager()
        self._table = SeriesTable()
        self._forgetting = Forgetting(
            self._table, in_use=lambda: (self._judging.series(), self._pipeline.series())
        )
        self._conclusions = Conclusions(settings)
        self._pipeline = self._conclusions.pipeline(self._table)
        log = ChangeLog()
        self._judging = Judging(
            settings,
            table=self._table,
            clock=self._clock,
            log=log,
            verdict=self._conclusions.about,
        )
        folder = self._judging.state_folder
        self._learned: Sequence[LearnedFile] = (
            ()
            if folder is None
            else (
                LearnedFile(
                    self._conclusions.learning,
                    folder / STATE_FILE,
                    clock=self._clock,
                    told=self._log.warning,
                ),
            )
        )
        self._past: Sequence[DemandHistory] = (
            ()
            if folder is None
            else (
                DemandHistory(
                    self._conclusions.demands,
                    settings.history.path,
                    target=target_of(settings),
                    clock=self._clock,
                    told=self._log.warning,
                ),
            )
        )
        self._recorder: _Recorder | None = None
        self._open_recording: Callable[[], RecordingWriter] | None = None
        self._runtime = Runtime(
            self._pipeline,
            clock=self._clock,
            interval=settings.tick.interval,
            log=log,
            judge=self._judging.in_steps,
            alive=self._alive,
            record=self._record,
        )
        self._sources = Sources(self._runtime, self._table, self._clock)
        self._reports = Reports(config)
        self._page = PrometheusExporter(self._clock)
        self._asked = Asked(
            settings.exporters.http_api.queries,
            path=settings.history.path if settings.history.enabled else None,
            target=target_of(settings),
            judging=lambda: self._judging,
            page=self._page,
            interval=lambda: self._runtime.interval,
            clock=self._clock,
            wall=self._clock,
            encrypted=lambda: self._access.guard.encrypts,
        )
        self._facts = self._runtime.own.facts
        self._access = Access(clock=self._clock, table=self._table, facts=self._facts)
        self._api = HttpApi(self._page, self._views(), guard=self._access.guard)
        self._reload_requested = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._runtime.own.further = self._judging.readings
        self._facts[self._table.intern(catalog.BUILD_INFO, (version(),))] = 1.0
        self._reload_success = self._table.intern(catalog.CONFIG_RELOAD_SUCCESS)
        self._reload_time = self._table.intern(catalog.CONFIG_RELOAD_TIME)

    def record_to(self, path: Path, *, note: str, scrub: bool) -> None:
        """Write what the collectors see to a file while running; it is made once all else works."""
        header = {"agent": version(), "note": note}
        self._open_recording = lambda: RecordingWriter(
            path, self._table, header=header, scrubber=Scrubber() if scrub else None
        )

    async def run(self, *, duration: float | None = None) -> None:
        """Run until SIGTERM or SIGINT, or for a number of seconds.

        Raises:
            ConfigError: an address to listen on cannot be had, or a rule file has problems.
            RecordingError: the recording that was asked for cannot be written.
        """
        with signals(self._runtime.stop, self.request_reload):
            reloader: asyncio.Task[None] | None = None
            try:
                async with self._reloading:
                    await self._use(self._settings)
                await self._judging.restore()
                for learned in self._learned:
                    await learned.restore()
                self._note_reload(well=True)
                self._runtime.exporters += [
                    self._page,
                    self._judging.receivers,
                    *self._judging.recorders,
                    *self._learned,
                    *self._past,
                ]
                if self._open_recording is not None:
                    self._recorder = _Recorder(self._open_recording(), self._pipeline)
                self._log.info("inferwatch is watching", version=version(), **self._served_at())
                reloader = asyncio.create_task(self._reload_on_request())
                if duration is not None:
                    asyncio.get_running_loop().call_later(duration, self._runtime.stop)
                await self._runtime.run()
            finally:
                self._service.stopping()
                if reloader is not None:
                    reloader.cancel()
                await self._close()

    def _served_at(self) -> dict[str, str]:
        """Return where it serves, as the log has it; nothing where it only records."""
        listen = self._settings.exporters.http_api.listen
        if not listen:
            return {}
        page = page_address(listen[0], self._access.guard)
        return {"listen": ", ".join(map(str, listen)), "page": page}

    async def _close(self) -> None:
        """Let go of everything, whatever state it is in."""
        await self._sources.aclose()
        await self._runtime.aclose()
        await self._reports.aclose()
        await self._asked.queries.aclose()
        await self._api.aclose()
        await self._judging.aclose()
        try:
            if self._recorder is not None:
                self._recorder.writer.close()
        finally:
            self._log.info("inferwatch has stopped")

    def request_reload(self) -> None:
        """Have the settings read again soon, as SIGHUP does."""
        self._reload_requested.set()

    async def _reload_on_request(self) -> None:
        """Reload whenever it was requested."""
        while True:
            await self._reload_requested.wait()
            self._reload_requested.clear()
            with contextlib.suppress(Exception):  # said in the log and in a metric
                await self.reload()

    async def reload(self) -> str:
        """Read the settings again and go on with them; what they leave as it was goes on running.

        Reloads that are asked for at the same time come one after the other.

        Returns:
            What of them waits for a restart, as a sentence; nothing where all is used.

        Raises:
            ConfigError: they have problems; the old ones stay in use.
            Exception: they cannot be used for another reason; likewise.
        """
        async with self._reloading:
            self._service.reloading(self._clock.monotonic())
            try:
                return await self._reload()
            finally:
                self._service.reloaded()

    async def _reload(self) -> str:
        """Do it; one at a time."""
        try:
            settings = self._read_settings()
            await self._use(settings)
        except ConfigError as error:
            self._note_reload(well=False)
            self._log.error("the configuration was refused, the old one stays", reason=str(error))
            raise
        except Exception:
            self._note_reload(well=False)
            self._log.exception("the configuration cannot be used, the old one stays")
            await self._use(self._settings)
            raise
        configure_logging(settings.logging)
        self._settings = settings
        self._note_reload(well=True)
        self._log.info("the configuration was read again")
        waiting = waits_for_restart(self._begun_with, settings)
        if not waiting:
            return ""
        note = f"what has changed at {', '.join(waiting)} waits for a restart"
        self._log.warning(note)
        return note

    async def _use(self, settings: Settings) -> None:
        """Go on with these settings.

        Raises:
            ConfigError: a rule file has problems or an address cannot be had; nothing has changed.
        """
        rules = rules_of(settings)
        http = settings.exporters.http_api
        await self._api.listen(http.listen, web_config=http.web_config)
        self._access.note()
        await self._judging.use(settings, rules)
        self._asked.queries.use(settings.exporters.http_api.queries)
        self._runtime.interval = settings.tick.interval
        self._service.expect(settings.tick.interval)
        self._conclusions.use(settings)
        await self._sources.apply(settings.collectors)

    def _note_reload(self, *, well: bool) -> None:
        """Keep the metrics about the configuration."""
        self._facts[self._reload_success] = 1.0 if well else 0.0
        if well:
            self._facts[self._reload_time] = self._clock.time()

    def _alive(self, frame: Frame) -> None:
        """Tell the service manager that a tick is complete; forget what is long gone."""

        def status() -> str:
            down = [line.name for line in source_lines(self._pipeline) if line.state == "down"]
            return f"{len(frame.ids)} series" + (f"; down: {', '.join(down)}" if down else "")

        now = self._clock.monotonic()
        self._service.tick(now, status)
        self._forgetting.tick(now)

    def _record(self, time: float, now: float, looks: Sequence[Look]) -> None:
        """Hand the looks of a tick to the recorder, if there is one."""
        if self._recorder is not None:
            self._recorder.take(time, now, looks)

    def _views(self) -> Views:
        """Return what the HTTP endpoint may ask."""
        return Views(
            engine_pages=self._engine_pages,
            sources=lambda: source_lines(self._pipeline),
            reload=self.reload,
            banner="",
            version=version(),
            interval=lambda: self._runtime.interval,
            engines=self._conclusions.as_json,
            report=self._reports.answer,
            capacity=self._conclusions.capacity,
            signals=self._conclusions.signals_json,
            prometheus=self._asked.api,
            host=target_of(self._settings).instance,
            alerts=self._asked.alerts,
            looked_for=looked_for(),
            courses=lambda time: courses(self._judging, time),
        )

    def _engine_pages(self) -> Mapping[str, EnginePage | None]:
        """Return the last page of each engine; None where it is too old to show."""
        pages: dict[str, EnginePage | None] = {}
        now = self._clock.monotonic()
        for collector in self._sources.engines():
            health = self._pipeline.sources.get(collector.name)
            fresh = health is not None and health.fresh(now)
            pages[collector.instance.name] = (
                EnginePage(body=collector.last_page, content_type=collector.last_content_type)
                if fresh and collector.last_page is not None
                else None
            )
        return pages


class _Recorder:
    """Writes each tick, and which sources came and went."""

    def __init__(self, writer: RecordingWriter, pipeline: Pipeline) -> None:
        self.writer = writer
        self._pipeline = pipeline
        self._known: dict[str, Health] = {}

    def take(self, time: float, now: float, looks: Sequence[Look]) -> None:
        """Write a tick."""
        sources = self._pipeline.sources
        specs = {name: health.spec for name, health in sources.items()}
        # One that went and returned between two ticks is another.
        gone = [name for name, health in self._known.items() if sources.get(name) is not health]
        self.writer.write(time, looks, specs, gone, now=now)
        self._known = dict(sources)
