"""Blobs of the database, those of several segments in one query.

Whoever reads a day asks for the same group of 288 segments, one after the other in time; a query
for each would cost more than what it brings.
"""

import sqlite3
from collections.abc import Sequence
from itertools import islice
from typing import Final

from agent.store.identity import key

_BLOBS: Final = 64
"""How many are held at most, for a query of few groups."""


class Ahead:
    """Reads a table of blobs for some segments, in their order.

    Args:
        connection: the database, in a transaction.
        table: `chunk` or `five`.
        segments: their numbers, in the order in which they will be asked for.
        groups: how many groups will be asked for.
    """

    def __init__(
        self, connection: sqlite3.Connection, table: str, segments: Sequence[int], groups: int
    ) -> None:
        self._connection = connection
        self._table = table
        self._segments = segments
        self._places = {number: place for place, number in enumerate(segments)}
        self._size = max(1, _BLOBS // max(1, groups))
        self._found: dict[int, bytes | None] = {}

    def take(self, segment: int, group: int) -> bytes | None:
        """Return the blob of a group of a segment, None where there is none."""
        wanted = key(segment, group)
        if wanted not in self._found:
            begin = self._places[segment]
            segments = islice(self._segments, begin, begin + self._size)
            keys = [key(number, group) for number in segments]
            marks = ",".join("?" * len(keys))
            self._found.update(dict.fromkeys(keys))
            self._found.update(
                self._connection.execute(
                    f"SELECT id, data FROM {self._table} WHERE id IN ({marks})",  # noqa: S608 - own names
                    keys,
                )
            )
        # Nobody asks twice, or it is read again.
        return self._found.pop(wanted)
