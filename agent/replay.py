"""Runs the pipeline and the exporters on a recording, with the recorded clock."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence

from agent.catalog import agent as catalog
from agent.model import Clock, Exporter, Frame, Reading, RecordingError
from agent.pipeline import Pipeline
from agent.recording import RecordedTick


class ReplayClock:
    """The clocks of the recording: they stand still between ticks, as nothing happens there."""

    def __init__(self) -> None:
        self._time = 0.0
        self._monotonic = 0.0

    def set(self, *, time: float, monotonic: float) -> None:
        """Go to the moment of a tick."""
        self._time = time
        self._monotonic = monotonic

    def time(self) -> float:
        """Return Unix seconds of the tick being played."""
        return self._time

    def monotonic(self) -> float:
        """Return its monotonic seconds."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Let others run; the time of a recording does not pass by waiting."""
        del seconds
        await asyncio.sleep(0)


def play(pipeline: Pipeline, tick: RecordedTick, own: Reading) -> Frame:
    """Return the frame of one recorded tick."""
    for name in tick.gone:
        pipeline.remove_source(name)
    for spec in tick.appeared:
        pipeline.add_source(spec)
    return pipeline.conclude(tick.time, tick.looks, own, now=tick.now)


def until_damage(
    ticks: Iterable[RecordedTick], warn: Callable[[str], None]
) -> Iterator[RecordedTick]:
    """Yield ticks up to where the recording is damaged, and tell that instead of raising it.

    A recorder that was killed leaves a file without its end; what it holds is worth playing.

    Args:
        ticks: as the reader gives them.
        warn: called once, with what is wrong.

    Raises:
        RecordingError: not one tick can be read.
    """
    played = False
    try:
        for tick in ticks:
            played = True
            yield tick
    except RecordingError as error:
        if not played:
            raise
        warn(str(error))


class Replay:
    """Plays ticks at a given speed.

    Args:
        pipeline: makes the frames.
        exporters: are handed each frame.
        clock: is set to the time of each tick; what the exporters read.
        pace: the clock on the wall, to wait by.
        speed: seconds of the recording for each second on the wall; 0 for as fast as possible.
        facts: series that each frame carries besides, such as that this is a replay.
        judge: is handed each frame and returns it with what rules made of it.
        further: asked at each tick for what else is to be said in its frame.
        ahead: seconds of the recording that are played at once, before the pace begins.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        exporters: Sequence[Exporter],
        *,
        clock: ReplayClock,
        pace: Clock,
        speed: float,
        facts: dict[int, float],
        judge: Callable[[Frame], Frame] = lambda frame: frame,
        further: Callable[[], Sequence[Reading]] = tuple,
        ahead: float = 0.0,
    ) -> None:
        self._pipeline = pipeline
        self._exporters = exporters
        self._clock = clock
        self._pace = pace
        self._speed = speed
        self._facts = facts
        self._judge = judge
        self._further = further
        self._ahead = ahead
        self._ticks = 0
        self._ticks_id = pipeline.table.intern(catalog.TICKS)

    async def run(self, ticks: Iterable[RecordedTick]) -> Frame | None:
        """Play to the end and return the last frame, None for a recording without ticks."""
        frame: Frame | None = None
        start: tuple[float, float] | None = None
        for tick in ticks:
            if self._speed > 0:
                now = self._pace.monotonic()
                start = start or (now, tick.monotonic)
                due = start[0] + (tick.monotonic - start[1] - self._ahead) / self._speed
                await self._pace.sleep(max(0.0, due - now))
            else:
                await asyncio.sleep(0)
            frame = await self._play(tick)
        return frame

    async def _play(self, tick: RecordedTick) -> Frame:
        """Play one tick."""
        self._clock.set(time=tick.time, monotonic=tick.monotonic)
        ids = [self._ticks_id, *self._facts]
        values = [float(self._ticks), *self._facts.values()]
        for reading in self._further():
            ids += reading.ids
            values += reading.values
        frame = self._judge(play(self._pipeline, tick, Reading(ids, values)))
        for exporter in self._exporters:
            await exporter.publish(frame)
        self._ticks += 1
        return frame
