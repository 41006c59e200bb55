"""Builds readings sample by sample, and keeps the list of series while it stands."""

from collections.abc import Sequence

from agent.model import Event, Metric, Reading, SeriesTable


class ReadingBuilder:
    """Collects the samples of one look; one builder serves a source for its whole life."""

    def __init__(self, table: SeriesTable) -> None:
        self.table = table
        self._ids: list[int] = []
        self._values: list[float] = []
        self._last_ids: list[int] = []
        self._events: list[Event] = []

    def add(self, series_id: int, value: float) -> None:
        """Add the value of a series that was interned before."""
        self._ids.append(series_id)
        self._values.append(value)

    def put(self, metric: Metric, value: float, *labels: str) -> None:
        """Add the value of a metric with these label values."""
        self._ids.append(self.table.intern(metric, labels))
        self._values.append(value)

    def tell(self, event: Event) -> None:
        """Add something that happened."""
        self._events.append(event)

    def finish(self, events: Sequence[Event] = ()) -> Reading:
        """Return what was added since the last call, and start afresh.

        `ids` is the very list of the last reading where the series are the same.
        """
        ids, values = self._ids, self._values
        self._ids, self._values = [], []
        if ids == self._last_ids:
            ids = self._last_ids
        self._last_ids = ids
        if self._events:
            events = [*self._events, *events]
            self._events.clear()
        return Reading(ids, values, events)
