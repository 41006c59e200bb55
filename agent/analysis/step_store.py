"""Keeps stretches of work by load, so that the common load does not drown the rest."""

from collections import deque
from collections.abc import Callable, Iterator
from math import isnan, log, log2
from typing import Final, NamedTuple

from agent.analysis.median import median_of
from agent.analysis.step_windows import Stretch

MAX_AGE: Final = 86_400.0
"""Seconds after which a stretch is forgotten: what a day does not show again is no longer so."""

CHANGED_FOR: Final = 12
"""Stretches in a row, a minute and more, by which a changed law is told from a disturbance."""

_EACH: Final = 6
_ALL: Final = 240
_SHIFT: Final = 0.10  # relative; less is within what the form of the law gets wrong


class Load(NamedTuple):
    """What stretches are told apart by: half octaves of the batch, octaves of the other two."""

    decode: int
    prefill: int
    kv: int


def load_of(stretch: Stretch) -> Load:
    """Return the bucket of a stretch; tokens held are taken by sequence."""
    held = 0.0 if isnan(stretch.kv) else stretch.kv / (stretch.decode + 1.0)
    return Load(
        round(2 * log2(stretch.decode + 1.0)),
        round(log2(stretch.prefill + 1.0)),
        round(log2(held + 1.0)),
    )


class StepStore:
    """The newest stretches of each load.

    A law that changes (clocks, a restart with other flags) shows in the same loads taking longer or
    shorter than before, again and again; what is older than the change is then forgotten. Loads
    that were never seen say nothing of a change: there it is the model that may be wrong.

    Attributes:
        changed: Unix seconds of the last change of the law, None if there was none.
    """

    def __init__(self) -> None:
        self._buckets: dict[Load, deque[Stretch]] = {}
        self._shifts: deque[tuple[float, float]] = deque(maxlen=CHANGED_FOR)
        self.changed: float | None = None

    def add(self, stretch: Stretch, expected: Callable[[Stretch], float] | None = None) -> bool:
        """Take a stretch and drop those that it makes obsolete.

        Args:
            stretch: the newest.
            expected: seconds of a step at the load of a stretch, as far as known.

        Returns:
            Whether the law has changed with it.
        """
        key = load_of(stretch)
        peers = self._buckets.setdefault(key, deque(maxlen=_EACH))
        if expected is not None and len(peers) > 1:
            usual = median_of(log(peer.seconds / expected(peer)) for peer in peers)
            now = log(stretch.seconds / expected(stretch))
            self._shifts.append((stretch.time, now - usual))
        peers.append(stretch)
        changed = self._has_changed()
        if changed:
            self.changed = self._shifts[0][0]
            self._forget(self.changed)
            self._shifts.clear()
        self._forget(stretch.time - MAX_AGE)
        while len(self) > _ALL:
            oldest = min(self._buckets, key=lambda one: self._buckets[one][0].time)
            self._buckets[oldest].popleft()
            if not self._buckets[oldest]:
                del self._buckets[oldest]
        return changed

    def items(self) -> Iterator[tuple[Load, Stretch]]:
        """Yield the stretches with their loads."""
        for key, bucket in self._buckets.items():
            for stretch in bucket:
                yield key, stretch

    def __len__(self) -> int:
        """Return how many stretches there are."""
        return sum(map(len, self._buckets.values()))

    def _has_changed(self) -> bool:
        """Return whether the last stretches all took longer, or all shorter, than their peers."""
        if len(self._shifts) < CHANGED_FOR:
            return False
        shifts = [shift for _time, shift in self._shifts]
        alike = min(shifts) > _SHIFT / 2 or max(shifts) < -_SHIFT / 2
        return alike and abs(median_of(shifts)) > _SHIFT

    def _forget(self, before: float) -> None:
        """Drop the stretches that ended before a time."""
        for key, bucket in list(self._buckets.items()):
            while bucket and bucket[0].time < before:
                bucket.popleft()
            if not bucket:
                del self._buckets[key]
