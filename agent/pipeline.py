"""From what the sources gave to one `Frame`: the pure middle of the agent.

    looks ──► health of sources ──► assemble ──► told ──► analyses ──► Frame
              (stale values leave)  (one series, (counts  (see the
                                     one value)   before)  samples)

Nothing here reads a clock or waits, so a recording gives the same frames at any speed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Protocol, runtime_checkable

from agent.analysis.guard import Guard
from agent.catalog import agent as catalog
from agent.model import EMPTY_READING, Event, Frame, Look, Reading, SeriesTable, SourceSpec
from agent.steps import Steps, at_once

# A wall clock that is this far off what passed on the monotonic one was set, not slewed.
_STEP = 1.0


class Analysis(Protocol):
    """Draws conclusions from samples; arithmetic only."""

    def observe(self, frame: Frame) -> Reading:
        """Return further samples and events for the same moment as the frame."""
        ...


@runtime_checkable
class SteppedAnalysis(Protocol):
    """An analysis that takes long enough for others to want a turn in the middle of it."""

    def in_steps(self, frame: Frame) -> Steps[Reading]:
        """Do what `observe` does, in steps."""
        ...


def _steps_of(analysis: Analysis) -> Callable[[Frame], Steps[Reading]]:
    """Return how an analysis is run."""
    if isinstance(analysis, SteppedAnalysis):
        return analysis.in_steps

    def whole(frame: Frame) -> Steps[Reading]:
        yield from ()
        return analysis.observe(frame)

    return whole


@dataclass(slots=True)
class Health:
    """What is known of one source.

    Attributes:
        read_at: when its last values were read, Unix seconds on the wall clock of now.
        seen: the same moment on the monotonic clock, by which they age.
    """

    spec: SourceSpec
    reading: Reading = EMPTY_READING
    read_at: float | None = None
    seen: float | None = None
    state: Look | None = None
    failures: int = 0
    health_ids: list[int] = field(default_factory=list)

    def take(self, time: float, now: float, look: Look) -> None:
        """Take over a look that was finished by this tick."""
        self.state = look
        if look.reading is not None:
            self.reading = look.reading
            self.read_at = time - look.age
            self.seen = now - look.age
        elif look.unavailable:
            self.reading = EMPTY_READING
        else:
            self.failures += 1

    def step(self, seconds: float) -> None:
        """Take note that the wall clock was set by so much."""
        if self.read_at is not None:
            self.read_at += seconds

    def set_back(self, time: float, now: float) -> None:
        """Take note that both clocks went back: nothing was read later than now.

        That happens in recordings without a monotonic clock. Otherwise the values of a source
        that then dies would seem fresh until the clock is where it was before.
        """
        if self.read_at is not None and self.seen is not None:
            self.read_at = min(self.read_at, time)
            self.seen = min(self.seen, now)

    def fresh(self, now: float) -> bool:
        """Return whether the last values are young enough to show, by the monotonic clock."""
        return self.seen is not None and now - self.seen <= self.spec.stale_after


class Pipeline:
    """Holds the state of all sources and makes the frames. One for each run of the agent.

    Args:
        table: explains the series.
        analyses: each is shown what was read.
        told: says of what was read what people know better; that counts before it, and is what
            the analyses are shown.
    """

    def __init__(
        self, table: SeriesTable, *, analyses: Sequence[Analysis] = (), told: Analysis | None = None
    ) -> None:
        self.table = table
        self._told = told
        self._analyses = [(type(one).__name__, _steps_of(one)) for one in analyses]
        self._guard = Guard()
        self._sources: dict[str, Health] = {}
        self._read = Assembler(table)
        self._base = Assembler(table)
        self._whole = Assembler(table)
        self._events: dict[str, int] = {}
        self._clocks: tuple[float, float] | None = None

    def add_source(self, spec: SourceSpec) -> None:
        """Make a source known.

        A source that is known already keeps what was read of it, and its place among those of
        the same precedence; from now on it is judged by the new terms.
        """
        table = self.table
        known = self._sources.get(spec.name)
        if known is not None:
            known.spec = spec
        else:
            self._sources[spec.name] = Health(
                spec,
                health_ids=[
                    table.intern(metric, (spec.name,))
                    for metric in (
                        catalog.SOURCE_DURATION,
                        catalog.SOURCE_FAILURES,
                        catalog.SOURCE_UP,
                        catalog.SOURCE_UNAVAILABLE,
                        catalog.SOURCE_LAST_SUCCESS,
                    )
                ],
            )
        self._sources = dict(
            sorted(self._sources.items(), key=lambda item: item[1].spec.precedence)
        )

    def remove_source(self, name: str) -> None:
        """Forget a source and everything it said."""
        self._sources.pop(name, None)

    @property
    def sources(self) -> dict[str, Health]:
        """What is known of each source, by name."""
        return self._sources

    def series(self) -> set[int]:
        """Return the series that sources gave last or that are about them.

        A source may give them again without interning them anew.
        """
        found: set[int] = set()
        for health in self._sources.values():
            found.update(health.reading.ids, health.health_ids)
            if health.state is not None:
                found.update(health.state.facts.ids)
            if health.spec.up_id is not None:
                found.add(health.spec.up_id)
        return found

    def conclude(
        self, time: float, looks: Iterable[Look], own: Reading, *, now: float | None = None
    ) -> Frame:
        """Return the frame of one tick.

        Args:
            time: Unix seconds.
            looks: those finished since the tick before; looks at unknown sources are dropped.
            own: samples and events that the caller adds about itself.
            now: seconds on a clock that nobody sets, by which values age; without one, `time`.
        """
        return at_once(self.in_steps(time, looks, own, now=now))

    def in_steps(
        self, time: float, looks: Iterable[Look], own: Reading, *, now: float | None = None
    ) -> Steps[Frame]:
        """Do what `conclude` does, step by step; sources may come and go between."""
        now = time if now is None else now
        self._follow(time, now)
        events: list[Event] = []
        for look in looks:
            known = self._sources.get(look.source)
            if known is None:
                continue
            known.take(time, now, look)
            if look.reading is not None:
                events.extend(look.reading.events)
        events.extend(own.events)
        # What a failure tells is newer than the last values of its source.
        blocks = [
            health.state.facts
            for health in self._sources.values()
            if health.state is not None and health.state.facts.ids
        ]
        blocks += [health.reading for health in self._sources.values() if health.fresh(now)]
        blocks.append(self._health(now))
        blocks.append(own)
        failures = {
            health.spec.name: health.state.error
            for health in self._sources.values()
            if health.state is not None
            and health.state.reading is None
            and not health.state.unavailable
        }
        base = self._read.assemble(time, blocks, events, failures)
        told = self._tell(base)
        events.extend(told.events)
        if told.ids:
            base = self._base.assemble(time, [told, base], events, failures)
        concluded: list[Reading] = []
        for name, steps in self._analyses:
            yield
            reading = yield from self._guard.in_steps(name, steps(base), time=time)
            if reading is not None:
                concluded.append(reading)
                events.extend(reading.events)
        failed = self._guard.reading(self.table)
        concluded.append(failed)
        events.extend(failed.events)
        concluded.append(self._count(events))
        return self._whole.assemble(time, [base, *concluded], events, failures)

    def _tell(self, read: Frame) -> Reading:
        """Return what people know better than what was read."""
        if self._told is None:
            return EMPTY_READING
        tell = partial(self._told.observe, read)
        return self._guard.run(type(self._told).__name__, tell, time=read.time) or EMPTY_READING

    def _follow(self, time: float, now: float) -> None:
        """Have what is known of the sources follow the clocks, also where one was set."""
        before, self._clocks = self._clocks, (time, now)
        if before is None:
            return
        step = (time - before[0]) - (now - before[1])
        for health in self._sources.values():
            if now < before[1]:
                health.set_back(time, now)
            elif abs(step) > _STEP:
                health.step(step)

    def _health(self, now: float) -> Reading:
        """Return the samples about the sources themselves."""
        ids: list[int] = []
        values: list[float] = []
        for health in self._sources.values():
            look = health.state
            if look is None:
                continue
            duration, failures, up, unavailable, last_success = health.health_ids
            ids += (duration, failures)
            values += (look.duration, health.failures)
            if look.unavailable:
                ids.append(unavailable)
                values.append(1.0)
                continue
            is_up = 1.0 if look.reading is not None and health.fresh(now) else 0.0
            ids.append(up)
            values.append(is_up)
            if health.spec.up_id is not None:
                ids.append(health.spec.up_id)
                values.append(is_up)
            if health.read_at is not None:
                ids.append(last_success)
                values.append(health.read_at)
        return Reading(ids, values)

    def _count(self, events: Sequence[Event]) -> Reading:
        """Return how many events of each kind there were."""
        for event in events:
            self._events[event.kind] = self._events.get(event.kind, 0) + 1
        ids = [self.table.intern(catalog.EVENTS, (kind,)) for kind in self._events]
        return Reading(ids, list(self._events.values()))


class Assembler:
    """Joins readings into frames; the first to give a series wins.

    The layout is prepared once and used for as long as each reading has the same series.
    """

    def __init__(self, table: SeriesTable) -> None:
        self._table = table
        self._layout = _Layout((), table)

    def assemble(
        self,
        time: float,
        blocks: Sequence[Reading | Frame],
        events: Sequence[Event],
        failures: Mapping[str, str],
    ) -> Frame:
        """Return a frame of these samples; `ids` is the same list while the layout stands."""
        layout = self._layout
        if not layout.fits(blocks):
            layout = self._layout = _Layout(blocks, self._table)
        values: list[float] = []
        for block in blocks:
            values.extend(block.values)
        if layout.kept is not None:
            values = [values[position] for position in layout.kept]
        return Frame(time, self._table, layout.ids, values, tuple(events), failures=failures)


class _Layout:
    """Which series the readings hold, and which of their positions are shown."""

    def __init__(self, blocks: Sequence[Reading | Frame], table: SeriesTable) -> None:
        self._parts = [block.ids for block in blocks]
        every = [*chain.from_iterable(self._parts)]
        # One that was forgotten has no name: better left out than a page that cannot be made.
        unknown = table.unknown(every)
        self.ids: Sequence[int] = [*dict.fromkeys(every)]
        self.kept: list[int] | None = None
        if unknown or len(self.ids) < len(every):
            first: dict[int, int] = {}
            for position, series_id in enumerate(every):
                if series_id not in unknown:
                    first.setdefault(series_id, position)
            self.ids, self.kept = [*first], [*first.values()]

    def fits(self, blocks: Sequence[Reading | Frame]) -> bool:
        """Return whether these readings hold the same series in the same order."""
        return len(blocks) == len(self._parts) and all(
            part is block.ids or part == block.ids
            for part, block in zip(self._parts, blocks, strict=True)
        )
