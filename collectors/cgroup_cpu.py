"""How much CPU time the control group of a process may use, and how often that was used up.

A group with a quota gets so many microseconds of CPU time in each period; when they are used up,
its threads stand still until the next (Documentation/scheduler/sched-bwc.rst of the kernel).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from collectors.cgroup import Lookups, folders_above, group_of
from collectors.procfs import KeptFile, read_file

_NANOSECONDS: Final = 1e9
_MICROSECONDS: Final = 1e6


@dataclass(frozen=True, slots=True)
class CpuQuota:
    """Of the group with the smallest quota.

    Attributes:
        cores: that it may keep busy.
        periods: in which it had something to run, a counter.
        throttled: of these, in which its quota was used up.
        throttled_seconds: for which it stood still, added up over the CPUs on which it ran.
    """

    cores: float
    periods: int
    throttled: int
    throttled_seconds: float


@dataclass(slots=True)
class _Found:
    """The group with the smallest quota that a process is in."""

    cores: float
    folder: str
    stat: KeptFile


class CgroupCpu:
    """Reads the quotas of processes; which group has one is looked up rarely.

    Args:
        proc: mount point of procfs.
        sys: mount point of sysfs.
    """

    def __init__(self, proc: str, sys: str) -> None:
        self._proc = proc
        self._root = f"{sys}/fs/cgroup"
        self._found: Lookups[_Found | None] = Lookups()

    def read(self, pid: int, now: float) -> CpuQuota | None:
        """Return the quota of a process and how it was kept, or None where it has none.

        Args:
            pid: of the process.
            now: seconds on a clock that never goes back.
        """
        found = self._found.of(pid, now, lambda before: self._find(pid, before))
        text = None if found is None else found.stat.read()
        if found is None or not text:
            return None
        fields = dict(line.split(b" ", 1) for line in text.splitlines() if b" " in line)
        periods, throttled = (_count(fields, name) for name in (b"nr_periods", b"nr_throttled"))
        if periods is None or throttled is None:
            return None
        seconds = (_count(fields, b"throttled_usec") or 0) / _MICROSECONDS
        seconds += (_count(fields, b"throttled_time") or 0) / _NANOSECONDS  # of version 1
        return CpuQuota(found.cores, periods, throttled, seconds)

    def keep(self, pids: Collection[int]) -> None:
        """Forget all other processes."""
        self._found.keep(pids)

    def _find(self, pid: int, before: _Found | None) -> _Found | None:
        """Look for the group of a process, or one above it, with the smallest quota."""
        group = group_of(self._proc, pid, "cpu")
        best: tuple[float, str] | None = None
        for folder in () if group is None else folders_above(self._root, group):
            cores = _cores_first(folder) if group is not None and group.folder else _cores(folder)
            if cores is not None and (best is None or cores < best[0]):
                best = (cores, folder)
        if best is None:
            return None
        cores, folder = best
        same = before is not None and before.folder == folder
        stat = before.stat if before is not None and same else KeptFile(f"{folder}/cpu.stat")
        return _Found(cores, folder, stat)


def _cores(folder: str) -> float | None:
    """Return the quota of a group, None where it has none."""
    words = (read_file(f"{folder}/cpu.max") or b"").split()
    return _ratio(*words) if len(words) == 2 else None  # noqa: PLR2004 - quota and period


def _cores_first(folder: str) -> float | None:
    """Return the quota of a group of version 1, None where it has none, which is -1 there."""
    quota, period = (read_file(f"{folder}/cpu.cfs_{name}_us") for name in ("quota", "period"))
    return _ratio((quota or b"").strip(), (period or b"").strip())


def _ratio(quota: bytes, period: bytes) -> float | None:
    """Return one number by another, None where either is none."""
    known = quota.isdigit() and period.isdigit() and int(period) > 0
    return int(quota) / int(period) if known else None


def _count(fields: dict[bytes, bytes], name: bytes) -> int | None:
    """Return a number by its name, None where there is none."""
    word = fields.get(name, b"").strip()
    return int(word) if word.isdigit() else None
