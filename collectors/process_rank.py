"""Which data-parallel rank a process of an engine works for, by its title.

vLLM calls its processes `VLLM::EngineCore_DP1` and `VLLM::Worker_DP1_TP0`. The kernel keeps 15
bytes of that as the process's name, without the rank; the whole stands where the command line was.
Reading a command line may hang in the kernel, so it is done beside the event loop.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from agent.aside import Aside
from collectors.procfs import ProcessStat, read_file

_TITLED: Final = "VLLM::"
_RANK: Final = re.compile(rb"^VLLM::[A-Za-z]+(?:_[A-Z]+\d+)*?_DP(\d{1,6})(?:_|\0|\s|$)")

# A process, and the name that it had when its title was read.
_Identity = tuple[int, int, str]


class ProcessRanks:
    """Reads the title of each process once, and again when it takes another name.

    Args:
        proc: mount point of procfs.
    """

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._aside = Aside("process titles")
        self._ranks: dict[_Identity, str] = {}

    async def learn(self, stats: Iterable[ProcessStat]) -> bool:
        """Read the titles that are new, and return whether all are known.

        While a read before hangs, none is learned.
        """
        titled = [_identity(stat) for stat in stats if stat.comm.startswith(_TITLED)]
        new = [identity for identity in titled if identity not in self._ranks]
        if not new or self._aside.is_busy:
            return not new
        found = await self._aside.do(lambda: {one: self._read(one[0]) for one in new})
        current = set(titled)
        kept = {one: rank for one, rank in self._ranks.items() if one in current}
        self._ranks = {**kept, **found}
        return True

    def of(self, stats: Sequence[ProcessStat]) -> Mapping[int, str]:
        """Return the rank of each process of one engine by its pid; empty where it is unknown.

        A process whose title does not say it has the rank of the nearest one above it.
        """
        known = {stat.pid: self._ranks.get(_identity(stat), "") for stat in stats}
        parents = {stat.pid: stat.ppid for stat in stats}
        return {pid: _inherited(pid, known, parents) for pid in known}

    def _read(self, pid: int) -> str:
        """Return the rank that a title names."""
        match = _RANK.match(read_file(f"{self._proc}/{pid}/cmdline") or b"")
        return str(int(match[1])) if match else ""


def _inherited(pid: int, known: Mapping[int, str], parents: Mapping[int, int]) -> str:
    """Return the rank of a process, or of the nearest above it that has one."""
    seen: set[int] = set()
    while pid in known and pid not in seen:
        if known[pid]:
            return known[pid]
        seen.add(pid)
        pid = parents[pid]
    return ""


def _identity(stat: ProcessStat) -> _Identity:
    """Return what tells a process under one name from any other."""
    return stat.pid, stat.start_ticks, stat.comm
