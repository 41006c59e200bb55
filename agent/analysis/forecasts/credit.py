"""How far the probability of an exhaustion is believed after what it has claimed so far."""

from collections import deque
from typing import Final

_WORTH: Final = 0.15
_FORGOTTEN: Final = 7200.0
_LONGEST_GAP: Final = 60.0


class Credit:
    """Weighs a probability by what became of those before it.

    A probability p that stands for a while claims p exhaustions for each `within` seconds of that
    while. What was claimed and did not come counts against the odds of the next one, by the
    posterior mean of a rate under a Gamma prior: 0.15 exhaustions are taken to have come as
    claimed. A load that often looks as if it would fill the cache, and never does, is warned of
    ever less; one that begins to rise has claimed nothing yet that is overdue, and is warned of in
    full. It is the odds that shrink, not the probability: what was wrong is how often such a rise
    is a real one, and what all courses agree on stays certain whatever a few of them claimed
    before. Two hours halve what was claimed in vain, and an exhaustion that comes settles it.

    Args:
        within: seconds within which a probability says that the exhaustion comes.
    """

    def __init__(self, *, within: float) -> None:
        self._within = within
        self._pending: deque[tuple[float, float]] = deque()
        self._overdue = 0.0
        self._last: tuple[float, float] | None = None

    @property
    def pending(self) -> int:
        """How many claims are not due yet."""
        return len(self._pending)

    def weigh(self, time: float, chance: float) -> float:
        """Return the probability that is left of one that is calculated now.

        Args:
            time: Unix seconds.
            chance: the probability, from 0 to 1.
        """
        if self._last is not None:
            then, before = self._last
            if time < then:  # a clock that was set
                self._pending.clear()
            passed = max(time - then, 0.0)
            self._overdue *= _left(passed)
            stood = min(passed, _LONGEST_GAP)
            if before > 0.0 and stood > 0.0:
                due = then + stood + self._within
                self._pending.append((due, before * stood / self._within))
        self._last = (time, chance)
        while self._pending and self._pending[0][0] <= time:
            due, claimed = self._pending.popleft()
            self._overdue += claimed * _left(time - due)
        worth = chance * (_WORTH / (_WORTH + self._overdue))
        return min(worth / (worth + (1.0 - chance)), chance) if worth > 0.0 else 0.0

    def come(self, time: float) -> None:
        """Take note that the cache is exhausted: what was claimed is true."""
        self._pending.clear()
        self._overdue = 0.0
        self._last = (time, 0.0)


def _left(seconds: float) -> float:
    """Return the share of what was claimed in vain that counts so long after it was due."""
    return float(0.5 ** (seconds / _FORGOTTEN))
