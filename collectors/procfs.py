"""Small readers of /proc that several sources share; the root is always an argument."""

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

# The kernel builds these files when they are read: a read gives a whole file, or of those that have
# a line for each of many things about a page. Only a read of nothing says that this is all.
_CHUNK: Final = 1 << 16
_ABSENT: Final = frozenset(
    {
        errno.ENOENT,
        errno.ESRCH,  # the process ended between open and read
        errno.ENODEV,  # the control group was removed between them
        errno.EACCES,
        errno.EPERM,
        errno.EOPNOTSUPP,  # pressure files of a kernel started with psi=0
        errno.ENOTDIR,
    }
)

TICKS: Final = float(os.sysconf("SC_CLK_TCK"))
PAGE_SIZE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPaths:
    """Where the host's kernel shows itself: another place when the agent runs in a container.

    Attributes:
        proc: mount point of the host's procfs.
        sys: mount point of the host's sysfs.
    """

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")


def read_file(path: str | Path) -> bytes | None:
    """Return what the file holds, or None where the host has no such file or does not show it.

    Raises:
        OSError: reading failed for a reason that is no property of the host.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    try:
        parts = [os.read(fd, _CHUNK)]
        while parts[-1]:
            parts.append(os.read(fd, _CHUNK))
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    finally:
        os.close(fd)
    return b"".join(parts)


class Descriptor:
    """Something that is held open, until the last that has this object lets go of it."""

    _fd: int | None = None

    def close(self) -> None:
        """Let go of it; safe to call twice."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __del__(self) -> None:
        """Let go of it with the last that has it."""
        self.close()


class KeptFile(Descriptor):
    """A file of the kernel that is read again and again, through one descriptor.

    To open such a file takes longer than to read most of them. Any other file may be replaced by
    one of the same name, and is opened each time; so is one that was closed.

    Args:
        path: of the file.
        most: bytes that are read, where only the beginning is of interest.
    """

    def __init__(self, path: str, *, most: int | None = None) -> None:
        self._path = path
        self._most = most

    def read(self) -> bytes | None:
        """Return what the file holds, or None where the host has no such file or does not show it.

        Raises:
            OSError: reading failed for a reason that is no property of the host.
        """
        if self._fd is not None:
            try:
                text = self._read_kept(self._fd)
            except OSError:
                text = b""
            if text:
                return text
            self.close()
        return self._read_anew()

    def _read_kept(self, fd: int) -> bytes:
        """Read the file, or its beginning, once more."""
        if self._most is not None:
            return os.pread(fd, self._most, 0)
        text = os.pread(fd, _CHUNK, 0)
        while text and (more := os.pread(fd, _CHUNK, len(text))):
            text += more
        return text

    def _read_anew(self) -> bytes | None:
        """Read the file by its name, and keep it open if it is the kernel's."""
        text = read_file(self._path)
        if text:
            with contextlib.suppress(OSError):
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                if os.fstatvfs(self._fd).f_blocks:  # procfs has none
                    self.close()
        return text if text is None or self._most is None else text[: self._most]


@contextlib.contextmanager
def psutil_reads(proc: Path) -> Iterator[None]:
    """Let psutil read another procfs; only around calls that do not wait."""
    before = psutil.PROCFS_PATH
    psutil.PROCFS_PATH = str(proc)
    try:
        yield
    finally:
        psutil.PROCFS_PATH = before


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """What `/proc/PID/stat` says of a process (proc_pid_stat(5)).

    Attributes:
        pid: process id.
        comm: the name of its main thread, at most 15 bytes.
        ppid: process id of its parent.
        cpu_seconds: user and system time since it started.
        threads: number of its threads.
        start_ticks: clock ticks from boot to its start; with the pid it is its identity.
        resident_bytes: resident memory. The kernel adds it up lazily, so it may be off by some
            pages for each CPU.
    """

    pid: int
    comm: str
    ppid: int
    cpu_seconds: float
    threads: int
    start_ticks: int
    resident_bytes: int


def process_stat(proc: str, pid: int) -> ProcessStat | None:
    """Return the state of a process, or None when there is no such process."""
    text = read_file(f"{proc}/{pid}/stat")
    if not text:
        return None
    # The name may hold spaces and parentheses; the last closing one ends it.
    opening, closing = text.index(b"("), text.rindex(b")")
    fields = text[closing + 2 :].split(None, 22)
    return ProcessStat(
        pid,
        text[opening + 1 : closing].decode("utf-8", "replace"),
        int(fields[1]),
        (int(fields[11]) + int(fields[12])) / TICKS,
        int(fields[17]),
        int(fields[19]),
        int(fields[21]) * PAGE_SIZE,
    )


def count_fds(proc: str, pid: int) -> int | None:
    """Return how many file descriptors a process holds, or None where that may not be known.

    Linux 6.2 and later give the number as the size of the folder, without any right and without
    listing it. Before, the folder has to be listed, which other users may not.
    """
    path = f"{proc}/{pid}/fd"
    try:
        size = os.stat(path).st_size  # noqa: PTH116 - each tick, half the price
        # A folder of another filesystem has a size too, of another meaning; procfs has no blocks.
        if size > 0 and os.statvfs(path).f_blocks == 0:
            return size
        return len(os.listdir(path))  # noqa: PTH208 - as above
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
