"""How long processes were ready to run and had no CPU (`/proc/PID/schedstat`).

The scheduler counts it for each thread, whatever kept the thread from a CPU: other threads, or the
quota of its control group. An engine has hundreds of threads, and to read them all would be dear;
the main thread is where its processes answer, schedule and launch work.
"""

from collections.abc import Iterable
from typing import Final

from collectors.procfs import ProcessStat, read_file

_NANOSECONDS: Final = 1e9

_Identity = tuple[int, int]


class CpuWaits:
    """Follows the waits of processes from look to look.

    Args:
        proc: mount point of procfs.
    """

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._before: dict[_Identity, float] = {}
        self._now: dict[_Identity, float] = {}

    def longest(self, stats: Iterable[ProcessStat]) -> float | None:
        """Return the seconds that the main thread of one of these waited since the look before.

        Of that which waited longest. None where that is known of none of them: at the first look,
        and from kernels that were built without the count.
        """
        grown: list[float] = []
        for stat in stats:
            identity = (stat.pid, stat.start_ticks)
            waited = _waited(self._proc, stat.pid)
            if waited is None:
                continue
            before = self._before.get(identity)
            self._now[identity] = waited
            if before is not None:
                grown.append(max(0.0, waited - before))
        return max(grown, default=None)

    def turn(self) -> None:
        """End a look: what was not asked for in it is forgotten."""
        self._before, self._now = self._now, {}


def _waited(proc: str, pid: int) -> float | None:
    """Return the seconds that the main thread of a process waited in all, if that is counted."""
    text = read_file(f"{proc}/{pid}/schedstat")
    try:
        running, waited, turns = map(int, (text or b"").split())
    except ValueError:
        return None
    return waited / _NANOSECONDS if running or waited or turns else None
