"""What the control group of a process may hold and holds (cgroups version 2)."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from collectors.cgroup import cgroup_of
from collectors.procfs import read_file

FOUND_INTERVAL: Final = 10.0
"""Seconds for which it is remembered which groups above a process have a limit."""

# `shmem` is part of `file` and cannot be dropped.
_RECLAIMABLE: Final = (b"inactive_file", b"active_file", b"slab_reclaimable")


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Of the group nearest to its limit; bytes."""

    used: int
    limit: int
    reclaimable: int | None


@dataclass(slots=True)
class _Found:
    """The folders of the groups with a limit that a process is in."""

    time: float
    folders: list[tuple[str, int]] = field(default_factory=list)


class CgroupMemory:
    """Reads the limits of processes; which groups have one is looked up rarely.

    Args:
        proc: mount point of procfs.
        sys: mount point of sysfs.
    """

    def __init__(self, proc: str, sys: str) -> None:
        self._proc = proc
        self._root = f"{sys}/fs/cgroup"
        self._found: dict[int, _Found] = {}

    def read(self, pid: int, now: float) -> MemoryUse | None:
        """Return the use of the group with the least room, or None where none has a limit.

        Args:
            pid: of the process.
            now: seconds on a clock that never goes back.
        """
        found = self._found.get(pid)
        if found is None or now - found.time >= FOUND_INTERVAL:
            found = self._found[pid] = _Found(now, self._limited(pid))
        best: tuple[int, int, str] | None = None
        for folder, limit in found.folders:
            used = _number(read_file(f"{folder}/memory.current"))
            if used is not None and (best is None or limit - used < best[1] - best[0]):
                best = (used, limit, folder)
        if best is None:
            return None
        used, limit, folder = best
        return MemoryUse(used, limit, _reclaimable(read_file(f"{folder}/memory.stat")))

    def keep(self, pids: set[int]) -> None:
        """Forget all other processes."""
        self._found = {pid: found for pid, found in self._found.items() if pid in pids}

    def _limited(self, pid: int) -> list[tuple[str, int]]:
        """Return the groups of a process that have a limit, its own first."""
        cgroup = cgroup_of(self._proc, pid)
        if cgroup is None or cgroup.folder:
            return []
        path = PurePosixPath(cgroup.path)
        limited: list[tuple[str, int]] = []
        for group in (path, *path.parents[:-1]):
            folder = f"{self._root}{group}"
            limit = _number(read_file(f"{folder}/memory.max"))
            if limit is not None:
                limited.append((folder, limit))
        return limited


def _number(text: bytes | None) -> int | None:
    """Return what a file says, None for `max` or no file."""
    word = (text or b"").strip()
    return int(word) if word.isdigit() else None


def _reclaimable(text: bytes | None) -> int | None:
    """Return the sum of what can be dropped, or None where the kernel does not say."""
    if not text:
        return None
    fields = dict(line.split(b" ", 1) for line in text.splitlines() if b" " in line)
    parts = [int(fields[name]) for name in _RECLAIMABLE if fields.get(name, b"").strip().isdigit()]
    return sum(parts) if parts else None
