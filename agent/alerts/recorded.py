"""Series that rules write: their metrics are not in the catalogue, but made when first seen."""

from collections.abc import Collection
from typing import Final

from agent.model import Metric, MetricType, SeriesTable
from agent.store.series import Labels

ALERTS: Final = "ALERTS"
ALERTS_FOR_STATE: Final = "ALERTS_FOR_STATE"

# Labels that come and go must not collect for ever; what is forgotten is only made again.
_REMEMBERED: Final = 20_000


class RecordedSeries:
    """Gives series with labels of any kind their identifiers."""

    def __init__(self, table: SeriesTable) -> None:
        self._table = table
        self._metrics: dict[tuple[str, ...], Metric] = {}
        self._ids: dict[Labels, int] = {}

    def intern(self, labels: Labels) -> int:
        """Return the identifier of a series; its labels include `__name__`."""
        found = self._ids.get(labels)
        if found is None or found not in self._table:
            if len(self._ids) >= _REMEMBERED:
                self._ids.clear()
            found = self._ids[labels] = self._make(labels)
        return found

    def forgot(self, ids: Collection[int]) -> bool:
        """Return whether any of the series was forgotten since it was interned."""
        return bool(self._table.unknown(ids))

    def _make(self, labels: Labels) -> int:
        """Return the identifier of a series that was not seen lately."""
        pairs = dict(labels)
        name = pairs.pop("__name__")
        key = (name, *pairs)
        metric = self._metrics.get(key)
        if metric is None:
            metric = self._metrics[key] = Metric(
                name=name,
                type=MetricType.GAUGE,
                help="Written by a rule.",
                labels=tuple(pairs),
                source="rules",
            )
        return self._table.intern(metric, tuple(pairs.values()))
