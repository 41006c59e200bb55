"""What waits to be delivered, on disk: survives a restart, is bounded, never half written.

One file for each receiver, a line for each item:

    00d1f2a3 {"key": "…", …}          checksum (CRC-32) of the JSON that follows

It is written anew beside the old one and moved over it, so a crash leaves one of the two whole.
A line that is damaged all the same is left out and counted.
"""

import json
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.files import replace_file


@dataclass(slots=True)
class Loaded:
    """What was found: items in their order, and how many lines made no sense."""

    items: list[dict[str, Any]] = field(default_factory=list)
    damaged: int = 0


class Spool:
    """The file of one receiver. Its methods do I/O: call them in a thread.

    Args:
        path: the file; its folder is made if it is not there.
        max_size: bytes that the file may have.
    """

    def __init__(self, path: Path, *, max_size: int) -> None:
        self.path = path
        self.max_size = max_size
        self._writing = threading.Lock()

    def load(self) -> Loaded:
        """Return what waits; nothing where there is no file.

        Raises:
            OSError: the file is there and cannot be read.
        """
        loaded = Loaded()
        try:
            with self.path.open("rb") as file:
                # Whatever took the place of the file, the bound on its size holds for it too.
                content = file.read(self.max_size + 1)
        except FileNotFoundError:
            return loaded
        for line in content.splitlines():
            item = _item(line)
            if item is None:
                loaded.damaged += 1
            else:
                loaded.items.append(item)
        return loaded

    def save(self, items: Iterable[dict[str, Any]]) -> int:
        """Write what waits; with nothing to wait the file goes.

        Returns:
            How many of the first (oldest) items were left out for want of room.

        Raises:
            OSError: it cannot be written; the file is as it was.
        """
        lines = [_line(item) for item in items]
        size, kept = 0, 0
        for line in reversed(lines):
            size += len(line)
            if size > self.max_size:
                break
            kept += 1
        left_out = len(lines) - kept
        with self._writing:  # a cancelled task leaves its thread behind
            self._replace(lines[left_out:])
        return left_out

    def _replace(self, lines: list[bytes]) -> None:
        """Put a file with these lines in the place of the old one."""
        if not lines:
            self.path.unlink(missing_ok=True)
            return
        replace_file(self.path, lines)


def _line(item: dict[str, Any]) -> bytes:
    """Return an item as it is written."""
    content = json.dumps(item, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _item(line: bytes) -> dict[str, Any] | None:
    """Return the item of a line, None where it is damaged."""
    checksum, _, content = line.partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(content):
            return None
        item = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return item if isinstance(item, dict) else None
