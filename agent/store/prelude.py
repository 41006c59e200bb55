"""What the runs before left within the look back of this one.

For five minutes after a quick restart an instant query may give a series that only the run before
had: nothing says that it has ended. On most hosts there is none, and to know that once costs less
than to ask the disk at every tick.
"""

import math
from collections.abc import Collection
from typing import Final

from agent.store.database import HistoryError
from agent.store.reader import HistoryReader
from agent.store.series import Labels, Matcher, MatchOp

LOOK_BACK: Final = 300_000
"""Milliseconds for which a sample stands for its series, unless a query says otherwise."""

_ALL: Final = (Matcher("__name__", MatchOp.NOT_EQUAL, ""),)


class Prelude:
    """Looks once at what is stored.

    Args:
        reader: of the file, before this run writes to it; None where there is none.
        now: milliseconds. What ended longer ago is not looked at in detail.
        unknown: another agent is writing there.

    Attributes:
        until: last moment that is stored, in milliseconds; minus infinity where nothing is, and
            infinity where that is not known.
    """

    def __init__(self, reader: HistoryReader | None, now: float, *, unknown: bool = False) -> None:
        self.until = math.inf if unknown else -math.inf
        self._series: dict[str, set[Labels]] | None = None
        if reader is None:
            return
        try:
            stored = reader.stored()
            ends = [span[1] for span in (stored.full, stored.five) if span]
            self.until = max(ends, default=-math.inf)
            if ends and now - self.until <= LOOK_BACK:
                self._series = _series(reader, self.until)
        except (HistoryError, OSError):  # the writer says what is wrong with it
            return

    def nothing_but(self, name: str, labels: Collection[Labels], start: int) -> bool:
        """Return whether all that is stored under a name after a moment is among some series.

        Args:
            name: of the metric.
            labels: the series.
            start: milliseconds.
        """
        if self._series is None or start < self.until - LOOK_BACK:
            return False
        return self._series.get(name, set()).issubset(labels)

    def forget(self, now: int) -> None:
        """Let go of the series once nobody looks back to them.

        Args:
            now: milliseconds.
        """
        if now > self.until + LOOK_BACK:
            self._series = None


def _series(reader: HistoryReader, until: float) -> dict[str, set[Labels]]:
    """Return the series with samples within the look back of the last moment, by name."""
    found: dict[str, set[Labels]] = {}
    for series in reader.select(_ALL, (until - LOOK_BACK) / 1000, until / 1000 + 300.0):
        name = next(value for key, value in series.labels if key == "__name__")
        found.setdefault(name, set()).add(series.labels)
    return found
