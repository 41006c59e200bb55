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
    me = os.geteuid()
    folder.chmod(0)
    if me == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(me)
        folder.chmod(0o700)
