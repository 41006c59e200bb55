"""A folder that this process may not enter, root's included."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_NOBODY: Final = 65534


@contextmanager
def closed(folder: Path) -> Iterator[None]:
    """Close a folder during the block, which then runs with the rights of nobody if it was root's.

    What is not imported yet may be out of reach meanwhile.
    """
    folder.chmod(0)
    try:
        with as_nobody():
            yield
    finally:
        folder.chmod(0o700)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Run the block with the rights of nobody, if they were root's."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(me)
