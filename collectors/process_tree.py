"""Which processes descend from a given one, without a walk over all processes each time."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from collectors.procfs import ProcessStat, process_stat

SCAN_INTERVAL: Final = 10.0
"""Seconds after which new processes are looked for."""

FULL_SCAN_INTERVAL: Final = 300.0
"""Seconds after which every process is looked at again.

Only for a number that was given to another process between two scans, which takes all numbers to
go round in 10 s; reading thousands of processes is the dearest thing here.
"""


class ProcessTree:
    """Parents of all processes, refreshed rarely and mostly by looking at new ones alone.

    `/proc/PID/task/*/children` would need a read for each thread, of which one engine has
    hundreds, and is missing from some kernels; the parent in `/proc/PID/stat` is always there.

    Args:
        proc: mount point of procfs.
        monotonic: a clock that never goes back, in seconds.
        related: gives for the roots what belongs to each of them besides, asked at each scan.
        interval: seconds after which new processes are looked for.
    """

    def __init__(
        self,
        proc: str,
        *,
        monotonic: Callable[[], float],
        related: Callable[[Collection[int]], Mapping[int, Collection[int]]] = lambda _roots: {},
        interval: float = SCAN_INTERVAL,
    ) -> None:
        self._proc = proc
        self._monotonic = monotonic
        self._related = related
        self._interval = interval
        # Below each root, the start of each process that is related and no descendant.
        self._adopted: dict[int, dict[int, int]] = {}
        self._parents: dict[int, int] = {}
        self._children: dict[int, list[int]] = {}
        self._roots: frozenset[int] = frozenset()
        self._scanned: float | None = None
        self._fully_scanned = float("-inf")

    def forget_scan(self) -> None:
        """Have the next question scan, because there may be new processes."""
        self._scanned = None

    def stats(self, roots: Iterable[int]) -> dict[int, list[ProcessStat]]:
        """Return for each root the state of the root and of its descendants, read now.

        Which processes there are is as of the last scan. A scan happens when the last one is old
        or forgotten, or when there is a root that it did not know. A process below two of the
        roots belongs to the nearer one; what ended since the scan is left out.
        """
        wanted = frozenset(roots)
        now = self._monotonic()
        due = self._scanned is None or now - self._scanned >= self._interval
        if due or not wanted <= self._roots:
            self._scan(now)
            self._adopt(wanted)
        self._roots = wanted
        return {root: self._read(self._below(root, wanted)) for root in wanted}

    def _read(self, pids: Sequence[int]) -> list[ProcessStat]:
        """Return the state of a root, which comes first, and of what still belongs to it."""
        adopted = self._adopted.get(pids[0], {})
        members = set(pids)
        stats = (process_stat(self._proc, pid) for pid in (*pids, *adopted))
        return [
            stat
            for stat in stats
            # Its number may belong to a stranger by now, who has another parent or start.
            if stat is not None
            and (
                stat.pid == pids[0]
                or (stat.pid in members and stat.ppid in members)
                or adopted.get(stat.pid) == stat.start_ticks
            )
        ]

    def _adopt(self, roots: frozenset[int]) -> None:
        """Take note of what is related to the roots and descends from none of them."""
        descended = {pid for root in roots for pid in self._below(root, roots)}
        self._adopted = {}
        for root, related in self._related(roots).items():
            starts: dict[int, int] = {}
            for pid in sorted(set(related) - descended):
                stat = process_stat(self._proc, pid)
                if stat is not None:
                    starts[pid] = stat.start_ticks
            self._adopted[root] = starts

    def _below(self, root: int, roots: frozenset[int]) -> list[int]:
        """Return a root and what descends from it, other roots and theirs left out."""
        found = [root]
        for pid in found:
            found += [child for child in self._children.get(pid, ()) if child not in roots]
        return found

    def _scan(self, now: float) -> None:
        """Look at the processes that are new; once in a while at all of them."""
        self._scanned = now
        pids = {int(entry.name) for entry in os.scandir(self._proc) if entry.name.isdigit()}
        if now - self._fully_scanned >= FULL_SCAN_INTERVAL:
            self._fully_scanned = now
            self._parents = {}
        parents = {pid: parent for pid, parent in self._parents.items() if pid in pids}
        for pid in pids - parents.keys():
            stat = process_stat(self._proc, pid)
            if stat is not None:
                parents[pid] = stat.ppid
        # A process whose parent ended has another parent now, which its entry does not say.
        for pid, parent in list(parents.items()):
            if parent and parent not in parents:
                stat = process_stat(self._proc, pid)
                if stat is not None:
                    parents[pid] = stat.ppid
        self._parents = parents
        self._children = {}
        for pid, parent in parents.items():
            self._children.setdefault(parent, []).append(pid)
