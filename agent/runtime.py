"""The tick: looks at every source that is due, never waits for one that is slow.

    every interval:  start the looks that are due ─► wait a moment for them ─► pipeline
                     ─► rules ─► exporters ─► feed the watchdog

A look that is not finished in that moment goes on beside the ticks and its values enter the
frame of the next tick, which knows how old they are by then; the next looks at that source are
not waited for until one is quick again. A look that outlives its timeout is cancelled; one that
cannot be cancelled has failed all the same, is left alone, and its source is not looked at again
until it ends.
Nothing that a source does reaches the tick, except as a `Look`.

Between the stages of a tick, and the steps of those that take long, the loop gets a turn: a scrape
waits for a part of a tick, and is answered with the frame before until the new one is complete.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from agent.config.settings import Source as SourceSettings
from agent.look import look_at, reason
from agent.model import (
    Clock,
    Collector,
    Event,
    Exporter,
    Frame,
    Look,
    SourceSpec,
)
from agent.own import OwnSamples
from agent.pipeline import Pipeline
from agent.steps import Steps
from agent.turns import Turns

# How much of a tick may pass in waiting for its looks: enough for a page of a busy engine,
# little enough that the frame still belongs to its timestamp. Where ticks are rare, what is
# missed is missed for long: then it is a tenth of the tick, up to two seconds.
PATIENCE_SHARE = 0.25
PATIENCE_LIMIT = 0.25
RARE_PATIENCE_SHARE = 0.1
RARE_PATIENCE_LIMIT = 2.0
# A source that is not on this host is looked for again this often: a driver may be installed.
UNAVAILABLE_INTERVAL = 15.0
# What is cancelled or closed gets this long to comply before it is left to itself.
CLOSE_LIMIT = 1.0


class StateLog(Protocol):
    """Told how sources fare and what happened; writes one line per change of state and event."""

    def source(self, name: str, look: Look, time: float) -> None:
        """Take note of a finished look."""
        ...

    def exporter(self, name: str, error: str, time: float) -> None:
        """Take note of how publishing went; empty means well."""
        ...

    def events(self, events: Sequence[Event], time: float) -> None:
        """Take note of what happened, at each tick; mostly nothing."""
        ...


@dataclass(slots=True)
class _Running:
    """A source and the look at it that is under way, if any.

    Attributes:
        due: when it is looked at next, on the monotonic clock.
        task: the look under way.
        limit: cancels it, once it is armed.
        deadline: when it is to be cancelled, on the clock of the event loop.
        begun: when that look began.
        slow: the last look was not worth waiting for.
        hung: the look under way did not end when it was cancelled; its failure has been told.
    """

    collector: Collector
    settings: SourceSettings
    due: float = float("-inf")
    task: asyncio.Task[Look] | None = None
    limit: asyncio.Timeout | None = None
    deadline: float = 0.0
    begun: float = 0.0
    slow: bool = False
    hung: bool = False


def _unjudged(frame: Frame) -> Steps[Frame]:
    """Return a frame as it is."""
    yield from ()
    return frame


class Runtime:
    """Drives collectors and exporters.

    Args:
        pipeline: turns looks into frames.
        clock: the only clock there is.
        interval: seconds between ticks.
        log: told of every look.
        judge: is handed each frame and returns it with what rules made of it, in steps.
        alive: called after each complete tick with the frame, for the service manager.
        record: called with Unix seconds, monotonic seconds and looks of each tick, before they
            are judged.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        clock: Clock,
        interval: float,
        log: StateLog,
        judge: Callable[[Frame], Steps[Frame]] = _unjudged,
        alive: Callable[[Frame], None] = lambda _frame: None,
        record: Callable[[float, float, Sequence[Look]], None] = lambda _time, _now, _looks: None,
    ) -> None:
        self.pipeline = pipeline
        self.interval = interval
        self.exporters: list[Exporter] = []
        self._clock = clock
        self._log = log
        self._judge = judge
        self._alive = alive
        self._record = record
        self._sources: dict[str, _Running] = {}
        self._orphans: set[asyncio.Task[object]] = set()
        self._own = OwnSamples(pipeline.table)
        self._stopping = False
        self._sleep: asyncio.Task[None] | None = None

    def add(
        self,
        collector: Collector,
        settings: SourceSettings,
        *,
        precedence: int = 0,
        up_id: int | None = None,
    ) -> None:
        """Look at a source from the next tick on.

        A source of the same name is replaced: its place among the sources and what was read of
        it stay, its collector is closed in the background. The same collector with other
        settings goes on with the look that is under way.
        """
        name = collector.name
        running = self._sources.get(name)
        if running is not None and running.collector is collector:
            running.settings = settings
            running.due = float("-inf")
        else:
            self._sources[name] = _Running(collector, settings)
            if running is not None:
                self._leave(asyncio.create_task(self._retire(running)))
        self.pipeline.add_source(
            SourceSpec(
                name=name,
                stale_after=settings.stale_after,
                precedence=precedence,
                up_id=up_id,
            )
        )

    async def remove(self, name: str) -> None:
        """Stop looking at a source, forget it and close it."""
        running = self._sources.pop(name, None)
        if running is None:
            return
        self.pipeline.remove_source(name)
        await self._retire(running)

    @property
    def own(self) -> OwnSamples:
        """The samples that the agent gives about itself."""
        return self._own

    def stop(self) -> None:
        """End `run` after the tick under way."""
        self._stopping = True
        if self._sleep is not None:
            self._sleep.cancel()

    async def run(self) -> None:
        """Tick until stopped."""
        clock = self._clock
        next_tick = clock.monotonic()
        while not self._stopping:
            await self.tick()
            next_tick += self.interval
            late = clock.monotonic() - next_tick
            if late > 0:
                skipped = int(late // self.interval) + 1
                self._own.skipped += skipped
                next_tick += skipped * self.interval
            await self._pause(next_tick - clock.monotonic())

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not past a stop."""
        if self._stopping:
            return
        self._sleep = asyncio.create_task(self._clock.sleep(max(0.0, seconds)))
        try:
            await asyncio.wait((self._sleep,))
        finally:
            self._sleep.cancel()
            self._sleep = None

    async def tick(self) -> Frame:
        """Look, conclude and publish once."""
        clock = self._clock
        begun = clock.monotonic()
        time = clock.time()
        looks = self._finished_looks(begun)
        self._start_looks(begun)
        await self._wait_for_looks()
        turns = Turns(clock.monotonic)
        looks += self._finished_looks(begun)
        for look in looks:
            self._log.source(look.source, look, time)
        now = round(begun, 6)  # what a recording keeps of it
        self._record(time, now, looks)
        concluding = self.pipeline.in_steps(time, looks, self._own.reading(), now=now)
        frame = await turns.in_turns(concluding)
        await turns.give()
        frame = await turns.in_turns(self._judge(frame))
        self._log.events(frame.events, time)
        await self._publish(frame)
        self._own.ticks += 1
        self._own.duration = clock.monotonic() - begun
        self._alive(frame)
        return frame

    def _start_looks(self, now: float) -> None:
        """Start a look at each source that is due and not being looked at."""
        # Half a tick of tolerance: a source of 1 s on a tick of 1 s is due at every tick.
        horizon = now + self.interval / 2
        patience = self._patience
        loop_time = asyncio.get_running_loop().time()
        for running in self._sources.values():
            if running.task is None and running.due <= horizon:
                interval = running.settings.interval
                running.due += interval
                if running.due <= now:
                    running.due = now + interval
                running.begun = now
                timeout = running.settings.timeout
                running.deadline = loop_time + timeout
                # A timer for each look is only worth its price where the tick does not wait.
                waits = not running.slow and timeout > patience
                running.limit = asyncio.timeout_at(None if waits else running.deadline)
                running.task = asyncio.create_task(
                    look_at(
                        running.collector, limit=running.limit, timeout=timeout, clock=self._clock
                    )
                )

    async def _wait_for_looks(self) -> None:
        """Wait a moment for those looks that are likely to be finished in it."""
        awaited = {
            running.task: running
            for running in self._sources.values()
            if running.task and not running.slow
        }
        if awaited:
            _done, pending = await asyncio.wait(awaited, timeout=self._patience)
            for task in pending:
                running = awaited[task]
                running.slow = True
                if running.limit is not None and running.limit.when() is None:
                    running.limit.reschedule(running.deadline)

    @property
    def _patience(self) -> float:
        """How long a tick waits for its looks."""
        usual = min(self.interval * PATIENCE_SHARE, PATIENCE_LIMIT)
        return max(usual, min(self.interval * RARE_PATIENCE_SHARE, RARE_PATIENCE_LIMIT))

    def _finished_looks(self, tick: float) -> list[Look]:
        """Return the looks that ended since they were last asked for.

        Args:
            tick: when the tick began, on the monotonic clock.
        """
        now = self._clock.monotonic()
        patience = self._patience
        looks: list[Look] = []
        for running in self._sources.values():
            if running.task is None:
                continue
            if not running.task.done():
                looks += self._hung(running, now)
                continue
            look = running.task.result()
            told, running.task, running.hung = running.hung, None, False
            running.slow = look.duration > patience
            if look.unavailable:
                running.due = now + max(running.settings.interval, UNAVAILABLE_INTERVAL)
            if not told:
                age = round(tick - running.begun - look.duration, 6)
                looks.append(replace(look, age=age) if age > 0 else look)
        return looks

    def _hung(self, running: _Running, now: float) -> list[Look]:
        """Return the failure of a look that outlived its timeout and its cancellation, once."""
        timeout = running.settings.timeout
        duration = round(now - running.begun, 6)
        # One that is cancelled in this moment needs some turns of the loop to end.
        if running.hung or duration <= timeout + PATIENCE_LIMIT:
            return []
        running.hung = True
        error = f"gave no answer within {timeout:g}s and cannot be interrupted"
        return [Look(source=running.collector.name, duration=duration, error=error)]

    async def _publish(self, frame: Frame) -> None:
        """Hand the frame to every exporter; a broken one harms no other."""
        for exporter in self.exporters:
            error = ""
            try:
                await exporter.publish(frame)
            except Exception as problem:  # noqa: BLE001 - as above
                error = reason(problem)
            self._log.exporter(exporter.name, error, frame.time)

    async def _retire(self, running: _Running) -> None:
        """Cancel the look at a source that is no longer wanted, then close the source."""
        if running.task is not None:
            running.task.cancel()
            self._leave(running.task)
            if not running.hung:
                await asyncio.wait((running.task,), timeout=CLOSE_LIMIT)
        error = await self._close(running.collector)
        if error:
            look = Look(source=running.collector.name, duration=0.0, error=error)
            self._log.source(look.source, look, self._clock.time())

    async def _close(self, component: Collector | Exporter) -> str:
        """Close a component; whatever goes wrong or takes too long there harms no other.

        Returns:
            What went wrong, or nothing.
        """
        closing: asyncio.Task[object] = asyncio.create_task(component.aclose())
        self._leave(closing)
        await asyncio.wait((closing,), timeout=CLOSE_LIMIT)
        if not closing.done():
            closing.cancel()
            return f"cannot be closed within {CLOSE_LIMIT:g}s"
        if closing.cancelled():
            return "cannot be closed: was cancelled by something that it waited for"
        problem = closing.exception()
        return "" if problem is None else f"cannot be closed: {reason(problem)}"

    def _leave(self, task: asyncio.Task[Any]) -> None:
        """Keep a task that ends on its own from being collected as garbage."""
        self._orphans.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        """Let go of such a task; what it died of was told or is of no interest any more."""
        self._orphans.discard(task)
        if not task.cancelled():
            task.exception()

    async def aclose(self) -> None:
        """Close every source and exporter, each within a bound; safe to call twice."""
        await asyncio.gather(*(self.remove(name) for name in list(self._sources)))
        exporters, self.exporters = self.exporters, []
        for exporter in exporters:
            error = await self._close(exporter)
            if error:
                self._log.exporter(exporter.name, error, self._clock.time())
        orphans = list(self._orphans)
        for task in orphans:
            task.cancel()
        if orphans:
            await asyncio.wait(orphans, timeout=CLOSE_LIMIT)
