"""Columns over time: cells of one length, and what is reckoned from cells of two lengths."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Column: TypeAlias = NDArray[np.float64]

FIVE_MINUTES: Final = 300.0
MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells that follow one another; each is open on its left and closed on its right.

    Attributes:
        start: Unix seconds at which the first begins.
        step: seconds of each.
        count: how many there are.
    """

    start: float
    step: float
    count: int

    @property
    def end(self) -> float:
        """Unix seconds at which the last ends."""
        return self.start + self.step * self.count

    @property
    def starts(self) -> Column:
        """Unix seconds at which each begins."""
        return self.start + self.step * np.arange(self.count, dtype=np.float64)

    def place(self, times: Column) -> NDArray[np.intp]:
        """Return the cell of each time; below 0 or from `count` on for those outside."""
        # Milliseconds, in which samples compare: a quotient of floats may fall to either side.
        passed = np.round((times - self.start) * 1000.0).astype(np.int64)
        return (-(-passed // round(self.step * 1000.0)) - 1).astype(np.intp)

    def cut(self, start: float, end: float) -> "Grid":
        """Return the cells that lie within a span of time."""
        first = max(0, int(np.ceil((start - self.start) / self.step - 1e-9)))
        last = min(self.count, int(np.floor((end - self.start) / self.step + 1e-9)))
        return Grid(self.start + first * self.step, self.step, max(0, last - first))


def whole(start: float, end: float, step: float = FIVE_MINUTES) -> Grid:
    """Return the cells of clock-aligned windows that lie within a span, a broken one left out."""
    first = np.ceil(start / step - 1e-9)
    last = np.floor(end / step + 1e-9)
    return Grid(float(first * step), step, max(0, int(last - first)))


def unknown(count: int) -> Column:
    """Return a column of which nothing is known."""
    return np.full(count, np.nan)


def growth(times: Column, levels: Column) -> Column:
    """Return how much a counter grew each second between neighbouring samples.

    A level below the one before is a restart from zero: what it counted since then is known, what
    it had counted in between is not.

    Args:
        times: Unix seconds of the last sample of each cell; NaN for none.
        levels: its value; NaN for none.

    Returns:
        One value fewer, per second; NaN where either end is not known.
    """
    grown = levels[1:] - levels[:-1]
    grown = np.where(grown < 0, levels[1:], grown)
    passed = times[1:] - times[:-1]
    # NaN compares as false, so that it falls out here too.
    known = (passed > 0) & (grown >= 0)
    return np.divide(grown, passed, out=unknown(len(grown)), where=known)


def together(columns: Sequence[Column]) -> Column:
    """Return the sum of the parts that are known; NaN where none is."""
    stacked = np.stack(columns)
    known = ~np.isnan(stacked)
    return np.where(known.any(axis=0), np.where(known, stacked, 0.0).sum(axis=0), np.nan)


def complete(columns: Sequence[Column], present: Sequence[Column]) -> Column:
    """Return the sum where each part that is present is known; NaN elsewhere.

    Args:
        columns: what is to be added.
        present: columns that are known where the part was there at all.
    """
    stacked, there = np.stack(columns), ~np.isnan(np.stack(present))
    known = ~np.isnan(stacked)
    every = there.any(axis=0) & ~(there & ~known).any(axis=0)
    return np.where(every, np.where(there & known, stacked, 0.0).sum(axis=0), np.nan)


@dataclass(frozen=True, slots=True)
class Cells:
    """Values that each hold for some time; those that are not known are left out.

    Attributes:
        starts: Unix seconds at which each begins, ascending.
        widths: seconds for which each holds.
        values: one for each.
    """

    starts: Column
    widths: Column
    values: Column

    @property
    def known(self) -> float:
        """Seconds that are known."""
        return float(self.widths.sum())

    @property
    def empty(self) -> bool:
        """Whether nothing is known."""
        return not self.values.size

    def mean(self) -> float | None:
        """Return the mean over time."""
        return None if self.empty else float(self.values @ self.widths / self.widths.sum())

    def quantile(self, share: float) -> float | None:
        """Return the smallest value that is not exceeded for this share of the time."""
        if self.empty:
            return None
        order = np.argsort(self.values, kind="stable")
        reached = np.cumsum(self.widths[order])
        place = int(np.searchsorted(reached, share * reached[-1] * (1 - 1e-12)))
        return float(self.values[order[min(place, len(order) - 1)]])

    def peak(self) -> tuple[float, float, float] | None:
        """Return the highest value, when it began and for how long it held; the first of equals."""
        if self.empty:
            return None
        place = int(self.values.argmax())
        return float(self.values[place]), float(self.starts[place]), float(self.widths[place])

    def share_over(self, limit: float) -> float | None:
        """Return the share of the time at which values are above a limit."""
        if self.empty:
            return None
        return float(self.widths[self.values > limit].sum() / self.widths.sum())


def cells(five: Column, grid: Grid, minute: Column, minutes: Grid) -> Cells:
    """Return minutes where all of a window's are known, and windows of five elsewhere.

    Args:
        five: a value for each cell of the grid; NaN for none.
        grid: five-minute windows.
        minute: likewise for each minute.
        minutes: cells of one minute, whole windows within the grid; may be empty.
    """
    ratio = round(grid.step / minutes.step)
    first = round((minutes.start - grid.start) / grid.step) if minutes.count else 0
    blocks = minute.reshape(-1, ratio)
    fine: NDArray[np.bool_] = np.asarray(~np.isnan(blocks).any(axis=1))
    coarse = ~np.isnan(five)
    coarse[first : first + len(fine)] &= ~fine
    each = np.repeat(fine, ratio)
    starts = np.concatenate((grid.starts[coarse], minutes.starts[each]))
    widths = np.concatenate(
        (np.full(int(coarse.sum()), grid.step), np.full(int(each.sum()), minutes.step))
    )
    values = np.concatenate((five[coarse], minute[each]))
    order = np.argsort(starts, kind="stable")
    return Cells(starts[order], widths[order], values[order])


def plain(values: Column, grid: Grid) -> Cells:
    """Return the cells of one grid that are known."""
    known = ~np.isnan(values)
    return Cells(grid.starts[known], np.full(int(known.sum()), grid.step), values[known])
