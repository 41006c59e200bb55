"""For how long something has been so: what is done about it waits until it lasts."""


class Lasting:
    """Follows one condition."""

    def __init__(self) -> None:
        self._since: float | None = None

    def take(self, *, holds: bool, time: float) -> float | None:
        """Take note of the condition; return for how many seconds it has held, None if it does not.

        Args:
            holds: whether it does now.
            time: Unix seconds; one before the beginning begins anew, as the clock was set.
        """
        if not holds:
            self._since = None
            return None
        if self._since is None or self._since > time:
            self._since = time
        return time - self._since

    def lasts(self, *, holds: bool, time: float, seconds: float) -> bool:
        """Take note of the condition and return whether it has held for so long."""
        held = self.take(holds=holds, time=time)
        return held is not None and held >= seconds
