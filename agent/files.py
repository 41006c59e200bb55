"""Files that are whole or not there: written beside the old one, and moved over it."""

import contextlib
import os
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
