"""What an engine reserved while it started, read off the memory of its GPU.

An engine loads its weights, measures what a step takes, and then reserves its KV cache at one
stroke; what it held before that stroke are its weights with the driver's context. Graphs that it
captures afterwards grow by and by. So the steps of the memory in use tell the parts apart, if the
agent was there to see them.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

NOISE: Final = 8.0 * 2**20
"""Bytes by which memory may move and still be level."""

_REMEMBERED: Final = 2048
_STROKE: Final = 3.0  # seconds that a reservation takes at most, as seen once a second
_REST: Final = 2.0  # seconds between two strokes, at least
_SMALLEST: Final = 128.0 * 2**20
_SHARE: Final = 0.05  # of all that an engine holds: less may be graphs or buffers
_AGREEMENT: Final = 0.10  # by which two ways to know the same amount may differ
_ALIKE: Final = 10.0  # times by which the changes within one stroke differ at most


class Levels:
    """The memory in use of one GPU since the agent began, as the moments at which it changed."""

    def __init__(self) -> None:
        self._moves: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        self.since: float | None = None

    def observe(self, time: float, used: float) -> None:
        """Take over what is in use, in bytes, at a time in seconds."""
        if self.since is None:
            self.since = time
        if not self._moves or abs(used - self._moves[-1][1]) > NOISE:
            self._moves.append((time, used))
            if len(self._moves) == _REMEMBERED:
                self.since = self._moves[0][0]

    def between(self, begin: float, end: float) -> list[tuple[float, float]] | None:
        """Return the level at `begin` and each change up to `end`; None if not all was seen."""
        if self.since is None or begin < self.since:
            return None
        before = [move for move in self._moves if move[0] <= begin]
        if not before:
            return None
        return [before[-1], *(move for move in self._moves if begin < move[0] <= end)]


@dataclass(frozen=True, slots=True)
class Start:
    """What a start reserved, in bytes on one GPU.

    Attributes:
        weights: held before the KV cache was reserved.
        kv_cache: the reservation.
    """

    weights: float
    kv_cache: float


@dataclass(frozen=True, slots=True)
class _Stroke:
    """A rise without a rest in it, and the largest of the changes that it is made of."""

    begin: float
    end: float
    low: float
    high: float
    largest: float


def reservation(
    moves: Sequence[tuple[float, float]], *, held: float, expected: float | None = None
) -> Start | None:
    """Return what a start reserved, or None where the moves do not tell.

    Args:
        moves: time in seconds and bytes in use: the level before the start, then each change.
        held: bytes that the engine holds at the end. Where the moves add up to something else,
            somebody else moved too, and nothing can be said.
        expected: bytes of the KV cache, if they are known in another way.
    """
    baseline = moves[0][1]
    if not _agree(moves[-1][1] - baseline, held):
        return None
    strokes = _strokes(moves)
    if expected is not None:
        # Whatever rose by as much as the reservation must be is it, however long it took.
        fitting = [one for one in strokes if _agree(one.high - one.low, expected)]
    else:
        least = max(_SMALLEST, _SHARE * held)
        fitting = [
            one for one in strokes if one.end - one.begin <= _STROKE and one.high - one.low >= least
        ]
    if not fitting or fitting[-1].low - baseline < NOISE:
        # What rose first of all holds the weights as well.
        return None
    last = fitting[-1]
    return Start(last.low - baseline, last.high - last.low)


def _strokes(moves: Sequence[tuple[float, float]]) -> list[_Stroke]:
    """Return the rises, each from where the memory last rested to where it rests next.

    Small changes after a large one, or before it, are another rise: graphs that are captured right
    after the reservation, or the last of the weights right before it.
    """
    strokes: list[_Stroke] = []
    for (_before, low), (time, high) in pairwise(moves):
        rise = high - low
        if rise <= 0:
            continue
        last = strokes[-1] if strokes else None
        if (
            last is not None
            and last.high == low
            and time - last.end <= _REST
            and max(rise, last.largest) <= _ALIKE * min(rise, last.largest)
        ):
            largest = max(rise, last.largest)
            strokes[-1] = _Stroke(last.begin, time, last.low, high, largest)
        else:
            strokes.append(_Stroke(time, time, low, high, rise))
    return strokes


def _agree(one: float, other: float) -> bool:
    """Return whether two amounts are about the same."""
    return abs(one - other) <= max(_AGREEMENT * max(one, other), _SMALLEST)
