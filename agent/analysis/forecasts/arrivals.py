"""How many requests come, and whether more and more do."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.forecasts.clumps import lasting
from agent.analysis.forecasts.stretches import (
    RAREST,
    SCATTER,
    Stretches,
    deviance,
    dispersion,
    noise_of,
)
from agent.analysis.window import Column

LINES: Final = 16
"""Lines that are drawn."""

_SPANS: Final = np.round(np.geomspace(15.0, 240.0, 21)).astype(np.intp)
_SHORTEST: Final = 15
_BREAK: Final = 8.0 + 2.0 * np.log(len(_SPANS) / 10.0)  # the more places, the less likely each
_DOUBLING: Final = 120.0
_HALF: Final = 0.5
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


def arrivals(counts: Column, *, apart: float = 1.0) -> Arrivals:
    """Return lines through the newest counts.

    Either one line explains all counts, or there was a break: a line before it, a line after it.
    Either line may be level. How well each explains them (`stretches`), less a price for each
    parameter, says how likely it is (the Bayesian information criterion): where a trend cannot be
    told from none yet, some lines have it and some have not. What is scattered more or less than
    Poisson is measured by the differences of neighbouring counts of some seconds, which neither
    trend nor step adds much to. What came at a time is cut first (`clumps`).

    Args:
        counts: requests in consecutive seconds, oldest first; at least one.
        apart: seconds between the looks that the counts are from.
    """
    many = len(counts)
    stride = max(round(apart), 1)
    # Newest first, so that the spans all begin at index 0.
    raw = np.asarray(counts[::-1], dtype=np.float64)
    noise = noise_of(raw, stride)
    newest = lasting(raw, noise=noise)
    if newest is not raw:
        noise = noise_of(newest, stride)
    sums = Stretches(newest)
    spans = np.append(_SPANS[many - _SHORTEST > _SPANS], many)
    breaks = spans[:-1]
    begin = np.append(np.zeros_like(spans), breaks)
    end = np.append(spans, np.full_like(breaks, many))
    level, line = deviance(sums, begin, end)
    line = line + _price(end - begin) * noise
    before = np.zeros(len(spans))
    before[:-1] = np.minimum(level, line)[len(spans) :] + _BREAK * noise
    costs = np.concatenate((before + level[: len(spans)], before + line[: len(spans)])) / noise
    weights = np.cumsum(np.exp(-0.5 * (costs - costs.min())))
    at = np.searchsorted(weights, _DRAWN * weights[-1])
    drawn = spans[at % len(spans)]
    return _lines(sums, drawn, level=at < len(spans))


def _price(spans: NDArray[np.intp]) -> Column:
    """Return what one parameter more costs in so many seconds."""
    price: Column = np.log(np.maximum(spans / SCATTER, 1.0))
    return price


def _lines(sums: Stretches, spans: NDArray[np.intp], *, level: NDArray[np.bool_]) -> Arrivals:
    """Return the lines through so many of the newest counts; the slope of a level one is 0."""
    total, moment, spread = sums.of(np.zeros_like(spans), spans)
    middle = total / spans
    # Half a request more, so that nothing seen is not surely nothing.
    error = np.sqrt(total + _HALF) / spans
    steep = np.where(level, 0.0, -moment / spread)
    scatter = dispersion(sums.newest, spans, total, steep * steep * spread)
    slope_error = np.sqrt(scatter * np.maximum(middle, RAREST) / spread)
    # A slope is believed as far as it stands out (Bayes: a rate may double in two minutes).
    prior = (middle + error) / _DOUBLING
    trust = prior * prior / (prior * prior + slope_error * slope_error)
    newest = sums.newest
    return Arrivals(
        middle,
        error * np.sqrt(scatter),
        steep * trust,
        np.where(level, 0.0, slope_error * np.sqrt(trust)),
        spans.astype(np.float64),
        np.where(spans < len(newest), float(newest.mean()), np.nan),
        float(scatter.mean()),
    )
