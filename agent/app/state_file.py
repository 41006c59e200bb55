"""Files in the state folder: JSON, written whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any, Final

_LARGEST: Final = 64 * 2**20
"""Bytes; what is larger is not ours."""


def read_state(path: Path) -> Any:
    """Return what a file holds.

    Raises:
        OSError: it cannot be read; FileNotFoundError where there is none.
        ValueError: it is not JSON.
        RecursionError: likewise.
    """
    with path.open("rb") as file:
        return json.loads(file.read(_LARGEST))


def write_state(path: Path, state: Any) -> None:
    """Put a file in the place of the old one.

    Raises:
        OSError: it cannot be written; the old one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    with beside.open("w", encoding="utf-8") as file:
        json.dump(state, file, separators=(",", ":"))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
