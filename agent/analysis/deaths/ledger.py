"""Explains why engines end: an analysis over frames and their events.

events ──► findings, by the engine that they concern ─┐
frame ───► page of each engine ──► life of each ──────┴─► event, counters, share of errors
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from agent.analysis.deaths.belongings import FORGET, Belongings
from agent.analysis.deaths.causes import of_engine, of_kernel
from agent.analysis.deaths.error_share import ErrorShare
from agent.analysis.deaths.life import Life
from agent.analysis.deaths.page import Instance, PageReader
from agent.analysis.deaths.words import Ending, sentence
from agent.catalog import incident as catalog
from agent.model import Event, Frame, Reading

KEPT: Final = 20
"""Endings that are remembered for whoever asks."""

_STEPS: Final = 3.0  # intervals that a late tick may take; in more, the clock was set

_KINDS: Final = {
    "died": "engine_died",
    "failed to start": "engine_died",
    "hung": "engine_hung",
    "explained": "engine_death_explained",
    "recovered": "engine_recovered",
}
_COUNTED: Final = frozenset({"died", "failed to start", "hung"})


class Deaths:
    """Watches the lives of all engines.

    Attributes:
        recent: the last endings, the oldest first.
    """

    def __init__(self) -> None:
        self.recent: deque[Ending] = deque(maxlen=KEPT)
        self._pages = PageReader()
        self._belongings = Belongings()
        self._lives: dict[Instance, Life] = {}
        self._shares: dict[Instance, ErrorShare] = {}
        self._seen_at: dict[Instance, float] = {}
        self._counts: dict[tuple[str, str, str], Ending] = {}
        self._numbers: dict[tuple[str, str, str], int] = {}
        self._ids: list[int] = []
        self._time: float | None = None
        self._step = 0.0
        self._odd = 0.0

    def observe(self, frame: Frame) -> Reading:
        """Return what ended at this tick, and the counts so far."""
        passed = self._passed(frame.time)
        self._belongings.follow(frame)
        pages = self._pages.read(frame)
        for instance in pages:
            self._seen_at[instance] = frame.time
            if instance not in self._lives:
                self._lives[instance] = Life(instance)
                self._shares[instance] = ErrorShare()
        for event in frame.events:
            self._take(event)
        processes = "processes" not in frame.failures
        events: list[Event] = []
        shares: list[tuple[Instance, float]] = []
        for instance, page in pages.items():
            source = f"engine/{instance[1]}"
            ended = self._lives[instance].tick(
                frame.time,
                page,
                passed=passed,
                failure=frame.failures.get(source, ""),
                processes=processes,
            )
            if ended is not None:
                events.append(self._told(ended))
            share = self._shares[instance].tick(frame.time, page)
            if share is not None:
                shares.append((instance, share))
        self._forget(frame.time)
        return self._reading(frame, shares, events)

    def _passed(self, time: float) -> float:
        """Return the seconds since the tick before; where the clock was set, those before that.

        A clock is not set twice by the same: then ticks are rarer, as after a reload.
        """
        before, self._time = self._time, time
        step = 0.0 if before is None else time - before
        again = self._odd / _STEPS < step < self._odd * _STEPS
        if 0.0 <= step <= max(1.0, _STEPS * self._step) or not self._step or again:
            self._step, self._odd = max(step, 0.0), 0.0
        else:
            self._odd = max(step, 0.0)
        return self._step

    def as_json(self) -> list[dict[str, Any]]:
        """Return the last endings, the newest first."""
        return [ending.as_json() for ending in reversed(self.recent)]

    # --- evidence ----------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        """Hand the finding in an event to the engines that it concerns."""
        labels = event.labels
        named = (labels.get("engine", ""), labels.get("instance_name", ""))
        if event.kind == "engine_restarted" and named in self._lives:
            self._lives[named].restarted()
        finding = of_engine(event)
        if finding is not None:
            if named in self._lives:
                self._lives[named].evidence.find(finding)
            return
        finding = of_kernel(event)
        if finding is not None:
            for instance in self._belongings.concerned(event, self._lives):
                self._lives[instance].evidence.find(finding)

    # --- what follows ------------------------------------------------------------------------

    def _told(self, ending: Ending) -> Event:
        """Count an ending and return it as an event."""
        if ending.kind in _COUNTED:
            key = (*ending.instance, ending.cause.value)
            self._counts[key] = ending
            self._numbers[key] = self._numbers.get(key, 0) + 1
        self.recent.append(ending)
        engine, name = ending.instance
        labels = {
            "engine": engine,
            "instance_name": name,
            "cause": ending.cause.value,
            "phase": ending.phase,
        }
        if ending.requests is not None:
            labels["requests"] = f"{ending.requests:.0f}"
        if ending.evidence:
            labels["evidence"] = "; ".join(ending.evidence)
        time = ending.told_at if ending.kind in ("recovered", "explained") else ending.since
        return Event(time, _KINDS[ending.kind], "deaths", labels, sentence(ending))

    def _forget(self, time: float) -> None:
        """Let go of engines that are no longer watched."""
        gone = [one for one, seen in self._seen_at.items() if not -FORGET < time - seen < FORGET]
        for instance in gone:
            del self._seen_at[instance], self._lives[instance], self._shares[instance]

    def _reading(
        self, frame: Frame, shares: Sequence[tuple[Instance, float]], events: list[Event]
    ) -> Reading:
        """Return counts and shares as samples."""
        intern = frame.table.intern
        samples: dict[int, float] = {
            intern(catalog.ERROR_SHARE, instance): share for instance, share in shares
        }
        for instance, life in self._lives.items():
            for metric, value in life.loading.samples():
                samples[intern(metric, instance)] = value
        for key, ending in self._counts.items():
            samples[intern(catalog.DEATHS, key)] = float(self._numbers[key])
            samples[intern(catalog.LAST_DEATH, key)] = ending.since
            requests = 0.0 if ending.answered_at is None else ending.requests
            if requests is not None:
                samples[intern(catalog.LAST_DEATH_REQUESTS, key)] = requests
        ids = list(samples)
        if ids != self._ids:
            self._ids = ids
        return Reading(self._ids, list(samples.values()), events)
