"""Puts the parts of the host together."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import psutil

from agent.model import Reading, SeriesTable, UnavailableError
from collectors.host.clock import ClockQuality, ClockState, read_clock
from collectors.host.cpu import Cpu, CpuFacts
from collectors.host.disk import Disks, Usage
from collectors.host.memory import Memory
from collectors.host.network import Network
from collectors.host.own import OwnCost
from collectors.host.pressure import Pressure
from collectors.procfs import HostPaths
from collectors.readings import ReadingBuilder

FACTS_INTERVAL: Final = 60.0
"""Seconds for which what changes rarely is kept."""


class _Part(Protocol):
    """One subject of the host."""

    def read(self, into: ReadingBuilder) -> None:
        """Add what this host knows of the subject; what it does not know is left out."""
        ...


class HostCollector:
    """Reads everything about the host that is no GPU and no engine.

    Args:
        table: where series are interned.
        folders: folders whose filesystems are watched.
        monotonic: a clock that never goes back, in seconds.
        time: Unix seconds.
        unremarked: see `Disks`.
        paths: where the kernel of the host shows itself.
        clock: asks the kernel how well it keeps time.
        disk_usage: asks one filesystem for its space; may hang.
    """

    name = "host"

    def __init__(
        self,
        table: SeriesTable,
        *,
        folders: Sequence[Path],
        monotonic: Callable[[], float],
        time: Callable[[], float],
        unremarked: set[str] | None = None,
        paths: HostPaths | None = None,
        clock: Callable[[], ClockState | None] | None = None,
        disk_usage: Callable[[str], Usage] = psutil.disk_usage,
    ) -> None:
        paths = paths or HostPaths()
        self._proc = paths.proc
        self._stat = f"{paths.proc}/stat"
        self._monotonic = monotonic
        self._builder = ReadingBuilder(table)
        self._facts_builder = ReadingBuilder(table)
        self._facts = CpuFacts(table, paths)
        self._facts_read: float | None = None
        self._facts_reading = self._facts_builder.finish()
        self._parts: tuple[_Part, ...] = (
            Cpu(table, paths),
            Memory(table, paths),
            Pressure(table, paths),
            Network(table, paths),
            ClockQuality(table, clock or read_clock()),
            Disks(
                table,
                folders,
                monotonic=monotonic,
                time=time,
                unremarked=set() if unremarked is None else unremarked,
                usage=disk_usage,
            ),
            OwnCost(table, monotonic=monotonic),
        )

    async def collect(self) -> Reading:
        """Read all parts.

        Raises:
            UnavailableError: there is no procfs where the host's should be.
        """
        return self._read()

    def _read(self) -> Reading:
        """Look at all parts, without waiting for any."""
        if not os.path.exists(self._stat):  # noqa: PTH110 - each tick, a tenth of the price
            raise UnavailableError(
                f"no procfs at {self._proc}: mount the host's /proc there to watch the host"
            )
        now = self._monotonic()
        if self._facts_read is None or now - self._facts_read >= FACTS_INTERVAL:
            self._facts_read = now
            self._facts.read(self._facts_builder)
            self._facts_reading = self._facts_builder.finish()
        builder = self._builder
        for part in self._parts:
            part.read(builder)
        facts = self._facts_reading
        for series_id, value in zip(facts.ids, facts.values, strict=True):
            builder.add(series_id, value)
        return builder.finish()

    async def aclose(self) -> None:
        """Do nothing: nothing stays open, and a hung question to a filesystem ends by itself."""
