"""Files in the state folder: JSON, written whole or not at all."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from agent.files import replace_file

_LARGEST: Final = 64 * 2**20
"""Bytes; what is larger is not ours."""

_DEPTH: Final = 2
"""Levels that are written piece by piece: a state is lists of alerts or of engines."""

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
    replace_file(path, (piece.encode() for piece in _pieces(state)))


def _pieces(state: Any, *, depth: int = _DEPTH) -> Iterator[str]:
    """Yield JSON in pieces: encoded at once, a large state would hold up every other thread.

    The encoder's own pieces are single numbers and quotes, and cost five times as much.
    """
    if not depth or not isinstance(state, dict | list | tuple):
        yield _ENCODER.encode(state)
        return
    before = ""
    if not isinstance(state, dict):
        yield "["
        for item in state:
            yield before
            yield from _pieces(item, depth=depth - 1)
            before = ","
        yield "]"
        return
    yield "{"
    for key, item in state.items():
        # As the encoder writes keys, whatever they are.
        yield before + _ENCODER.encode({key: 0})[1:-2]
        yield from _pieces(item, depth=depth - 1)
        before = ","
    yield "}"
