"""The new lines of a file that others write to."""

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

MOST: Final = 1 << 20
"""Bytes that one look reads; of more, the newest."""

_CHUNK: Final = 1 << 16
_LINE_MAX: Final = 1 << 14


class FileTail:
    """Follows one file through rotation and truncation.

    What the file held when it was first seen is old; a file that appears later is read whole.

    Args:
        path: the file, which need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._inode: tuple[int, int] | None = None
        self._offset = 0
        self._rest = b""
        self._fresh = True

    def read(self) -> list[bytes]:
        """Return the lines since the last call, those of a file that was rotated away first.

        Raises:
            OSError: the file cannot be read, is none, or has not been there yet.
        """
        lines: list[bytes] = []
        if self._fd >= 0:
            lines += self._lines()
        try:
            status = os.stat(self._path)  # noqa: PTH116 - its numbers are wanted, not a Path
        except FileNotFoundError:
            self._fresh = False
            if self._fd < 0:
                raise
            return lines
        if (status.st_dev, status.st_ino) != self._inode:
            self._open()
            lines += self._lines()
        self._fresh = False
        return lines

    def _open(self) -> None:
        """Begin with the file that has the name now."""
        self.close()
        # A pipe or a device would hang or never end.
        fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise OSError(0, "is no regular file")
        self._fd = fd
        self._inode = (status.st_dev, status.st_ino)
        self._offset = status.st_size if self._fresh else 0

    def _lines(self) -> list[bytes]:
        """Return the whole lines since the last call."""
        size = os.fstat(self._fd).st_size
        if size < self._offset:
            self._offset, self._rest = 0, b""
        if size - self._offset > MOST:
            self._offset, self._rest = size - MOST, b""
        lines: list[bytes] = []
        while self._offset < size:
            chunk = os.pread(self._fd, min(_CHUNK, size - self._offset), self._offset)
            if not chunk:
                break
            self._offset += len(chunk)
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            lines += whole
            if len(self._rest) > _LINE_MAX:
                lines.append(self._rest[:_LINE_MAX])
                self._rest = b""
        return [line[:_LINE_MAX] for line in lines]

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
        self._fd, self._inode, self._rest = -1, None, b""
