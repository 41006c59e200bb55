"""What processes cost, from outside: CPU time to the nanosecond, memory without double counting."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_CPUCLOCK_SCHED = 2


def tree(root: int) -> list[int]:
    """Return a process and everything that descends from it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text()
                parent = int(stat.rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += parents.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """Return the CPU time of a process, its living descendants, and its children that ended.

    The clock of a process (clock_getcpuclockid(3)) counts nanoseconds and all of its threads;
    `/proc/PID/stat` counts hundredths of a second, too coarse for what is measured here.
    """
    total = sum(time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED) for pid in tree(root))
    fields = Path(f"/proc/{root}/stat").read_text().rpartition(")")[2].split()
    return total + (int(fields[13]) + int(fields[14])) / _TICKS


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a process and its descendants.

    Attributes:
        pss: as the kernel shares out pages, also to processes outside the tree.
        alone: as it would be if no other process had the same files mapped.
        processes: how many there are.
    """

    pss: int
    alone: int
    processes: int


def memory(root: int) -> Memory:
    """Return the memory of a process and its descendants."""
    pids = tree(root)
    pss = private = resident = 0
    files: dict[tuple[str, str], int] = {}
    for pid in pids:
        key: tuple[str, str] | None = None
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            word, _, rest = line.partition(" ")
            if not word.endswith(":"):
                fields = line.split(None, 5)
                backed = len(fields) > 5 and fields[5].startswith("/")
                key = (fields[5], fields[2]) if backed else None
                anonymous = 0
            elif word == "Pss:":
                pss += _bytes(rest)
            elif word == "Rss:":
                resident = _bytes(rest)
            elif word == "Anonymous:":
                anonymous = _bytes(rest)
                private += anonymous if key else resident
                if key:
                    files[key] = max(files.get(key, 0), resident - anonymous)
    return Memory(pss, private + sum(files.values()), len(pids))


def _bytes(text: str) -> int:
    """Return the number of `   12 kB`."""
    return int(text.split(maxsplit=1)[0]) * 1024


@contextlib.contextmanager
def running(
    command: Sequence[str], *, env: dict[str, str] | None = None, log: Path, stdin: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """Keep a process running for the length of the block; its output goes to a file."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdin else output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
