"""How much proof a forecast needs after forecasts that did not come true."""

from typing import Final

from agent.analysis.forecasts.passage import LIKELY, Interval

SOON: Final = 120.0
"""Seconds: nearer estimates than this are put to the test."""

_PATIENCE: Final = 60.0
_FORGIVEN: Final = 3600.0


class Doubt:
    """Raises the share of paths that must agree each time that nothing came of a near forecast.

    A load that rises and falls again and again, or that swings high without ever going over, looks
    like the beginning of the end each time. After one such time three paths in four must agree
    instead of one in two, then seven in eight; each hour halves the doubt, and so does a
    forecast that comes true.
    """

    def __init__(self) -> None:
        self._wrong = 0.0
        self._due: float | None = None
        self._time: float | None = None

    def likely(self, time: float) -> float:
        """Return the share of paths that must reach the limit within the horizon."""
        if self._time is not None and time > self._time:
            self._wrong *= 0.5 ** ((time - self._time) / _FORGIVEN)
        self._time = time
        if self._due is not None and time > self._due:
            self._wrong += 1.0
            self._due = None
        return float(1.0 - (1.0 - LIKELY) * 0.5**self._wrong)

    def take(self, time: float, foreseen: Interval | None) -> None:
        """Remember a forecast, or see that one has come true."""
        if foreseen is None:
            return
        if foreseen.estimate <= 0.0:
            if self._due is not None:
                self._wrong *= 0.5
            self._due = None
        elif foreseen.estimate < SOON and self._due is None:
            self._due = time + 2.0 * foreseen.estimate + _PATIENCE
