"""How much of a demand is known, and what that allows to be said."""

from enum import StrEnum
from typing import Final

from agent.analysis.demand.profile import FEWEST_DAYS
from agent.analysis.demand.season import USUAL

HOUR_OF_DAYS: Final = 1.0 / 24.0


class Maturity(StrEnum):
    """What is long enough: nothing, some hours, days, or weeks."""

    NONE = "none"
    HOURS = "hours"
    DAYS = "days"
    WEEKS = "weeks"


def maturity_of(days: float) -> Maturity:
    """Return what so many days' worth of demand amount to."""
    if days < HOUR_OF_DAYS:
        return Maturity.NONE
    if days < FEWEST_DAYS:
        return Maturity.HOURS
    return Maturity.DAYS if days < USUAL else Maturity.WEEKS


def sentence(days: float, *, weeks_of_growth: int) -> str:
    """Return what so many days' worth of demand allow, and what they do not.

    Args:
        days: that are known.
        weeks_of_growth: whole weeks that the growth rests on, 0 where there is none yet.
    """
    match maturity_of(days):
        case Maturity.NONE:
            return "less than an hour of demand is known: nothing is foreseen yet"
        case Maturity.HOURS:
            hours = round(24.0 * days)
            known = "1 hour of demand is" if hours == 1 else f"{hours} hours of demand are"
            return f"{known} known: the next hour is foreseen; the time of day from two days on"
        case Maturity.DAYS:
            return (
                f"{days:.1f} days of demand are known: the time of day is foreseen; what is usual "
                "at a time of the week from 14 days on, growth from three whole weeks on"
            )
        case Maturity.WEEKS:
            known = f"{days / 7.0:.1f} weeks of demand are known: the time of the week is foreseen"
            if not weeks_of_growth:
                return f"{known}; growth from three whole weeks on"
            return f"{known}, and growth by {weeks_of_growth} whole weeks"
