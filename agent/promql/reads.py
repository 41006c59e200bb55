"""What an evaluation looked at, so that it need not be done again while that stands."""

import math
from dataclasses import dataclass, field

from agent.store.recent import Columns, Newest
from agent.store.series import Matcher, milliseconds


@dataclass(slots=True)
class Reads:
    """What an evaluation at one time looked at.

    Attributes:
        matchers: what chose the series, of those operands that were evaluated.
        steady: the result is the same at every later tick until one of these series changes, comes
            or goes.
        shortest: how far the shortest range reaches back behind the newest tick, milliseconds; each
            had two samples at least.
    """

    matchers: dict[tuple[Matcher, ...], None] = field(default_factory=dict)
    steady: bool = True
    shortest: float = math.inf

    def newest(self, matchers: tuple[Matcher, ...], found: Newest | None) -> None:
        """Take note of an instant selector and what was found for it."""
        if found is None:
            self.steady = False
        else:
            self.matchers[matchers] = None

    def columns(
        self, matchers: tuple[Matcher, ...], start: int, found: tuple[Columns, ...] | None
    ) -> None:
        """Take note of a range selector that begins after a time and what was found for it."""
        if found is None or not all(it.constant and len(it.times) > 1 for it in found):
            self.steady = False
            return
        self.matchers[matchers] = None
        for columns in found:
            # A range that ends in the future has its samples in the part that is over.
            self.shortest = min(self.shortest, milliseconds(columns.times[-1]) - start)
