"""What the control group of a process may hold and holds (cgroups version 2)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from collectors.cgroup import Lookups, cgroup_of, folders_above
from collectors.procfs import read_file

# `shmem` is part of `file` and cannot be dropped.
_RECLAIMABLE: Final = (b"inactive_file", b"active_file", b"slab_reclaimable")


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Of the group nearest to its limit; bytes."""

    used: int
    limit: int
    reclaimable: int | None


class CgroupMemory:
    """Reads the limits of processes; which groups have one is looked up rarely.

    Args:
        proc: mount point of procfs.
        sys: mount point of sysfs.
    """

    def __init__(self, proc: str, sys: str) -> None:
        self._proc = proc
        self._root = f"{sys}/fs/cgroup"
        self._found: Lookups[list[tuple[str, int]]] = Lookups()

    def read(self, pid: int, now: float) -> MemoryUse | None:
        """Return the use of the group with the least room, or None where none has a limit.

        Args:
            pid: of the process.
            now: seconds on a clock that never goes back.
        """
        best: tuple[int, int, str] | None = None
        for folder, limit in self._found.of(pid, now, lambda _before: self._limited(pid)):
            used = _number(read_file(f"{folder}/memory.current"))
            if used is not None and (best is None or limit - used < best[1] - best[0]):
                best = (used, limit, folder)
        if best is None:
            return None
        used, limit, folder = best
        return MemoryUse(used, limit, _reclaimable(read_file(f"{folder}/memory.stat")))

    def keep(self, pids: Collection[int]) -> None:
        """Forget all other processes."""
        self._found.keep(pids)

    def _limited(self, pid: int) -> list[tuple[str, int]]:
        """Return the groups of a process that have a limit, its own first."""
        cgroup = cgroup_of(self._proc, pid)
        if cgroup is None or cgroup.folder:
            return []
        limited: list[tuple[str, int]] = []
        for folder in folders_above(self._root, cgroup):
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
