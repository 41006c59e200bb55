"""The shifts of latency that were told, so that each is told once; those of a day are kept."""

from collections import deque
from collections.abc import Iterator
from typing import Final

from agent.analysis.shifts import Shift
from agent.analysis.window import SPAN

KEPT_FOR: Final = 24 * 3600.0
"""Seconds after which a shift says nothing about the engine of now."""

MOST: Final = 32
"""Shifts that are kept, whatever their age."""

_SAME: Final = 1.3  # a level that differs less from the one that was told is no other
# A shift is found for as long as it is within the window; when it began is found anew each time.
_FOUND_FOR: Final = 2 * SPAN


class ToldShifts:
    """Remembers shifts, oldest first."""

    def __init__(self) -> None:
        self._told: deque[Shift] = deque(maxlen=MOST)

    def take(self, time: float, shift: Shift) -> bool:
        """Remember a shift that was found; return whether it is another than those told.

        Args:
            time: Unix seconds now.
            shift: as it was found.
        """
        last = next((one for one in reversed(self._told) if one.quantity == shift.quantity), None)
        if last is not None and 0 <= time - last.began < _FOUND_FOR and _alike(last, shift):
            return False
        self._told.append(shift)
        return True

    def forget(self, time: float) -> None:
        """Forget what is older than a day, or was told before the clock was set back as far."""
        if any(abs(time - one.began) > KEPT_FOR for one in self._told):
            kept = [one for one in self._told if abs(time - one.began) <= KEPT_FOR]
            self._told = deque(kept, maxlen=MOST)

    def __iter__(self) -> Iterator[Shift]:
        """Yield what was told."""
        return iter(self._told)


def _alike(one: Shift, other: Shift) -> bool:
    """Return whether two shifts lead to the same level."""
    return max(one.after / other.after, other.after / one.after) < _SAME
