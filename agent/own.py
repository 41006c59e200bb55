"""What the agent says of itself in each frame."""

from collections.abc import Callable, Sequence

from agent.catalog import agent as catalog
from agent.model import Reading, SeriesTable


class OwnSamples:
    """What the agent says of itself in each frame.

    Attributes:
        ticks: completed so far.
        skipped: left out so far.
        duration: seconds that the last tick took; None before the first.
        facts: further series and their values, such as the version.
        further: asked in each tick for what else the agent says of itself.
    """

    def __init__(self, table: SeriesTable) -> None:
        self.ticks = 0
        self.skipped = 0
        self.duration: float | None = None
        self.facts: dict[int, float] = {}
        self.further: Callable[[], Sequence[Reading]] = tuple
        self._ids = [table.intern(catalog.TICKS), table.intern(catalog.TICKS_SKIPPED)]
        self._duration_id = table.intern(catalog.TICK_DURATION)

    def reading(self) -> Reading:
        """Return the samples of this moment."""
        ids = [*self._ids, *self.facts]
        values = [float(self.ticks), float(self.skipped), *self.facts.values()]
        if self.duration is not None:
            ids.append(self._duration_id)
            values.append(self.duration)
        for reading in self.further():
            ids += reading.ids
            values += reading.values
        return Reading(ids, values)
