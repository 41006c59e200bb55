"""Files that are whole or not there, and files that are read without waiting."""

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path


def replace_file(path: Path, parts: Iterable[bytes]) -> None:
    """Put a file in the place of the old one, in its folder, which is made if it is not there.

    A crash leaves one of the two whole.

    Args:
        path: of the file.
        parts: what it is to hold, one after the other.

    Raises:
        OSError: it cannot be written. As with whatever else `parts` raises, the old one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    try:
        with beside.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def read_regular(path: Path, *, longest: int) -> bytes:
    """Return what a regular file holds; anything else, a pipe among them, is not waited for.

    Args:
        path: of the file.
        longest: bytes that it may have.

    Raises:
        OSError: it cannot be read, is no regular file, or is longer than that.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(fd, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError("it is no regular file")
        content = file.read(longest + 1) or b""
    if len(content) > longest:
        raise OSError(f"it is longer than {longest} bytes")
    return content
