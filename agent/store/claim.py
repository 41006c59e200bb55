"""One agent a database file: the lock that says so.

It is on a file beside the database, for as long as it is open, so it ends with the process however
that ends. SQLite's own locks allow several writers and end when any part of the process closes the
file, so they cannot say it.
"""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from agent.store.database import HistoryError, file_identity

# Filesystems without locks: whoever keeps a history there has to see to it himself.
_NO_LOCKS: Final = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class TakenError(HistoryError):
    """Another agent keeps its history in this file."""


class Claim:
    """The right to write to one database.

    Args:
        path: the database; the lock is `PATH.lock`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = path.with_name(path.name + ".lock")
        self._fd: int | None = None

    def take(self) -> None:
        """Take it, unless it is held already.

        Raises:
            TakenError: another agent has it.
            OSError: the folder or the disk does not permit it.
        """
        if self._fd is not None:
            found = os.fstat(self._fd)
            if file_identity(self._lock) == (found.st_dev, found.st_ino):
                return
            self.release()  # the folder was emptied: another agent would lock a new file
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._take(fd)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def _take(self, fd: int) -> None:
        """Lock an open file."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 20, 0).decode(errors="replace").strip()
            by = f"process {holder}" if holder.isdecimal() else "another process"
            raise TakenError(
                f"{self._path} is the history of another inferwatch that runs ({by}): until it "
                "ends, this one keeps its history and the state of its alerts in memory only; give "
                "each agent a history.path in a folder of its own"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        # Only for the sentence above; on a full disk the lock holds all the same.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another have it; safe to call twice. The file stays: removing it would be a race."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
