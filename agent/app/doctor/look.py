"""A few looks with every source of the agent, without what a service has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.app.sources import Sources
from agent.catalog import gpu, host, process
from agent.config.settings import Collectors
from agent.model import Clock, Event, Frame, Look, Metric, SeriesTable
from agent.pipeline import Pipeline
from agent.runtime import Runtime
from collectors.engine_ends.units import unit_of_process
from collectors.engines import ENGINES
from exporters.web.seen import Sample, Samples

INTERVAL: Final = 0.5
LEAST: Final = 3
"""Ticks; what discovery finds in the first is asked in the second."""

MOST: Final = 16
"""Ticks after which a source that has not answered is left alone: longer than any timeout."""

_METRICS: Final = (
    gpu.INFO,
    gpu.UP,
    host.CLOCK_SYNCHRONISED,
    host.MEMORY_TOTAL,
    host.CPUS,
    process.OPEN_FDS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An engine that is configured or was found.

    Attributes:
        name: of the instance.
        title: what people call its engine.
        engine: value of the label.
        url: where its page is asked for.
        pid: its process on this host, if it is known.
        unit: of systemd that the process belongs to, empty for none.
        log_file: what the configuration says that it writes to.
    """

    name: str
    title: str
    engine: str
    url: str
    pid: int | None
    unit: str = ""
    log_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What the sources gave.

    Attributes:
        looks: the last look at each source that is not turned off, None without an answer.
        engines: those that are configured or were found.
        samples: of some metrics.
        events: everything that happened meanwhile.
    """

    looks: Mapping[str, Look | None]
    engines: Sequence[Instance] = ()
    samples: Mapping[Metric, Sequence[Sample]] = field(default_factory=dict)
    events: Sequence[Event] = ()


class _Listener:
    """Takes note of what happens, and writes nothing."""

    def __init__(self) -> None:
        self.happened: list[Event] = []

    def source(self, name: str, look: Look, time: float) -> None:
        """Do nothing: the last look is what counts."""

    def exporter(self, name: str, error: str, time: float) -> None:
        """Do nothing: there is none."""

    def events(self, events: Sequence[Event], time: float) -> None:  # noqa: ARG002 - its name there
        """Take note."""
        self.happened += events


async def looked(settings: Collectors, *, clock: Clock) -> Looked:
    """Look at every source of these settings until each has answered, and close it."""
    table = SeriesTable()
    pipeline = Pipeline(table)
    listener = _Listener()
    runtime = Runtime(pipeline, clock=clock, interval=INTERVAL, log=listener)
    sources = Sources(runtime, table, clock)
    try:
        await sources.apply(settings)
        frame = await runtime.tick()
        for tick in range(1, MOST):
            known = all(health.state is not None for health in pipeline.sources.values())
            if known and tick >= LEAST:
                break
            await clock.sleep(INTERVAL)
            frame = await runtime.tick()
        return _looked(pipeline, sources, frame, listener.happened)
    finally:
        await sources.aclose()
        await runtime.aclose()


def _looked(
    pipeline: Pipeline, sources: Sources, frame: Frame, happened: Sequence[Event]
) -> Looked:
    """Return what there is to judge."""
    pids = sources.pids()
    return Looked(
        looks={name: health.state for name, health in pipeline.sources.items()},
        engines=[
            Instance(
                name=one.instance.name,
                title=ENGINES[one.instance.engine].title,
                engine=one.instance.engine,
                url=one.instance.url,
                pid=pids.get(one.instance.name),
                unit=_unit(pids.get(one.instance.name)),
                log_file=one.instance.log_file,
            )
            for one in sources.engines()
        ],
        samples=Samples(_METRICS).of(frame),
        events=happened,
    )


def _unit(pid: int | None) -> str:
    """Return the name of the unit of a process, empty for none."""
    unit = None if pid is None else unit_of_process("/proc", pid)
    return "" if unit is None else unit.name
