"""How many requests come, and whether more and more do."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.window import Column

BIN: Final = 5.0
"""Seconds of one count."""

_SPANS: Final = np.array([3, 4, 6, 8, 11, 15, 20, 27, 36, 48], dtype=np.intp)
_PENALTY: Final = 4.0
_DOUBLING: Final = 120.0
_TOWERS: Final = 2.0
_FEW: Final = 4.0


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A line through the newest counts, as many of them as one line explains.

    Attributes:
        middle: requests a second in the middle of the span.
        middle_error: its standard error.
        slope: requests a second, each second.
        slope_error: its standard error.
        span: seconds that the line was fitted to.
        dispersion: variance of the counts about the line against that of a Poisson process.
        usual: requests a second over all counts where the line is not all of them, else None.
    """

    middle: float
    middle_error: float
    slope: float
    slope_error: float
    span: float
    dispersion: float
    usual: float | None = None

    @property
    def rate(self) -> float:
        """Requests a second at the end of the span."""
        return max(self.middle + 0.5 * self.slope * self.span, 0.0)


def arrivals(counts: Column) -> Arrivals:
    """Return the line through the newest counts.

    Either one line explains all counts, or there was a break: a line before it, a line after it.
    Either line may be level. What explains the square roots of the counts best decides (those of a
    Poisson process all have the variance 1/4), each parameter against a price, so that a step of
    the load is a step and not a trend. What is scattered more or less than Poisson is measured by
    the differences of neighbours, which neither trend nor step adds much to.

    Args:
        counts: requests in consecutive bins of `BIN` seconds, oldest first; at least one.
    """
    counts = lasting(counts)
    many = len(counts)
    # Newest first, so that the spans all begin at index 0.
    roots = 2.0 * np.sqrt(counts[::-1] + 0.375)
    noise = 1.0
    if many > 1:
        steps = np.diff(roots)
        noise = (0.5 * float(steps @ steps) + 4.0) / (many + 3.0)
    spans = _SPANS[many - 3 > _SPANS]
    level, line = _misfit(roots, np.append(spans, many))
    before = np.zeros(len(spans) + 1)
    if len(spans):
        flat, sloped = _misfit(roots[::-1], many - spans)
        before[:-1] = np.minimum(flat, sloped + _PENALTY * noise) + 2.0 * _PENALTY * noise
    cost_level, cost_line = before + level, before + line + _PENALTY * noise
    at = int(np.minimum(cost_level, cost_line).argmin())
    span = int(np.append(spans, many)[at])
    found = _line(counts[many - span :], level=bool(cost_level[at] <= cost_line[at]))
    return found if span == many else replace(found, usual=float(counts.mean()) / BIN)


def lasting(counts: Column) -> Column:
    """Return counts of which a single one that towers over both of its neighbours is cut.

    Many requests at a time are no rate at which more will come: they run by now, and are counted
    there. What goes on is seen in the next bin.
    """
    if len(counts) < 2:  # noqa: PLR2004 - one has no neighbour
        return counts
    before = np.append(counts[1], counts[:-1])
    after = np.append(counts[1:], counts[-2])
    cut: Column = np.minimum(counts, _TOWERS * np.maximum(before, after) + _FEW)
    return cut


def _misfit(values: Column, spans: NDArray[np.intp]) -> tuple[Column, Column]:
    """Return the squares left by a level and by a line through the first so many values."""
    sums = np.cumsum(values)[spans - 1]
    squares = np.cumsum(values * values)[spans - 1]
    moments = np.cumsum(values * np.arange(len(values)))[spans - 1]
    flat = squares - sums * sums / spans
    spread = np.maximum(spans * (spans * spans - 1.0) / 12.0, 0.5)
    slope = (moments - 0.5 * (spans - 1) * sums) / spread
    return flat, flat - slope * slope * spread


def _line(counts: Column, *, level: bool) -> Arrivals:
    """Return the line through counts; its slope is 0 where they are `level`, and is not sure."""
    many = len(counts)
    total = float(counts.sum())
    seconds = many * BIN
    middle = total / seconds
    # Half a request more, so that nothing seen is not surely nothing.
    error = (total + 0.5) ** 0.5 / seconds
    spread = many * (many * many - 1.0) / 12.0
    if spread <= 0:
        return Arrivals(middle, error, 0.0, 0.0, seconds, 1.0)
    at = np.arange(many) - 0.5 * (many - 1)
    steep = float(at @ counts) / spread
    off = counts - total / many - steep * at
    mean = max(total / many, 0.1)
    dispersion = (float(off @ off) / mean + 8.0) / (max(many - 2, 0) + 8.0)
    slope_error = (dispersion * mean / spread) ** 0.5 / (BIN * BIN)
    # A slope is believed as far as it stands out (Bayes: a rate may double in two minutes).
    prior = (middle + error) / _DOUBLING
    trust = prior * prior / (prior * prior + slope_error * slope_error)
    return Arrivals(
        middle,
        error * dispersion**0.5,
        0.0 if level else steep / (BIN * BIN) * trust,
        slope_error * trust**0.5,
        seconds,
        dispersion,
    )
