"""The collector at work on the stub driver, with a clock that the test moves."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.config.settings import Nvml
from agent.model import Event, Series, SeriesTable
from collectors.nvml.collector import NvmlCollector
from collectors.nvml.supervisor import Process, Supervisor
from tests.fakes.clock import ManualClock
from tests.fakes.nvml.controller import StubDriver

PREFIX = "inferwatch_"


class Watched:
    """A collector, its clock, and what it saw last, in a form that tests can read.

    Attributes:
        samples: value by (name without prefix, `gpu` label, further label values).
        events: every event so far.
    """

    def __init__(
        self,
        driver: StubDriver,
        *,
        deadline: float,
        kill: Callable[[Process], None],
        names: MutableMapping[str, str] | None,
    ) -> None:
        self.driver = driver
        self.clock = ManualClock()
        self.table = SeriesTable()
        self.supervisor = Supervisor(
            monotonic=self.clock.monotonic, deadline=deadline, env=driver.env(), kill=kill
        )
        self.collector = NvmlCollector(
            self.table, Nvml(), clock=self.clock, supervisor=self.supervisor, names=names
        )
        self.samples: dict[tuple[str, ...], float] = {}
        self.ids: Any = ()
        self._values: Any = ()
        self.events: list[Event] = []

    async def look(self, after: float = 0.0) -> dict[tuple[str, ...], float]:
        """Let time pass, look once and return the samples."""
        self.clock.advance(after)
        reading = await self.collector.collect()
        self.ids = reading.ids
        self._values = reading.values
        self.events += reading.events
        self.samples = {}
        for series_id, value in zip(reading.ids, reading.values, strict=True):
            series = self.table[series_id]
            labels = dict(series.label_pairs())
            key = [series.sample_name.removeprefix(PREFIX), labels.pop("gpu", "")]
            labels.pop("uuid", None)
            self.samples[(*key, *labels.values())] = value
        assert len(set(reading.ids)) == len(reading.ids)
        return self.samples

    def names(self, gpu: str = "0") -> set[str]:
        """Return the names of the metrics that one GPU has."""
        return {key[0] for key in self.samples if key[1] == gpu}

    def named(self, name: str) -> list[tuple[Series, float]]:
        """Return the series of one metric with their values."""
        pairs = zip(self.ids, self._values, strict=True)
        return [(self.table[i], v) for i, v in pairs if self.table[i].sample_name == name]

    def kinds(self) -> list[str]:
        """Return the kinds of all events so far."""
        return [event.kind for event in self.events]

    async def listening(self) -> None:
        """Wait until the child listens for events: in the stub that takes an inotify instance."""
        for _ in range(500):
            if _uses_inotify(self.pid):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the child does not listen")

    async def event(self, kind: str) -> Event:
        """Look until an event of this kind came; fails after some seconds."""
        for _ in range(200):
            await self.look()
            for event in self.events:
                if event.kind == kind:
                    return event
            await asyncio.sleep(0.02)  # the event comes from another process
        raise AssertionError(f"no event {kind} among {self.kinds()}")

    @property
    def pid(self) -> int:
        """Process id of the child."""
        child = self.supervisor._child
        assert child is not None
        return child.process.pid


@asynccontextmanager
async def watched(
    driver: StubDriver,
    *,
    deadline: float = 10.0,
    kill: Callable[[Process], None] = subprocess.Popen.kill,
    names: MutableMapping[str, str] | None = None,
) -> AsyncIterator[Watched]:
    """Give a collector on a stub driver, closed at the end."""
    watching = Watched(driver, deadline=deadline, kill=kill, names=names)
    try:
        yield watching
    finally:
        await watching.collector.aclose()


def _uses_inotify(pid: int) -> bool:
    """Return whether a process has an inotify instance open."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed in between
            if "inotify" in str(link.readlink()):
                return True
    return False
