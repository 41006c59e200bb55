"""CPU time, load, number of CPUs and the time of boot.

CPU time is read directly: through psutil it costs twice as much, each second.
"""

from typing import Final

import psutil

from agent.catalog import host as catalog
from agent.model import SeriesTable
from collectors.procfs import TICKS, HostPaths, KeptFile, psutil_reads, read_file
from collectors.readings import ReadingBuilder

# In the order of the first line of /proc/stat (proc_stat(5)), whose end is guest time: that is part
# of user and nice time already.
_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")

_FIRST_LINE: Final = 512
"""Bytes of which it takes no more: ten numbers of at most twenty digits. All others are of one CPU
or of interrupts, of which a large host has hundreds of kilobytes."""

_JITTER: Final = 3.0
"""Seconds by which the kernel's idle and iowait times are known to step back on a busy host.

A larger drop is a CPU taken offline: a real reset, which readers of counters know to handle.
"""


class Cpu:
    """Reads what changes each tick; what changes rarely is read by `CpuFacts`."""

    def __init__(self, table: SeriesTable, paths: HostPaths) -> None:
        self._stat = KeptFile(f"{paths.proc}/stat", most=_FIRST_LINE)
        self._loadavg = KeptFile(f"{paths.proc}/loadavg")
        self._modes = [(mode, table.intern(catalog.CPU_SECONDS, (mode,))) for mode in _MODES]
        self._load1 = table.intern(catalog.LOAD1)
        self._last: dict[str, float] = dict.fromkeys(_MODES, 0.0)

    def read(self, into: ReadingBuilder) -> None:
        """Add CPU seconds by mode and the load."""
        times = (self._stat.read() or b"").partition(b"\n")[0].split()[1:]
        for (mode, series_id), ticks in zip(self._modes, times, strict=False):
            value = int(ticks) / TICKS
            if 0 < self._last[mode] - value < _JITTER:
                value = self._last[mode]
            self._last[mode] = value
            into.add(series_id, value)
        load = self._loadavg.read()
        if load:
            into.add(self._load1, float(load.split(None, 1)[0]))


class CpuFacts:
    """Number of CPUs and time of boot."""

    def __init__(self, table: SeriesTable, paths: HostPaths) -> None:
        self._paths = paths
        self._cpus = table.intern(catalog.CPUS)
        self._boot_time = table.intern(catalog.BOOT_TIME)

    def read(self, into: ReadingBuilder) -> None:
        """Add both, where this host says them."""
        online = read_file(self._paths.sys / "devices/system/cpu/online")
        if online:
            into.add(self._cpus, count_of_list(online.decode()))
        try:
            with psutil_reads(self._paths.proc):
                boot_time = psutil.boot_time()
        except (FileNotFoundError, PermissionError, RuntimeError):
            return
        into.add(self._boot_time, boot_time)


def count_of_list(text: str) -> int:
    """Return how many CPUs a list such as `0-3,8,10-11` names (cpuset(7), list format)."""
    count = 0
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        count += int(last or first) - int(first) + 1
    return count
