"""Which sources there are, by the settings and by what discovery finds."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.catalog import agent as catalog
from agent.catalog import gpu
from agent.config import EngineInstance
from agent.config.settings import Collectors
from agent.config.settings import Source as SourceSettings
from agent.model import Clock, Collector, SeriesTable
from agent.runtime import Runtime
from collectors.dcgm import DcgmCollector, Device
from collectors.discovery import Discovery
from collectors.engine_ends import EngineEnd, EngineEndsCollector
from collectors.engines import ENGINES
from collectors.engines.collector import EngineCollector
from collectors.engines.process import EngineProcess
from collectors.engines.profile import Fact
from collectors.host import HostCollector
from collectors.kernel_log import KernelLogCollector
from collectors.nvml.collector import NvmlCollector
from collectors.processes import EngineProcessRef, ProcessesCollector


@dataclass(frozen=True, slots=True)
class _Planned:
    """A source that should run: how often, and how it is made.

    `key` is all that it is made from: while it stays the same, the collector lives on.
    """

    settings: SourceSettings
    key: object
    build: Callable[[], Collector]
    precedence: int = 0
    up_id: int | None = None

    def same_as(self, other: "_Planned") -> bool:
        """Return whether nothing changes for the source."""
        return self.key == other.key and self.settings == other.settings


class Sources:
    """Keeps the runtime's sources as the settings and discovery want them.

    Where NVML and DCGM both know a value, NVML's is shown.
    """

    def __init__(self, runtime: Runtime, table: SeriesTable, clock: Clock) -> None:
        self._runtime = runtime
        self._table = table
        self._clock = clock
        self._settings = Collectors()
        self._running: dict[str, tuple[_Planned, Collector]] = {}
        # While the agent runs a GPU keeps its label, and the devices of a source that fails theirs.
        self._gpu_names: dict[str, str] = {}
        self._known_devices: list[Device] = []
        self._discovery: Discovery | None = None
        self._discovery_key: object = None
        self._lock = asyncio.Lock()
        self._retargeting: asyncio.Task[None] | None = None
        self._outdated = False
        self._unremarked: set[str] = set()
        self._configured: list[int] = []

    def engines(self) -> Sequence[EngineCollector]:
        """Return the engine collectors that run now."""
        return [
            collector
            for _planned, collector in self._running.values()
            if isinstance(collector, EngineCollector)
        ]

    def pids(self) -> dict[str, int]:
        """Return the process of each engine that runs on this host, by name of the instance."""
        return {ref.instance_name: ref.pid for ref in self._engine_processes()}

    async def apply(self, settings: Collectors) -> None:
        """Run the sources of these settings; those that they leave as they were live on."""
        self._settings = settings
        await self._update()

    async def aclose(self) -> None:
        """Stop following discovery; the runtime closes the sources."""
        if self._retargeting is not None:
            self._retargeting.cancel()

    async def _update(self) -> None:
        """Start, replace and stop sources until those that run are those that should."""
        async with self._lock:
            await self._make_discovery()
            self._outdated = False
            planned = self._plan()
            for name in [name for name in self._running if name not in planned]:
                del self._running[name]
                await self._runtime.remove(name)
            for name, plan in planned.items():
                self._bring_about(name, plan)
            self._say_configured()

    def _bring_about(self, name: str, plan: _Planned) -> None:
        """Have one source run as planned."""
        running = self._running.get(name)
        if running is not None and running[0].same_as(plan):
            return
        keep = running is not None and running[0].key == plan.key
        collector = running[1] if running is not None and keep else plan.build()
        self._running[name] = (plan, collector)
        self._runtime.add(collector, plan.settings, precedence=plan.precedence, up_id=plan.up_id)

    def _say_configured(self) -> None:
        """Say which engines the configuration names: nothing else tells them from what was found.

        A rule needs it: one that was found has a process, one that is named may never have been.
        """
        facts, engines = self._runtime.own.facts, self._settings.engines
        for series_id in self._configured:
            facts.pop(series_id, None)
        self._configured = [
            self._table.intern(catalog.ENGINE_CONFIGURED, (one.engine, one.name))
            for one in (engines.instances if engines.enabled else ())
        ]
        facts.update(dict.fromkeys(self._configured, 1.0))

    async def _make_discovery(self) -> None:
        """Have a discovery for these settings.

        A new one goes on with what an old one had found, also with engines that have ended, and
        looks at once.
        """
        settings = self._settings
        key = (settings.engines.instances, settings.discovery.forget_after)
        if not settings.discovery.enabled:
            self._discovery = None
        elif self._discovery is None or self._discovery_key != key:
            self._discovery_key = key
            before = self._discovery
            self._discovery = Discovery(
                engines=ENGINES,
                table=self._table,
                clock=self._clock,
                configured=settings.engines.instances,
                forget_after=settings.discovery.forget_after,
                on_change=self._retarget,
                found=None if before is None else before.found,
            )
            # Whatever is wrong, its own look will say so.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(settings.discovery.timeout):
                    await self._discovery.collect()

    def _retarget(self) -> None:
        """Follow what discovery found, beside the tick."""
        self._outdated = True
        if self._retargeting is None or self._retargeting.done():
            self._retargeting = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        """Update until nothing has changed meanwhile."""
        while self._outdated:
            await self._update()

    def _plan(self) -> dict[str, _Planned]:
        """Return the sources that should run, by name."""
        settings, table, clock = self._settings, self._table, self._clock
        discovery = self._discovery
        models = self._model_folders()
        folders = (*settings.host.folders, *models)
        # That of an engine in a container is not there, and that is no news.
        self._unremarked |= {str(model) for model in models}
        planned = {
            HostCollector.name: _Planned(
                settings.host,
                folders,
                lambda: HostCollector(
                    table,
                    folders=folders,
                    monotonic=clock.monotonic,
                    time=clock.time,
                    unremarked=self._unremarked,
                ),
            ),
            ProcessesCollector.name: _Planned(
                settings.processes,
                None,
                lambda: ProcessesCollector(
                    table,
                    engine_processes=self._engine_processes,
                    monotonic=clock.monotonic,
                    time=clock.time,
                ),
            ),
            KernelLogCollector.name: _Planned(
                settings.kernel_log, None, lambda: KernelLogCollector(table, clock=clock)
            ),
            EngineEndsCollector.name: _Planned(
                settings.engine_ends,
                None,
                lambda: EngineEndsCollector(table, clock=clock, engines=self._engine_ends),
            ),
            NvmlCollector.name: _Planned(
                settings.nvml,
                settings.nvml,
                lambda: NvmlCollector(table, settings.nvml, clock=clock, names=self._gpu_names),
            ),
            DcgmCollector.name: _Planned(
                settings.dcgm,
                settings.dcgm.url,
                lambda: DcgmCollector(
                    table,
                    monotonic=clock.monotonic,
                    url=settings.dcgm.url,
                    devices=self._devices,
                ),
                precedence=1,
            ),
        }
        if discovery is not None:
            planned[Discovery.name] = _Planned(settings.discovery, discovery, lambda: discovery)
        found = discovery.targets if discovery is not None else []
        for instance in (*settings.engines.instances, *found):
            planned[f"engine/{instance.name}"] = self._plan_engine(instance)
        return {name: plan for name, plan in planned.items() if plan.settings.enabled}

    def _plan_engine(self, instance: EngineInstance) -> _Planned:
        """Return an engine as a source."""
        settings = self._settings.engines
        gpus = settings.gpus_of(instance)
        return _Planned(
            settings,
            (instance, settings.max_page_size, gpus),
            lambda: EngineCollector(
                instance,
                engine=ENGINES[instance.engine],
                table=self._table,
                clock=self._clock,
                max_page_size=settings.max_page_size,
                process_of=self._process_of,
                gpus=gpus,
            ),
            up_id=self._table.intern(catalog.ENGINE_UP, (instance.engine, instance.name)),
        )

    def _model_folders(self) -> list[Path]:
        """Return the folders of the models that running engines were started with."""
        processes = [] if self._discovery is None else self._discovery.processes
        models = {Path(process.facts.get(Fact.MODEL, "")) for process in processes}
        known = self._settings.host.folders
        return sorted(model for model in models if model.is_absolute() and model not in known)

    def _process_of(self, instance: EngineInstance) -> EngineProcess | None:
        """Return the process of this host that serves an instance, if discovery knows it."""
        return None if self._discovery is None else self._discovery.process_of(instance)

    def _engine_processes(self) -> list[EngineProcessRef]:
        """Return the server process of each engine that runs on this host."""
        return [
            EngineProcessRef(
                instance_name=collector.instance.name,
                engine=collector.instance.engine,
                pid=process.pid,
                start_time=process.start_time,
            )
            for collector in self.engines()
            if (process := self._process_of(collector.instance)) is not None
        ]

    def _engine_ends(self) -> list[EngineEnd]:
        """Return the engines whose end is to be explained."""
        found: list[EngineEnd] = []
        for collector in self.engines():
            instance = collector.instance
            process = self._process_of(instance)
            found.append(
                EngineEnd(
                    engine=instance.engine,
                    instance_name=instance.name,
                    pid=None if process is None else process.pid,
                    log_file=instance.log_file,
                )
            )
        return found

    def _devices(self) -> list[Device]:
        """Return the GPUs and MIG instances that NVML shows, or showed when it last did."""
        health = self._runtime.pipeline.sources.get(NvmlCollector.name)
        if health is None:
            return self._known_devices
        shown = (self._table[series_id] for series_id in health.reading.ids)
        infos = [dict(series.label_pairs()) for series in shown if series.metric is gpu.INFO]
        found = [
            (labels.get("gpu", ""), labels.get("uuid", ""), labels.get("mig", ""))
            for labels in infos
        ]
        self._known_devices = found or self._known_devices
        return self._known_devices
