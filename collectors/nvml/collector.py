"""The source `nvml`: asks the child, names what it says, remembers which GPUs there were."""

import json
from array import array
from collections.abc import Mapping, MutableMapping
from itertools import chain
from typing import Final

from agent.catalog import gpu
from agent.config.settings import Nvml
from agent.model import Clock, Event, Reading, SeriesTable
from collectors.nvml import wire
from collectors.nvml.backoff import Backoff
from collectors.nvml.layout import Layout, Unwrapper, parse
from collectors.nvml.messages import DriverMismatchError
from collectors.nvml.presence import Presence
from collectors.nvml.supervisor import Answer, Supervisor

SLOW_INTERVAL: Final = 5.0
"""Seconds between reads of limits, temperatures, errors and links."""


class NvmlCollector:
    """Reads every GPU and MIG instance through the NVIDIA driver.

    Args:
        table: where series are interned.
        settings: `timeout` bounds a driver call; `process_interval` the list of processes.
        clock: the only clock.
        env: environment of the child process; the agent's own where None.
        supervisor: replaces the one that would be made; for tests.
        names: the label `gpu` of each uuid, which outlives the collector where it is given one.
    """

    name = "nvml"

    def __init__(
        self,
        table: SeriesTable,
        settings: Nvml,
        *,
        clock: Clock,
        env: Mapping[str, str] | None = None,
        supervisor: Supervisor | None = None,
        names: MutableMapping[str, str] | None = None,
    ) -> None:
        self._table = table
        self._settings = settings
        self._clock = clock
        # Sooner than the runtime's timeout, which would only ask again for the same answer.
        self._supervisor = supervisor or Supervisor(
            monotonic=clock.monotonic, deadline=settings.timeout * 0.9, env=env
        )
        self._names = {} if names is None else names
        self._mismatch = table.intern(gpu.DRIVER_MISMATCH)
        self._presence = Presence(table)
        self._unwrapper = Unwrapper()
        self._layout: Layout | None = None
        self._ids: list[int] = []
        self._constants: list[float] = []
        self._due = {wire.SLOW: 0.0, wire.PROCESSES: 0.0}
        self._relist = Backoff(clock.monotonic, first=60.0, limit=900.0, healthy_after=1e9)

    async def collect(self) -> Reading:
        """Read what is due.

        Raises:
            UnavailableError: there is no NVIDIA driver on this host.
            SourceError: the driver hangs or fails; the message says what to do.
        """
        try:
            answer = await self._supervisor.ask(self._tiers())
        except DriverMismatchError as error:
            error.facts = Reading((self._mismatch,), (1.0,))
            raise
        events = [event for body in answer.events if (event := self._event(body))]
        if answer.layout is not None:
            events += self._lay_out(answer.layout)
        if answer.sample is None or self._layout is None:
            return Reading((), (), events)
        self._look_for_missing()
        return self._reading(self._layout, answer, events)

    async def aclose(self) -> None:
        """End the child."""
        await self._supervisor.aclose()

    def _tiers(self) -> int:
        """Return what to ask for now."""
        if self._supervisor.is_fresh:
            tiers = wire.ALL_TIERS
        else:
            now = self._clock.monotonic()
            tiers = wire.FAST | sum(tier for tier, due in self._due.items() if now >= due)
        self._schedule(tiers)
        return tiers

    def _schedule(self, tiers: int) -> None:
        now = self._clock.monotonic()
        if tiers & wire.SLOW:
            self._due[wire.SLOW] = now + SLOW_INTERVAL
        if tiers & wire.PROCESSES:
            self._due[wire.PROCESSES] = now + self._settings.process_interval

    def _lay_out(self, body: bytes) -> list[Event]:
        """Take over a new layout; return what it says about GPUs that came and went."""
        layout = self._layout = parse(body, self._table, self._names)
        events = self._presence.update(layout, time=self._clock.time())
        up = self._presence.samples
        self._ids = [*layout.ids, *layout.facts, *up, self._mismatch]
        self._constants = [*(1.0 for _ in layout.facts), *up.values(), 0.0]
        return events

    def _reading(self, layout: Layout, answer: Answer, events: list[Event]) -> Reading:
        numbers = array("d")
        numbers.frombytes(answer.sample or b"")
        values = numbers.tolist()
        self._unwrapper.apply(layout, values)
        return Reading(self._ids, list(chain(values, self._constants)), events)

    def _look_for_missing(self) -> None:
        """Start afresh now and then while a GPU is missing: a process may not see it return."""
        if not self._presence.missing:
            self._relist.reset()
        elif not self._relist.remaining:
            if self._relist.is_counting:
                self._supervisor.replace()
            self._relist.failed()

    def _event(self, body: bytes) -> Event | None:
        """Return the event of an EVENT frame, if it is news."""
        said = json.loads(body)
        time = float(said["time"]) if "time" in said else self._clock.time()
        return self._presence.event(said, time=time)
