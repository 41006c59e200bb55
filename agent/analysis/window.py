"""The last minutes of the series that analysis reads, as aligned columns.

One row a tick, one column a series, one time for all of a row; a series that a tick had not is NaN
there. A `View` is the part of it that belongs to one engine, so that arithmetic needs no labels.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from struct import Struct
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.analysis.places import Indexes, Key, Places
from agent.model import Frame, Metric, Series, SeriesTable

Column: TypeAlias = NDArray[np.float64]

SPAN: Final = 300.0
"""Seconds that a window holds."""

MOST: Final = 1e15
"""No count, size, time or share that is read is as large, nor is any negative."""

_SIX_DIGITS: Final = 1e6  # whole numbers below have no more
_EXACT: Final = 1e8  # counts of tokens and times of day are as they were read
_ROWS: Final = 64
_FULL: Final = 0.95  # of the array in use, from which on it is too short
_COLUMNS: Final = 32


class Window:
    """Keeps the trailing rows of the wanted metrics.

    Rows stand one behind the other in an array that is longer than the span, so that each
    trailing stretch is a slice of it and old rows are moved out only now and then.

    Args:
        wanted: metrics that are kept, none of which can be negative.
        means: histograms among them of which the buckets are not kept.
        span: seconds.
    """

    def __init__(
        self, wanted: Iterable[Metric], *, means: Iterable[Metric] = (), span: float = SPAN
    ) -> None:
        self.span = span
        self._wanted = frozenset(wanted)
        self._means = frozenset(means)
        self._table: SeriesTable | None = None
        self._times = np.empty(_ROWS)
        self._rows = np.full((_ROWS, _COLUMNS), np.nan)
        self._begin = 0
        self._end = 0
        self._columns: dict[int, int] = {}
        self._ids: Sequence[int] | None = None
        self._pick: Callable[[Sequence[float]], tuple[float, ...]] | None = None
        # Faster by half than to have an array made of the numbers.
        self._pack = Struct("").pack_into
        self._places: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self.layout = 0

    def append(self, frame: Frame) -> None:
        """Take over a frame; one that is not after the last forgets what came at or after it."""
        if frame.ids is not self._ids:
            self._lay_out(frame)
        while self._end > self._begin and self._times[self._end - 1] >= frame.time:
            self._end -= 1
        times = self._times[self._begin : self._end]
        self._begin += int(times.searchsorted(frame.time - self.span))
        if self._end == len(self._times):
            self._make_room()
        row = self._rows[self._end]
        row.fill(np.nan)
        if self._pick is not None:
            values = np.empty(len(self._places))
            self._pack(values.data, 0, *self._pick(frame.values))
            # An engine may write anything; what makes no sense is not known.
            values[~((values >= 0.0) & (values < MOST))] = np.nan
            row[self._places] = values
        self._times[self._end] = frame.time
        self._end += 1

    @property
    def times(self) -> Column:
        """Unix seconds of the rows, ascending."""
        return self._times[self._begin : self._end]

    @property
    def newest(self) -> Column:
        """The last row, of which nothing may be changed; there is one once a frame was taken."""
        row: Column = self._rows[self._end - 1]
        return row

    def ids(self) -> Mapping[int, int]:
        """Return the column of each series; `layout` changes whenever this does."""
        return self._columns

    def column(self, place: int) -> Column:
        """Return one column, of which nothing may be changed."""
        return self._rows[self._begin : self._end, place]

    def value(self, row: int, place: int) -> float:
        """Return what stands in one column in one row."""
        return float(self._rows[self._begin + row, place])

    def columns(self, places: Indexes, first: int, end: int) -> Column:
        """Return several columns from one row up to another, rows first."""
        return self._rows[self._begin + first : self._begin + end, places]

    def _lay_out(self, frame: Frame) -> None:
        """Follow a frame with other series; the column of one that is in no row is given away."""
        table = self._table = frame.table
        chosen = [
            (position, series_id)
            for position, series_id in enumerate(frame.ids)
            if self._wants(table[series_id])
        ]
        present = {series_id for _position, series_id in chosen}
        rows = self._rows[self._begin : self._end]
        kept = {
            series_id: place
            for series_id, place in self._columns.items()
            if series_id in present or not np.isnan(rows[:, place]).all()
        }
        new = [series_id for _position, series_id in chosen if series_id not in kept]
        used = set(kept.values())
        free = (place for place in range(len(kept) + len(new)) if place not in used)
        kept.update(zip(new, free, strict=False))
        missing = max(kept.values(), default=0) + 1 - self._rows.shape[1]
        if missing > 0:
            more = np.full((len(self._rows), missing + _COLUMNS), np.nan)
            self._rows = np.hstack((self._rows, more))
        self._rows[self._begin : self._end, [kept[i] for i in new]] = np.nan
        if kept != self._columns:
            self._columns = kept
            self.layout += 1
        self._ids = frame.ids
        self._places = np.array([kept[i] for _position, i in chosen], dtype=np.intp)
        positions = [position for position, _series_id in chosen]
        # A single position would make a getter that returns no tuple.
        self._pick = itemgetter(*positions, positions[0]) if positions else None
        if positions:
            self._places = np.append(self._places, self._places[0])
        self._pack = Struct(f"{len(self._places)}d").pack_into

    def _wants(self, series: Series) -> bool:
        """Return whether a series is kept."""
        return series.metric in self._wanted and not (series.le and series.metric in self._means)

    def _make_room(self) -> None:
        """Move the rows to the front, into a longer array if most of it is in use."""
        count = self._end - self._begin
        if count > _FULL * len(self._times):
            self._times = np.concatenate((self._times, np.empty(_ROWS)))
            width = self._rows.shape[1]
            self._rows = np.concatenate((self._rows, np.full((_ROWS, width), np.nan)))
        self._times[:count] = self._times[self._begin : self._end]
        # Piece by piece: of what overlaps numpy makes a copy first, of five megabytes here.
        by = self._begin
        for first in range(by, self._end, by) if by else ():
            end = min(first + by, self._end)
            self._rows[first - by : end - by] = self._rows[first:end]
        self._begin, self._end = 0, count


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram over the rows of a view.

    Attributes:
        bounds: upper bounds of the buckets, ascending, the last infinite; shape (buckets,).
        counts: cumulative counts, shape (rows, buckets).
        sum: sum of the observations, shape (rows,).
        count: number of the observations, shape (rows,).
    """

    bounds: Column
    counts: Column
    sum: Column
    count: Column


class View:
    """What a window holds of one engine, of its GPUs and of the host.

    Columns are asked for by metric and, where the metric has labels beside those that the view
    stands for, by their values: `view[catalog.REQUESTS_RUNNING]`,
    `view.of(process.CPU_SECONDS, "server")`. What is not there is a column of NaN, so that
    arithmetic needs no special cases: unknown stays unknown.

    Args:
        window: whose columns.
        places: where they stand.
        first: the first of the window's rows.
        end: the row behind the last; by default all there are.
    """

    def __init__(
        self, window: Window, places: Places, *, first: int = 0, end: int | None = None
    ) -> None:
        self._window = window
        self._places = places
        times = window.times
        self._first = first
        self._end = len(times) if end is None else end
        self.times: Column = times[first : self._end]

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.times)

    def __getitem__(self, metric: Metric) -> Column:
        """Return the column of a metric that has no further labels."""
        return self.of(metric)

    def of(self, metric: Metric, *labels: str, suffix: str = "") -> Column:
        """Return the column of a metric with further labels, or of a part of a histogram."""
        place = self._places.columns.get((metric, suffix, *labels))
        if place is None:
            return np.full(len(self.times), np.nan)
        return self._window.column(place)[self._first : self._end]

    def now(self, metric: Metric) -> float:
        """Return the last value of a metric that has no further labels; NaN without one."""
        place = self._places.columns.get((metric, ""))
        return math.nan if place is None else self._window.value(self._end - 1, place)

    def table(self, keys: tuple[Key, ...]) -> Column:
        """Return several columns side by side, rows first.

        Args:
            keys: of each the metric, the suffix and the further label values.
        """
        places, missing = self._places.several(keys)
        taken = self._window.columns(places, self._first, self._end)
        if missing:
            taken[:, missing] = np.nan
        return taken

    def gpu(self, metric: Metric, *labels: str) -> Column:
        """Return a column for each GPU of the engine that has the metric, rows first."""
        places = self._places.gpu((metric, "", *labels))
        return self._window.columns(places, self._first, self._end)

    def gpus(self, keys: tuple[Key, ...]) -> list[Column]:
        """Return what `gpu` returns of several metrics, each of them by metric and labels."""
        places, ends = self._places.gpus(keys)
        taken = self._window.columns(places, self._first, self._end)
        return [taken[:, begin:end] for begin, end in ends]

    def labels(self, metric: Metric) -> list[tuple[str, ...]]:
        """Return the further label values that a metric has here."""
        return self._places.labels(metric)

    def histogram(self, metric: Metric) -> Histogram | None:
        """Return a histogram, or None where the engine has none of this name."""
        buckets = self._places.histogram(metric)
        if buckets is None:
            return None
        return Histogram(
            buckets.bounds,
            self._window.columns(buckets.places, self._first, self._end),
            self.of(metric, suffix="_sum"),
            self.of(metric, suffix="_count"),
        )

    def last(self, seconds: float) -> "View":
        """Return the rows of the trailing seconds, that at their beginning included."""
        return self.rows(self.first(seconds), len(self.times)) if len(self.times) else self

    def first(self, seconds: float) -> int:
        """Return the first row of the trailing seconds; there is at least one."""
        times = self.times
        return int(times.searchsorted(times[-1] - seconds - 1e-6))

    def rows(self, first: int, end: int) -> "View":
        """Return the rows from `first` up to `end`."""
        begin = self._first
        return View(self._window, self._places, first=begin + first, end=begin + end)


def mean(column: Column) -> float:
    """Return the mean of what is known of a column, NaN of nothing."""
    known = column[~np.isnan(column)]
    # As `mean` does it, without what that asks first.
    return float(np.add.reduce(known)) / known.size if known.size else float("nan")


def median(column: Column) -> float:
    """Return the median of at least one number, none of them NaN.

    numpy's own takes longer to find out what it was given than to sort some hundred numbers.
    """
    ordered = np.sort(column)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[half])
    return float((ordered[half - 1] + ordered[half]) / 2)


def rounded(value: float) -> float:
    """Return a number with six digits: no conclusion is more exact.

    Without that the last digits of the page would depend on how the processor at hand adds up.
    """
    if not value % 1.0 and abs(value) < _SIX_DIGITS:
        return float(value)
    return float(f"{value:.6g}") if abs(value) < _EXACT else value


def growth(column: Column) -> float:
    """Return by how much a counter grew over a column, restarts allowed for; NaN if unknown.

    After a restart the counter began at zero, so what it shows then is growth.
    """
    known = column[~np.isnan(column)]
    if len(known) < 2:  # noqa: PLR2004 - growth needs two values
        return float("nan")
    steps = known[1:] - known[:-1]
    return float(np.where(steps < 0, known[1:], steps).sum())
