"""How long to leave something alone that failed, on a clock that is given."""

from collections.abc import Callable


class Backoff:
    """Doubles the pause with each failure, up to a limit.

    Args:
        monotonic: seconds on a clock that never goes back.
        first: the first pause, in seconds.
        limit: the longest pause.
        healthy_after: after this long without failure the next pause is the first one again.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        first: float,
        limit: float,
        healthy_after: float,
    ) -> None:
        self._monotonic = monotonic
        self._first = first
        self._limit = limit
        self._healthy_after = healthy_after
        self._pause = 0.0
        self._until = 0.0

    @property
    def remaining(self) -> float:
        """Seconds still to be left alone; 0 when it may be tried."""
        return max(0.0, self._until - self._monotonic())

    @property
    def is_counting(self) -> bool:
        """Whether there was a failure that is not forgotten."""
        return self._pause > 0.0

    def failed(self) -> None:
        """Take note of a failure now."""
        now = self._monotonic()
        if not self._pause or now - self._until >= self._healthy_after:
            self._pause = self._first
        else:
            self._pause = min(self._pause * 2, self._limit)
        self._until = now + self._pause

    def reset(self) -> None:
        """Forget all failures."""
        self._pause = self._until = 0.0
