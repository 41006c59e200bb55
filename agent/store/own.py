"""The samples that the history gives about itself."""

from agent.catalog import history as catalog
from agent.model import Metric, Reading, SeriesTable
from agent.store.stats import Status


class OwnSeries:
    """Keeps the identifiers of those samples."""

    def __init__(self, table: SeriesTable) -> None:
        self._table = table
        self._ids: list[int] = []

    def reading(self, status: Status, *, on_disk: bool) -> Reading:
        """Return the samples; none where the history is in memory only."""
        if not on_disk:
            return Reading((), ())
        stored = status.stored
        found = {
            self._id(catalog.WRITABLE): 1.0 if status.writable else 0.0,
            self._id(catalog.SAMPLES): float(status.saved),
            self._id(catalog.SERIES): float(stored.series),
            self._id(catalog.SIZE): float(stored.size),
        }
        for reason, count in status.lost.items():
            found[self._id(catalog.LOST, reason)] = float(count)
        for resolution, span in (("full", stored.full), ("5m", stored.five)):
            if span is not None:
                found[self._id(catalog.SPAN, resolution)] = (span[1] - span[0]) / 1000
        ids = list(found)
        if ids != self._ids:
            self._ids = ids
        return Reading(self._ids, list(found.values()))

    def _id(self, metric: Metric, *labels: str) -> int:
        """Return the identifier of a series."""
        return self._table.intern(metric, labels)
