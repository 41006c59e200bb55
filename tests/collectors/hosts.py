"""A collector of a host that is a folder of files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.model import SeriesTable
from collectors.host import HostCollector
from collectors.host.clock import ClockState
from collectors.procfs import HostPaths
from tests.fakes.clock import ManualClock
from tests.fakes.samples import samples

HOSTS = Path(__file__).parents[1] / "fakes" / "hosts"

OWN = {
    "agent_cpu_seconds_total",
    "agent_resident_memory_bytes",
    "agent_processes",
    "agent_threads",
    "agent_open_fds",
}


@dataclass(frozen=True)
class Usage:
    """Space on a filesystem."""

    total: int
    free: int


def collector_of(
    table: SeriesTable,
    root: Path,
    clock: ManualClock,
    *,
    state: ClockState | None = None,
    folders: tuple[Path, ...] = (),
    usage: Callable[[str], Usage] = lambda _: Usage(1000, 250),
    unremarked: set[str] | None = None,
) -> HostCollector:
    """Return a collector of a fixture host."""
    return HostCollector(
        table,
        folders=folders,
        monotonic=clock.monotonic,
        time=clock.time,
        unremarked=unremarked,
        paths=HostPaths(proc=root / "proc", sys=root / "sys"),
        clock=lambda: state,
        disk_usage=usage,
    )


async def shown(table: SeriesTable, collector: HostCollector) -> dict[str, float]:
    """Return what one look gives, the agent's own cost left out."""
    values = samples(table, await collector.collect())
    return {name: value for name, value in values.items() if name not in OWN}
