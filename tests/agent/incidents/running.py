"""A history and an incident recorder on a clock of their own, for tests."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.catalog import agent
from agent.incidents.folder import Folder
from agent.incidents.recorder import IncidentRecorder
from agent.incidents.summary import Summary, summary
from agent.model import Event, Frame, Metric, SeriesTable
from agent.store.history import History
from agent.store.ticks import Tick
from tests.fakes.clock import ManualClock
from tests.fakes.samples import samples

DIED = Event(0.0, "engine_died", "deaths", {"instance_name": "chat", "cause": "oom_kill"}, "died")


class Run:
    """An agent's history and recorder, on a clock of its own."""

    def __init__(self, path: Path, *, count: int = 50, size: int = 10**9) -> None:
        self.clock = ManualClock()
        self.table = SeriesTable()
        self.history = History(self.table, clock=self.clock)
        self.told: list[str] = []
        self.folder = Folder(path, max_count=count, max_size=size)
        self.rests = 0
        self.rows: Callable[[float, float], Iterator[Tick]] = self.history.ticks
        self.recorder = IncidentRecorder(
            self.folder,
            table=self.table,
            rows=self._rows,
            clock=self.clock,
            version="1",
            told=self.told.append,
            rest=self._rest,
        )
        self.values: dict[int, float] = {}
        self.set(agent.TICKS, 0.0)

    def _rows(self, after: float, until: float) -> Iterator[Tick]:
        """Return the ticks in memory, in the way that a test has chosen."""
        return self.rows(after, until)

    def _rest(self) -> None:
        """Count the rests."""
        self.rests += 1

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Give a series a value from now on."""
        self.values[self.table.intern(metric, labels)] = value

    def tick(self, *events: Event, seconds: float = 1.0) -> Frame:
        """Let a tick pass."""
        self.set(agent.TICKS, self.clock.time())
        frame = Frame(
            self.clock.time(), self.table, [*self.values], [*self.values.values()], events
        )
        self.history.append(frame)
        asyncio.run(self.recorder.publish(frame))
        self.clock.advance(seconds)
        return frame

    def take(self, frame: Frame) -> None:
        """Take a frame that was made elsewhere, of the table of this run."""
        self.clock.advance(frame.time - self.clock.time())
        self.history.append(frame)
        asyncio.run(self.recorder.publish(frame))

    def ticks(self, count: int) -> None:
        """Let several pass."""
        for _tick in range(count):
            self.tick()

    def finish(self) -> list[Summary]:
        """Wait for what is being written and return the incidents."""
        asyncio.run(self.recorder.aclose())
        return [summary(entry) for entry in self.folder.entries()]

    def own(self) -> dict[str, float]:
        """Return the samples of the recorder."""
        return samples(self.table, self.recorder.reading())


def event(kind: str, message: str = "", **labels: str) -> Event:
    """Return an event of now."""
    return Event(1_800_000_400.0, kind, "x", labels, message)
