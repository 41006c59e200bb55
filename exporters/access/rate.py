"""A token bucket."""

from agent.model import Clock


class Bucket:
    """Lets so many requests pass in a time, and a few more at once.

    Args:
        interval: seconds after which one more may pass; 0 for any number.
        burst: that may pass at once, after a quiet time.
        clock: what the time is.
    """

    def __init__(self, *, interval: float, burst: int, clock: Clock) -> None:
        self._interval = interval
        self._burst = float(burst)
        self._clock = clock
        self._tokens = float(burst)
        self._filled = clock.monotonic()

    def take(self) -> bool:
        """Return whether one more may pass now."""
        if not self._interval:
            return True
        now = self._clock.monotonic()
        gained = (now - self._filled) / self._interval
        self._tokens = min(self._burst, self._tokens + gained)
        self._filled = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
