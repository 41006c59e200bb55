"""What the agent itself costs, the processes that it started included."""

import os
import resource
from collections.abc import Callable, Sequence
from typing import Final

from agent.catalog import host as catalog
from agent.model import SeriesTable
from collectors.process_tree import SCAN_INTERVAL, ProcessTree
from collectors.procfs import KeptFile, ProcessStat, count_fds
from collectors.readings import ReadingBuilder

INTERVAL: Final = 5.0
"""Seconds between two looks at the agent's processes; its own CPU time is read at each look."""

LISTED_SCAN_INTERVAL: Final = 60.0
"""Seconds between two scans for descendants where the kernel lists the children."""

# The agent's own procfs: it finds its own process there even when the host's is elsewhere.
_PROC = "/proc"


class OwnCost:
    """Adds up CPU time and memory of the agent and its descendants.

    CPU time is that of the daemon, of its children that ended and were waited for, and of those
    that live. A child therefore counts from its first look on and is never counted twice. Where the
    kernel does not list children (CONFIG_PROC_CHILDREN) that is up to 10 s after its start.
    """

    def __init__(self, table: SeriesTable, *, monotonic: Callable[[], float]) -> None:
        self._pid = os.getpid()
        self._monotonic = monotonic
        self._cpu = table.intern(catalog.AGENT_CPU_SECONDS)
        self._memory = table.intern(catalog.AGENT_RESIDENT_MEMORY)
        self._processes = table.intern(catalog.AGENT_PROCESSES)
        self._threads = table.intern(catalog.AGENT_THREADS)
        self._fds = table.intern(catalog.AGENT_OPEN_FDS)
        self._cpu_seconds = 0.0
        # All are started by the main thread, where the event loop runs.
        self._children_file = KeptFile(f"{_PROC}/{self._pid}/task/{self._pid}/children")
        self._children = self._children_file.read()
        listed = self._children is not None
        self._tree = ProcessTree(
            _PROC,
            monotonic=monotonic,
            interval=LISTED_SCAN_INTERVAL if listed else SCAN_INTERVAL,
        )
        self._due = float("-inf")
        self._stats: Sequence[ProcessStat] = ()
        self._open: int | None = None

    def read(self, into: ReadingBuilder) -> None:
        """Add the sums."""
        self._look()
        cpu_seconds = sum(stat.cpu_seconds for stat in self._stats if stat.pid != self._pid)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            cpu_seconds += usage.ru_utime + usage.ru_stime
        # Clock ticks and microseconds round differently when a child ends: never go back.
        self._cpu_seconds = max(self._cpu_seconds, cpu_seconds)
        into.add(self._cpu, self._cpu_seconds)
        into.add(self._memory, sum(stat.resident_bytes for stat in self._stats))
        into.add(self._processes, len(self._stats))
        into.add(self._threads, sum(stat.threads for stat in self._stats))
        if self._open is not None:
            into.add(self._fds, self._open)

    def _look(self) -> None:
        """Look at the processes if it is time, or if there are others than before."""
        now = self._monotonic()
        children = self._children_file.read()
        if children != self._children:
            self._children = children
            self._tree.forget_scan()
        elif now < self._due:
            return
        self._due = now + INTERVAL
        self._stats = self._tree.stats((self._pid,))[self._pid]
        self._open = count_fds(_PROC, self._pid)
