"""How many requests come, and whether more and more do."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.window import Column

BIN: Final = 5.0
"""Seconds of one count."""

LINES: Final = 16
"""Lines that are drawn."""

_SPANS: Final = np.array([3, 4, 6, 8, 11, 15, 20, 27, 36, 48], dtype=np.intp)
_BREAK: Final = 8.0
_DOUBLING: Final = 120.0
_TOWERS: Final = 2.0
_FEW: Final = 4.0
_DRAWN: Final = (np.arange(LINES) + 0.5) / LINES


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Lines through the newest counts, each drawn as often as the counts speak for it.

    Attributes:
        middle: requests a second in the middle of the span, shape (LINES,), as all others.
        middle_error: its standard error.
        slope: requests a second, each second.
        slope_error: its standard error.
        span: seconds that the line was fitted to.
        usual: requests a second over all counts; NaN for a line through all of them.
        dispersion: variance of the counts about the lines against that of a Poisson process.
    """

    middle: Column
    middle_error: Column
    slope: Column
    slope_error: Column
    span: Column
    usual: Column
    dispersion: float

    @property
    def rate(self) -> float:
        """Requests a second now, the mean over the lines."""
        return float(np.maximum(self.middle + 0.5 * self.slope * self.span, 0.0).mean())


def arrivals(counts: Column) -> Arrivals:
    """Return lines through the newest counts.

    Either one line explains all counts, or there was a break: a line before it, a line after it.
    Either line may be level. How well each explains the square roots of the counts (those of a
    Poisson process all have the variance 1/4), less a price for each parameter, says how likely it
    is (the Bayesian information criterion): where a trend cannot be told from none yet, some lines
    have it and some have not. What is scattered more or less than Poisson is measured by the
    differences of neighbours, which neither trend nor step adds much to.

    Args:
        counts: requests in consecutive bins of `BIN` seconds, oldest first; at least one.
    """
    counts = lasting(counts)
    many = len(counts)
    # Newest first, so that the spans all begin at index 0.
    newest = counts[::-1]
    roots = 2.0 * np.sqrt(newest + 0.375)
    noise = 1.0
    if many > 1:
        steps = np.diff(roots)
        noise = (0.5 * float(steps @ steps) + 4.0) / (many + 3.0)
    spans = np.append(_SPANS[many - 3 > _SPANS], many)
    level, line = _misfit(roots, spans)
    before = np.zeros(len(spans))
    if len(spans) > 1:
        flat, sloped = _misfit(roots[::-1], many - spans[:-1])
        before[:-1] = np.minimum(flat, sloped + np.log(many - spans[:-1]) * noise) + _BREAK * noise
    costs = np.concatenate((before + level, before + line + np.log(spans) * noise)) / noise
    weights = np.cumsum(np.exp(-0.5 * (costs - costs.min())))
    at = np.searchsorted(weights, _DRAWN * weights[-1])
    drawn = spans[at % len(spans)]
    return _lines(newest, drawn, level=at < len(spans))


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
    sums, squares, moments, spread = _moments(values, spans)
    flat = squares - sums * sums / spans
    return flat, flat - moments * moments / spread


def _moments(values: Column, spans: NDArray[np.intp]) -> tuple[Column, Column, Column, Column]:
    """Return sum, squares, first moment about the middle, and the squares of that, of each span."""
    sums = np.cumsum(values)[spans - 1]
    squares = np.cumsum(values * values)[spans - 1]
    moments = np.cumsum(values * np.arange(len(values)))[spans - 1]
    spread = np.maximum(spans * (spans * spans - 1.0) / 12.0, 0.5)
    return sums, squares, moments - 0.5 * (spans - 1) * sums, spread


def _lines(newest: Column, spans: NDArray[np.intp], *, level: NDArray[np.bool_]) -> Arrivals:
    """Return the lines through so many of the newest counts; the slope of a level one is 0."""
    total, squares, moment, spread = _moments(newest, spans)
    seconds = spans * BIN
    middle = total / seconds
    # Half a request more, so that nothing seen is not surely nothing.
    error = np.sqrt(total + 0.5) / seconds
    steep = -moment / spread
    mean = np.maximum(total / spans, 0.1)
    off = squares - total * total / spans - np.where(level, 0.0, moment * moment / spread)
    dispersion = (off / mean + 8.0) / (np.maximum(spans - 2, 0) + 8.0)
    slope_error = np.sqrt(dispersion * mean / spread) / (BIN * BIN)
    # A slope is believed as far as it stands out (Bayes: a rate may double in two minutes).
    prior = (middle + error) / _DOUBLING
    trust = prior * prior / (prior * prior + slope_error * slope_error)
    return Arrivals(
        middle,
        error * np.sqrt(dispersion),
        np.where(level, 0.0, steep / (BIN * BIN) * trust),
        np.where(level, 0.0, slope_error * np.sqrt(trust)),
        seconds.astype(np.float64),
        np.where(spans < len(newest), float(newest.mean()) / BIN, np.nan),
        float(dispersion.mean()),
    )
