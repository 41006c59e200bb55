"""Records incidents: what memory holds of the minutes before, and what comes in those after."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from agent.catalog import incident as catalog
from agent.incidents.folder import Folder
from agent.incidents.triggers import Trigger, Triggers
from agent.incidents.writing import Rows, Writing, rest
from agent.model import Clock, Event, Frame, Reading, SeriesTable

BEFORE: Final = 300.0
"""Seconds before its trigger that an incident holds."""

AFTER: Final = 120.0
"""Seconds after it."""

EVERY: Final = 10.0
"""Seconds after which what came meanwhile is written."""

_CLOSE: Final = 0.9  # the runtime leaves what takes a second to close


class _Open:
    """An incident that is being recorded."""

    def __init__(self, writing: Writing, now: float) -> None:
        self.writing = writing
        self.until = now + AFTER
        self.extended = now
        self.events: list[tuple[float, Sequence[Event]]] = []


class IncidentRecorder:
    """An exporter that keeps what goes wrong. Publishing costs no I/O.

    One incident takes up whatever else happens until it is complete.

    Args:
        folder: where incidents go.
        table: of the run.
        rows: the ticks in memory, `BEFORE` seconds of them or more.
        clock: of the run.
        version: of the agent, for the first line of a recording.
        told: called with a sentence for the log, from any thread.
        rest: called after each row that is written.
    """

    name = "incidents"

    def __init__(
        self,
        folder: Folder,
        *,
        table: SeriesTable,
        rows: Rows,
        clock: Clock,
        version: str,
        told: Callable[[str], None],
        rest: Callable[[], None] = rest,
    ) -> None:
        self._folder = folder
        self._table = table
        self._rows = rows
        self._clock = clock
        self._version = version
        self._told = told
        self._rest = rest
        self._triggers = Triggers()
        self._events: deque[tuple[float, Sequence[Event]]] = deque()
        self._open: _Open | None = None
        self._closing: Writing | None = None
        self._counts: Counter[str] = Counter()
        self._failures = 0
        self._last: float | None = None
        self._size: int | None = None
        self._ids: list[int] = []

    async def publish(self, frame: Frame) -> None:
        """Begin, go on with, or end an incident."""
        now = self._clock.monotonic()
        if frame.events:
            self._events.append((frame.time, frame.events))
        while self._events and self._events[0][0] < frame.time - BEFORE:
            self._events.popleft()
        triggers = self._triggers.observe(frame, now)
        self._settle()
        if self._open is not None:
            self._go_on(self._open, frame, triggers, now)
        elif triggers:
            self._begin(frame, triggers, now)

    def _begin(self, frame: Frame, triggers: Sequence[Trigger], now: float) -> None:
        """Begin to record."""
        first = triggers[0]
        if self._closing is not None:
            self._failures += 1
            self._told(f"no incident is recorded, the one before is not written yet: {first.text}")
            return
        self._counts[first.kind] += 1
        self._last = frame.time
        writing = Writing(
            self._folder,
            self._table,
            rows=self._rows,
            header=self._header(frame, first),
            told=self._told,
            rest=self._rest,
        )
        self._open = _Open(writing, now)
        events = [*self._events, (frame.time, [_event(one, frame.time) for one in triggers])]
        writing.extend(frame.time, events)
        self._told(f"an incident is recorded: {first.text}")

    def _header(self, frame: Frame, trigger: Trigger) -> dict[str, Any]:
        """Return the facts of an incident."""
        return {
            "agent": self._version,
            "time": frame.time,
            "trigger": trigger.kind,
            "engine": trigger.engine,
            "since": trigger.since,
            "text": trigger.text,
            "start": frame.time - BEFORE,
            "until": frame.time + AFTER,
        }

    def _go_on(
        self, incident: _Open, frame: Frame, triggers: Sequence[Trigger], now: float
    ) -> None:
        """Hand over what came since the last time, if it is time or the end."""
        more = [_event(one, frame.time) for one in triggers]
        if frame.events or more:
            incident.events.append((frame.time, [*frame.events, *more]))
        last = now >= incident.until
        if last or now - incident.extended >= EVERY:
            incident.extended = now
            events, incident.events = incident.events, []
            incident.writing.extend(frame.time, events, last=last)
        if last:
            self._closing, self._open = incident.writing, None

    def _settle(self) -> None:
        """Take note of a writing that ended, well or not."""
        writing = self._closing or (self._open.writing if self._open is not None else None)
        if writing is None:
            return
        self._size = writing.size if writing.size is not None else self._size
        if writing.is_done:
            self._failures += bool(writing.failure)
            self._open = self._closing = None

    def reading(self) -> Reading:
        """Return the samples about the incidents."""
        intern = self._table.intern
        samples = {intern(catalog.INCIDENT_FAILURES): float(self._failures)}
        for kind, count in self._counts.items():
            samples[intern(catalog.INCIDENTS, (kind,))] = float(count)
        if self._last is not None:
            samples[intern(catalog.LAST_INCIDENT)] = self._last
        if self._size is not None:
            samples[intern(catalog.INCIDENTS_SIZE)] = float(self._size)
        ids = list(samples)
        if ids != self._ids:
            self._ids = ids
        return Reading(self._ids, list(samples.values()))

    async def aclose(self) -> None:
        """End an incident with what there is of it; safe to call twice."""
        incident, self._open = self._open, None
        if incident is not None:
            incident.writing.extend(self._clock.time(), incident.events, last=True)
            self._closing = incident.writing
        if self._closing is not None:
            await asyncio.to_thread(self._closing.wait, _CLOSE)


def _event(trigger: Trigger, time: float) -> Event:
    """Return a trigger as an event of the recording."""
    labels = {"trigger": trigger.kind}
    if trigger.engine:
        labels["instance_name"] = trigger.engine
    return Event(time, "incident_trigger", "incidents", labels, trigger.text)
