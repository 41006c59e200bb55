"""Time to first token, cold and warm apart.

The first requests after a start, or after a long idle, pay for what the others find ready: compiled
kernels, captured graphs, connections, clocks that have to rise. Their mean says nothing of the
requests that follow, and the other way round.
"""

from dataclasses import dataclass, field
from math import inf, isnan
from typing import Final

from agent.analysis.bins import Tally
from agent.analysis.window import Column

FIRST: Final = 4
"""Requests that count as cold; those that got their first token within one tick with the last of
them as well, as they cannot be told apart."""

IDLE: Final = 300.0
"""Seconds without a request after which the next ones are cold again."""

PATIENCE: Final = 60.0
"""Seconds after the first cold request in which the others must come."""

_HALF_LIFE: Final = 3600.0


@dataclass(slots=True)
class ColdStarts:
    """Sorts the requests of one replica.

    Attributes:
        cold: the first requests of the last occasion.
        warm: all others; one an hour old counts half.
        since: Unix seconds of the first cold request of the last occasion, None if there was none.
    """

    cold: Tally = field(default_factory=Tally)
    warm: Tally = field(default_factory=Tally)
    since: float | None = None
    _left: int = 0
    _begun: float = inf
    _busy: float = -inf
    _count: float = float("nan")
    _faded: float = -inf

    def tick(self, time: float, *, count: float, busy: bool) -> bool:
        """Take a tick and return whether the requests that it brought are cold.

        Args:
            time: Unix seconds.
            count: requests that have had their first token since the engine started.
            busy: requests run or wait.
        """
        if isnan(count):
            return False
        last, self._count = self._count, count
        restarted = count < last or (isnan(last) and count == 0)
        idle = time - self._busy >= IDLE and self._busy > -inf
        if restarted or (idle and (busy or count > last)):
            self._left, self._begun = FIRST, inf
        if busy or isnan(last) or count != last:
            self._busy = time
        fresh = count if restarted else count - last
        if not fresh > 0 or self._left <= 0:
            return False
        if self._begun == inf:
            self._begun = self.since = time
            self.cold = Tally()
        elif time - self._begun > PATIENCE:
            self._left = 0
            return False
        self._left -= int(fresh)
        return True

    def add(self, time: float, edges: Column, weights: Column, total: float, *, cold: bool) -> None:
        """Add the requests of a tick."""
        if cold:
            self.cold.add(edges, weights, total)
            return
        if time > self._faded > -inf:
            self.warm.fade(0.5 ** ((time - self._faded) / _HALF_LIFE))
        self._faded = time
        self.warm.add(edges, weights, total)
