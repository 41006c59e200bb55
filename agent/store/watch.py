"""Series whose changes somebody wants to hear of: asked about all at once, once a tick.

At nearly every tick nearly everything that rules look at stands still. One look at when each of
these series last changed says of all rules whether they have to be evaluated again.
"""

from collections.abc import Sequence
from typing import Final
from weakref import WeakSet

import numpy as np

from agent.store.changes import Changes
from agent.store.layout import Layout
from agent.store.rows import Places
from agent.store.series import Matcher, plain_name

_NONE: Final[Places] = np.empty(0, dtype=np.intp)


class Watched:
    """What some selectors find.

    Args:
        matchers: of each selector; each names a metric.

    Attributes:
        matchers: the same.
        names: of the metrics.
        ids: the series that each finds in the newest row.
        changed: number of the last row in which one of them changed, came or went.
    """

    __slots__ = ("__weakref__", "changed", "ids", "matchers", "names")

    def __init__(self, matchers: Sequence[tuple[Matcher, ...]]) -> None:
        self.matchers = matchers
        self.names = frozenset(map(plain_name, matchers))
        self.ids: list[tuple[int, ...]] = []
        self.changed = -1


class Watches:
    """All that is watched of one stream, for as long as somebody else holds it."""

    def __init__(self) -> None:
        self._all: WeakSet[Watched] = WeakSet()
        self._layout: Layout | None = None
        self._row = -1
        self._places = _NONE
        self._begins = _NONE
        self._ordered: list[Watched] = []

    def add(self, matchers: Sequence[tuple[Matcher, ...]], layout: Layout, row: int) -> Watched:
        """Watch what these selectors find from the newest row on, in which it counts as changed."""
        watched = Watched(matchers)
        watched.ids = [layout.select(one).ids for one in matchers]
        watched.changed = row
        self._all.add(watched)
        self._layout = None
        return watched

    def refresh(self, layout: Layout, changes: Changes) -> None:
        """Bring `changed` of all that is watched up to the newest row."""
        row = changes.rows - 1
        if row == self._row:
            return
        if layout is not self._layout:
            self._lay_out(layout, row)
        self._row = row
        if self._ordered:
            for watched, last in zip(
                self._ordered, changes.last(self._places, self._begins), strict=True
            ):
                watched.changed = max(watched.changed, last)

    def _lay_out(self, layout: Layout, row: int) -> None:
        """Find all series in a new layout."""
        parts: list[Places] = []
        begins: list[int] = []
        self._ordered = []
        count = 0
        for watched in self._all:
            found = [layout.select(matchers) for matchers in watched.matchers]
            ids = [one.ids for one in found]
            if ids != watched.ids:
                watched.ids, watched.changed = ids, row
            places = [one.places for one in found if one.ids]
            if places:
                self._ordered.append(watched)
                begins.append(count)
                parts += places
                count += sum(map(len, places))
        self._places = np.concatenate(parts) if parts else _NONE
        self._begins = np.array(begins, dtype=np.intp)
        self._layout = layout
