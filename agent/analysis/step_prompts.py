"""Whether a replica is computing prompts at a tick, which no engine says directly."""

from collections import deque
from math import isnan
from typing import Final

_LATELY: Final = 120  # ticks
_STEADY: Final = 5  # ticks


class PromptsUnderWay:
    """Tells whether a replica computes prompts of which no page says how far they are.

    A request runs from its admission on and has its first token when its prompt is computed: those
    that run less those between first and last token are at their prompts. Requests that were given
    up have a first token and no end; their number is the most that the difference came to lately.
    Where requests are thrown out, which then answer and do not run, nothing can be told.

    Attributes:
        none: no prompt is under way, as far as can be told.
        steady: there has been one at each tick for a while.
    """

    def __init__(self) -> None:
        # Those of the last ticks that no later one has reached: the first is the highest.
        self._highest: deque[tuple[int, float]] = deque()
        self._seen = 0
        self._ticks = 0
        self._blind = 0
        self.none = True

    @property
    def steady(self) -> bool:
        """Whether there has been a prompt under way at each tick for a while."""
        return self._ticks >= _STEADY

    def tick(self, answering_not_running: float, *, preempted: bool) -> None:
        """Take a tick.

        Args:
            answering_not_running: requests with a first token, less those ended, less those that
                run.
            preempted: requests were thrown out.
        """
        self._blind = _LATELY if preempted else max(0, self._blind - 1)
        if self._blind or isnan(answering_not_running):
            self._highest.clear()
            self.none = True
        else:
            self.none = answering_not_running >= self._most(answering_not_running)
        self._ticks = 0 if self.none else self._ticks + 1

    def _most(self, newest: float) -> float:
        """Return the most of the last ticks, the newest included."""
        highest = self._highest
        while highest and highest[-1][1] <= newest:
            highest.pop()
        self._seen += 1
        highest.append((self._seen, newest))
        if highest[0][0] <= self._seen - _LATELY:
            highest.popleft()
        return highest[0][1]
