"""Plain forecasts of the next minutes, each good for some kind of demand and bad for others."""

from typing import Final

import numpy as np

from agent.analysis.window import Column

_SPANS: Final = np.array([1.5, 3.0, 8.0, 20.0, 60.0, 240.0])
"""Minutes that means reach back to, exponentially."""

_DAMPED: Final = 0.96
"""What is left of a trend a minute later."""

_SLIGHT: Final = 0.05
"""Share of the usual level added on both sides of a ratio, which means nothing else at night."""

LEVELS: Final = 1 + len(_SPANS)
TRENDS: Final = 4
SEASONS: Final = 2 + len(_SPANS)
COUNT: Final = LEVELS + TRENDS + SEASONS
"""How many forecasts there are."""

NEWEST: Final = 0
"""The place of the newest value itself: persistence."""


class Candidates:
    """Follows a demand by the minute and says what each kind of forecast makes of it.

    - the newest value, and means over the last minutes: the demand stays as it is;
    - two means and the line through them, damped: a movement goes on for a while;
    - the season times what the last minutes were of it: the demand moves as usual.
    """

    def __init__(self) -> None:
        self._newest = 0.0
        self._means: Column | None = None
        self._seasons = np.zeros(len(_SPANS))
        self._season = 0.0

    def take(self, value: float, season: float | None, *, minutes: int) -> None:
        """Take over the value of a minute.

        Args:
            value: tokens a minute.
            season: what is usual at that time; None where that is not known.
            minutes: since the value before.
        """
        self._newest = value
        known = season is not None
        if self._means is None:
            self._means = np.full(len(_SPANS), value)
        gain = 1.0 - np.exp(-minutes / _SPANS)
        self._means += gain * (value - self._means)
        if season is not None:
            if self._season == 0.0:
                self._seasons[:] = self._means if not known else season
            self._seasons += gain * (season - self._seasons)
            self._season = season

    def ahead(self, minutes: Column, seasons: Column | None, usual: float) -> Column:
        """Return the forecasts, shape (horizons, COUNT).

        Args:
            minutes: the horizons.
            seasons: what is usual at each; None where that is not known.
            usual: mean of what is usual.
        """
        means = self._means
        if means is None:
            raise ValueError("nothing was taken yet")
        found = np.empty((len(minutes), COUNT))
        found[:, NEWEST] = self._newest
        found[:, 1:LEVELS] = means
        fast, slow = slice(0, TRENDS), slice(1, TRENDS + 1)
        slope = (means[fast] - means[slow]) / (_SPANS[slow] - _SPANS[fast])
        reach = (1.0 - _DAMPED**minutes) / (1.0 - _DAMPED)
        line = means[fast] + slope * (_SPANS[fast] + reach[:, None])
        found[:, LEVELS : LEVELS + TRENDS] = np.clip(line, 0.0, 3.0 * means[fast])
        if seasons is None:
            found[:, LEVELS + TRENDS] = self._newest
            found[:, LEVELS + TRENDS + 1 : -1] = means
            found[:, -1] = means[-1]
            return found
        slight = _SLIGHT * usual
        ratios = np.empty(SEASONS)
        ratios[0] = (self._newest + slight) / (self._season + slight)
        ratios[1:-1] = (means + slight) / (self._seasons + slight)
        ratios[-1] = 1.0
        scaled = np.minimum(ratios, 10.0) * (seasons[:, None] + slight) - slight
        found[:, LEVELS + TRENDS :] = np.maximum(scaled, 0.0)
        return found
