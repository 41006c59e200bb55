"""Sources that do as scripted: give, raise, take their time, hang, resist being cancelled."""

import asyncio
from collections.abc import Callable, Sequence

from agent.model import Event, Frame, Look, Reading

Step = Reading | BaseException | Callable[[], "Reading"]


class ScriptedCollector:
    """Gives what its script says, one step a look; the last step stays.

    Args:
        name: of the source.
        steps: a reading to give, an error to raise, or a function to ask.
        delay: seconds before each answer.
    """

    def __init__(self, name: str, *steps: Step, delay: float = 0.0) -> None:
        self.name = name
        self.steps = list(steps)
        self.delay = delay
        self.begun: list[float] = []
        self.running = 0
        self.most_running = 0
        self.closed = 0

    async def collect(self) -> Reading:
        """Do the next step."""
        self.begun.append(asyncio.get_running_loop().time())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self._wait()
        finally:
            self.running -= 1
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, BaseException):
            raise step
        return step if isinstance(step, Reading) else step()

    async def _wait(self) -> None:
        """Take as long as told."""
        if self.delay:
            await asyncio.sleep(self.delay)

    async def aclose(self) -> None:
        """Count."""
        self.closed += 1


class HangingCollector(ScriptedCollector):
    """Never answers, but can be cancelled."""

    async def _wait(self) -> None:
        """Wait for what does not come."""
        await asyncio.sleep(1e9)


class UncancellableCollector(ScriptedCollector):
    """Swallows every cancellation until it is released; then it answers by its script."""

    def __init__(self, name: str, *steps: Step) -> None:
        super().__init__(name, *steps)
        self.released = False
        self._release: asyncio.Future[None] | None = None

    async def _wait(self) -> None:
        """Wait for the release, whatever anyone says."""
        while not self.released:
            self._release = asyncio.get_running_loop().create_future()
            try:
                await self._release
            except asyncio.CancelledError:
                continue

    def release(self) -> None:
        """Let this look, and all others, go on."""
        self.released = True
        if self._release is not None and not self._release.done():
            self._release.set_result(None)


class UnclosableCollector(ScriptedCollector):
    """Cannot be closed: raises, or hangs for ever."""

    def __init__(self, name: str, *steps: Step, problem: BaseException | None = None) -> None:
        super().__init__(name, *steps)
        self.problem = problem

    async def aclose(self) -> None:
        """Fail to close."""
        await super().aclose()
        if self.problem is not None:
            raise self.problem
        await asyncio.sleep(1e9)


class NotedLog:
    """A `StateLog` that remembers what it was told."""

    def __init__(self) -> None:
        self.sources: list[tuple[str, Look]] = []
        self.exporters: list[tuple[str, str]] = []
        self.happened: list[Event] = []

    def source(self, name: str, look: Look, time: float) -> None:
        """Take note of a look."""
        del time
        self.sources.append((name, look))

    def exporter(self, name: str, error: str, time: float) -> None:
        """Take note of a publication."""
        del time
        self.exporters.append((name, error))

    def events(self, events: Sequence[Event], time: float) -> None:
        """Take note of what happened."""
        del time
        self.happened.extend(events)

    def errors(self, name: str) -> Sequence[str]:
        """Return what a source failed of, look by look."""
        return [look.error for told, look in self.sources if told == name and look.error]


class NotedExporter:
    """Keeps every frame; raises instead when it is told to."""

    def __init__(self, name: str = "noted", problem: Exception | None = None) -> None:
        self.name = name
        self.problem = problem
        self.frames: list[Frame] = []
        self.published = asyncio.Event()
        self.closed = 0

    async def publish(self, frame: Frame) -> None:
        """Keep a frame."""
        if self.problem is not None:
            raise self.problem
        self.frames.append(frame)
        self.published.set()

    async def aclose(self) -> None:
        """Count, and fail as told."""
        self.closed += 1
        if self.problem is not None:
            raise self.problem
