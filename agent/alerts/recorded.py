"""Series that rules write: their metrics are not in the catalogue, but made when first seen."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import is_
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

    @property
    def forgotten(self) -> int:
        """How many series were forgotten so far: what was interned since it grew is good."""
        return self._table.forgotten

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


class Record:
    """What a group hands over to the history; often the same as before, as alerts go on.

    Args:
        said: what its rules say.

    Attributes:
        ids: of the series.
        values: as many.
        names: of the series.
    """

    def __init__(self, said: Sequence[Mapping[Labels, float]]) -> None:
        self.ids: list[int] = []
        self.values: list[float] = []
        self.names: set[str] = set()
        self._said = said

    def is_of(self, said: Sequence[Mapping[Labels, float]]) -> bool:
        """Return whether these are the very ones: nobody changes what was said."""
        return len(said) == len(self._said) and all(map(is_, said, self._said))

    def add(
        self, ids: Sequence[int], said: Mapping[Labels, float], names: AbstractSet[str]
    ) -> None:
        """Add what a rule says of series under some names."""
        self.ids += ids
        self.values += said.values()
        self.names |= names
