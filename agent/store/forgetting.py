"""Series that come and go are forgotten, so that a host of short-lived processes costs no memory.

Which those are follows from their metric: process numbers and the like make ever new series, and
so may whatever rules write. All others there are as many of as the host has parts, and whoever
gives them may keep their identifiers for good.
"""

from collections.abc import Callable, Iterable
from typing import Final

from agent.catalog import METRICS
from agent.model import Metric, SeriesTable

PASSING: Final = frozenset({"pid", "interface"})
"""Labels whose values come and go while the agent runs.

Who gives series with one of them interns them anew, unless its last reading has them.
"""

EVERY: Final = 300.0
"""Seconds between two looks; a series of any frame in between is still in memory then."""

AFTER: Final = 600.0
"""Seconds for which a series must have been out of use.

The history in memory names it for more than five minutes after its last frame, so it has been in
no frame for fifteen at least.
"""


class Forgetting:
    """Forgets series of one table that nobody has named for a while.

    Args:
        table: of the run.
        in_use: returns the series that are named now, by each part that may name any.
    """

    def __init__(
        self, table: SeriesTable, *, in_use: Callable[[], Iterable[Iterable[int]]]
    ) -> None:
        self._table = table
        self._in_use = in_use
        self._used_at: dict[int, float] = {}
        self._passing: dict[Metric, bool] = {}
        self._due = float("-inf")

    def tick(self, now: float) -> None:
        """Look if it is time to.

        Args:
            now: seconds on a monotonic clock.
        """
        if now < self._due:
            return
        self._due = now + EVERY
        used = set[int]().union(*self._in_use())
        table = self._table
        # From before to now: what was forgotten is no longer in the table.
        known = {i: self._used_at.get(i, now) for i in table if self._passes(table[i].metric)}
        known.update((i, now) for i in used if i in known)
        old = [i for i, then in known.items() if now - then >= AFTER]
        for series_id in old:
            del known[series_id]
        self._used_at = known
        table.forget(old)

    def _passes(self, metric: Metric) -> bool:
        """Return whether the series of a metric come and go."""
        found = self._passing.get(metric)
        if found is None:
            named = not PASSING.isdisjoint(metric.labels)
            found = self._passing[metric] = named or METRICS.get(metric.name) is not metric
        return found
