"""The next hour: several forecasts, blended by what each was worth, within past errors."""

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np

from agent.analysis.demand.blend import Blend
from agent.analysis.demand.candidates import COUNT, LEVELS, TRENDS, Candidates
from agent.analysis.demand.errors import Errors
from agent.analysis.demand.week import MINUTE
from agent.analysis.window import Column

LADDER: Final = (5, 15, 60)
"""Minutes ahead that are foreseen, beside the one that is asked for."""

Ahead: TypeAlias = tuple[float, float, float]
"""Estimate, low and high, in tokens a minute; the ends are NaN while too few errors are known."""

_BACK: Final = 60  # minutes that the clock may go back before the hour is begun anew


def _prior() -> Column:
    """Return the weights before anything is known: short means, and the season by them."""
    weights = np.zeros(COUNT)
    season = LEVELS + TRENDS
    weights[[2, 3, season + 2, season + 3]] = 0.25
    return weights


class NextMinutes:
    """Foresees the minutes of the next hour.

    Args:
        horizon: minutes ahead, 1 to 60, beside those of the ladder.
    """

    def __init__(self, horizon: int) -> None:
        self.minutes = np.array(sorted({*LADDER, horizon}))
        many = len(self.minutes)
        self._candidates = Candidates()
        self._blend = Blend(self.minutes, _prior())
        self._errors = Errors(many)
        self._rows = np.arange(many)
        self._keep = int(self.minutes.max()) + 1
        self._ends = np.full((2, many, self._keep), np.nan)
        self._newest: int | None = None
        self._said: tuple[Column, Column, Column] | None = None

    def take(
        self, minute: int, value: float, season: Callable[[float], float | None], usual: float
    ) -> None:
        """Take over a minute; one that was there already is left out.

        Args:
            minute: its number.
            value: tokens a minute in it.
            season: what is usual at a moment in Unix seconds.
            usual: mean of that.
        """
        passed = 1
        if self._newest is not None:
            passed = minute - self._newest
            if passed <= 0 and passed > -_BACK:
                return
            if passed <= 0:
                self._blend.forget()
        self._newest = minute
        said = self._blend.judge(minute, value)
        low, high = self._ends[:, self._rows, (minute - self.minutes) % self._keep]
        self._errors.take(said, low, high, value)
        middle = (minute + 0.5) * MINUTE
        self._candidates.take(value, season(middle), minutes=max(passed, 1))
        ahead = [season(middle + MINUTE * float(step)) for step in self.minutes]
        known = np.array([step for step in ahead if step is not None])
        seasons = known if len(known) == len(ahead) else None
        estimate = self._blend.say(minute, self._candidates.ahead(self.minutes, seasons, usual))
        low, high = self._errors.around(estimate)
        self._ends[:, :, minute % self._keep] = low, high
        self._said = (estimate, low, high)

    @property
    def newest(self) -> int | None:
        """The number of the newest minute, None before the first."""
        return self._newest

    def ahead(self, minutes: float) -> Ahead | None:
        """Return what is foreseen so far after the newest minute; None before the first.

        Args:
            minutes: between steps of the ladder in a straight line, nearer than the first as it.
        """
        if self._said is None:
            return None
        estimate, low, high = (
            float(np.interp(minutes, self.minutes, values)) for values in self._said
        )
        return estimate, low, high
