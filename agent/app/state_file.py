"""Files in the state folder: JSON, written whole or not at all."""

import json
from pathlib import Path
from typing import Any, Final

from agent.files import replace_file

_LARGEST: Final = 64 * 2**20
"""Bytes; what is larger is not ours."""

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


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
        TypeError: the state is no JSON; likewise.
        ValueError: it holds itself; likewise.
    """
    # In pieces: encoded at once, a large state would hold up every other thread meanwhile.
    replace_file(path, (piece.encode() for piece in _ENCODER.iterencode(state)))
