"""Memory, swap, and the processes that ended for lack of them.

Read directly: psutil answers zero where the kernel says nothing, and reads one of the two files
twice; what is unknown must be absent here.
"""

from typing import Final

from agent.catalog import host as catalog
from agent.model import SeriesTable
from collectors.procfs import PAGE_SIZE, HostPaths, KeptFile
from collectors.readings import ReadingBuilder

_KB: Final = 1024


def number_after(text: bytes, key: bytes) -> int | None:
    """Return the number that follows a key in a text of `key number` lines, or None.

    A search for four keys is much cheaper than taking 150 lines apart.
    """
    start = 0 if text.startswith(key) else text.find(b"\n" + key) + 1
    if start == 0 and not text.startswith(key):
        return None
    return int(text[start + len(key) : text.find(b"\n", start)].split()[0])


class Memory:
    """Reads `/proc/meminfo` and `/proc/vmstat`."""

    def __init__(self, table: SeriesTable, paths: HostPaths) -> None:
        self._meminfo = KeptFile(f"{paths.proc}/meminfo")
        self._vmstat = KeptFile(f"{paths.proc}/vmstat")
        self._total = table.intern(catalog.MEMORY_TOTAL)
        self._available = table.intern(catalog.MEMORY_AVAILABLE)
        self._swap_total = table.intern(catalog.SWAP_TOTAL)
        self._swap_used = table.intern(catalog.SWAP_USED)
        self._swap_in = table.intern(catalog.SWAP_IN)
        self._swap_out = table.intern(catalog.SWAP_OUT)
        self._oom_kills = table.intern(catalog.OOM_KILLS)

    def read(self, into: ReadingBuilder) -> None:
        """Add what the kernel of this host counts; swap only where there is any."""
        has_swap = False
        text = self._meminfo.read()
        if text is not None:
            total = number_after(text, b"MemTotal:")
            available = number_after(text, b"MemAvailable:")
            if total is not None:
                into.add(self._total, total * _KB)
            if available is not None:
                into.add(self._available, available * _KB)
            swap_total = number_after(text, b"SwapTotal:")
            swap_free = number_after(text, b"SwapFree:")
            has_swap = bool(swap_total) and swap_free is not None
            if swap_total and swap_free is not None:
                into.add(self._swap_total, swap_total * _KB)
                into.add(self._swap_used, (swap_total - swap_free) * _KB)
        text = self._vmstat.read()
        if text is None:
            return
        swapped_in = number_after(text, b"pswpin ")
        swapped_out = number_after(text, b"pswpout ")
        oom_kills = number_after(text, b"oom_kill ")
        if has_swap and swapped_in is not None and swapped_out is not None:
            into.add(self._swap_in, swapped_in * PAGE_SIZE)
            into.add(self._swap_out, swapped_out * PAGE_SIZE)
        if oom_kills is not None:
            into.add(self._oom_kills, oom_kills)
