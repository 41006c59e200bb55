"""A runtime on a virtual clock, for its tests."""

import asyncio
from collections.abc import Callable
from typing import Any

from agent.catalog import PEAKS
from agent.config.settings import Source
from agent.model import (
    Collector,
    Frame,
    Reading,
    SeriesTable,
)
from agent.pipeline import Pipeline
from agent.runtime import Runtime
from tests.fakes.clock import LoopClock, run_virtual, virtual_clock
from tests.fakes.collectors import (
    NotedExporter,
    NotedLog,
)
from tests.fakes.samples import samples

METRIC = next(metric for metric in PEAKS if metric.labels)

TABLE = SeriesTable()

KEY = f'{METRIC.name.removeprefix("inferwatch_")}{{{METRIC.labels[0]}="%s"}}'

QUICK = Source(interval=1.0, timeout=1.0, stale_after=3.0)


def value_of(name: str, value: float) -> Reading:
    """Return a reading of one series."""
    return Reading([TABLE.intern(METRIC, (name, *[""] * (len(METRIC.labels) - 1)))], [value])


class Bench:
    """A runtime on a virtual clock with everything that it tells noted."""

    def __init__(self, *collectors: Collector, interval: float = 1.0, **given: Any) -> None:
        self.clock: LoopClock = virtual_clock()
        self.log = NotedLog()
        self.exporter = NotedExporter()
        self.runtime = Runtime(
            Pipeline(TABLE), clock=self.clock, interval=interval, log=self.log, **given
        )
        self.runtime.exporters.append(self.exporter)
        self._running: asyncio.Task[None] | None = None
        for collector in collectors:
            self.runtime.add(collector, QUICK)

    @property
    def frames(self) -> list[Frame]:
        """What was published."""
        return self.exporter.frames

    async def ticks(self, count: int) -> list[dict[str, float]]:
        """Run on for so many ticks and return what the frames of these showed."""
        before = len(self.frames)
        if self._running is None:
            self._running = asyncio.create_task(self.runtime.run())
        while len(self.frames) < before + count:
            self.exporter.published.clear()
            await self.exporter.published.wait()
        return [samples(frame.table, frame) for frame in self.frames[before:]]


def virtual(test: Callable[[], Any]) -> Callable[[], None]:
    """Run a test in virtual time."""

    def run() -> None:
        run_virtual(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
