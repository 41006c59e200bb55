"""Series of a run and series of the database: the same metric and labels are the same row."""

import json
import sqlite3
from collections.abc import Iterable

from agent.model import SeriesTable
from agent.store.chunk import GROUP
from agent.store.database import GROUP_BITS

DAY = 86_400_000


def key(segment: int, group: int) -> int:
    """Return the key of a chunk or a summary."""
    return segment << GROUP_BITS | group


class Identities:
    """Gives each series of a run its row in `series`, as one is needed."""

    def __init__(self, table: SeriesTable) -> None:
        self._table = table
        self._rows: dict[int, int] = {}
        self._days: dict[int, int] = {}

    def group(
        self, connection: sqlite3.Connection, ids: Iterable[int], now: int
    ) -> dict[int, dict[int, int]]:
        """Return series by group and place in it; new ones get their rows.

        New rows are sorted by name, so that the series of one metric lie in one group: a query
        names a metric more often than not.

        Args:
            connection: the database, in a transaction.
            ids: series of the run.
            now: milliseconds; the day is kept for `retention`.
        """
        ids = set(ids)
        day = now // DAY
        new = [series_id for series_id in ids if series_id not in self._rows]
        for name, labels, series_id in sorted((*self._identity(i), i) for i in new):
            self._rows[series_id] = _row(connection, name, labels, day)
            self._days[series_id] = day
        old = [i for i in ids if self._days[i] != day]
        connection.executemany(
            "UPDATE series SET day = ? WHERE id = ?", [(day, self._rows[i]) for i in old]
        )
        self._days.update(dict.fromkeys(old, day))
        groups: dict[int, dict[int, int]] = {}
        for series_id in ids:
            group, place = divmod(self._rows[series_id], GROUP)
            groups.setdefault(group, {})[place] = series_id
        return dict(sorted(groups.items()))

    def _identity(self, series_id: int) -> tuple[str, str]:
        """Return name and labels as the database has them."""
        series = self._table[series_id]
        return series.sample_name, json.dumps(sorted(series.label_pairs()), separators=(",", ":"))

    def clear(self) -> None:
        """Forget all rows: they were rolled back, or the database is another."""
        self._rows.clear()
        self._days.clear()

    def keep_only(self, used: Iterable[int]) -> None:
        """Forget all other series of the run; their rows are found again if they come back."""
        kept = [i for i in used if i in self._rows]
        self._rows = {i: self._rows[i] for i in kept}
        self._days = {i: self._days[i] for i in kept}


def _row(connection: sqlite3.Connection, name: str, labels: str, day: int) -> int:
    """Return the row of a series, a new one if there is none."""
    found = connection.execute(
        "INSERT INTO series (name, labels, day) VALUES (?, ?, ?) "
        "ON CONFLICT (name, labels) DO UPDATE SET day = excluded.day RETURNING id",
        (name, labels, day),
    ).fetchone()
    return int(found[0])
