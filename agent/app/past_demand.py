"""What was asked of the models of this host before now, learned from its history, in steps."""

from typing import Final

import numpy as np

from agent.analysis.demand.buckets import WEEKS
from agent.analysis.demand.forecaster import DemandForecaster
from agent.analysis.demand.host import MOST, Key
from agent.analysis.demand.said import HOST
from agent.analysis.demand.week import BUCKET, MINUTE
from agent.analysis.window import Column
from agent.catalog.capacity import DEMAND
from agent.steps import Steps
from agent.store.five import Part
from agent.store.reader import COARSE, HistoryReader
from agent.store.series import Matcher, MatchOp, SeriesSamples

DAY: Final = 86_400.0
DAYS: Final = 7 * WEEKS
"""Days of five-minute windows that are read."""

_HOUR: Final = 3600.0
_PIECE: Final = 288  # windows or minutes that are learned in a step
_WANTED: Final = (
    Matcher("__name__", MatchOp.EQUAL, DEMAND.name),
    Matcher("phase", MatchOp.EQUAL, "total"),
)


def learned(
    reader: HistoryReader, *, time: float, horizon: float, hours: int = 24
) -> Steps[dict[Key, DemandForecaster]]:
    """Return what a history tells of demand up to a moment: months in windows, a day in minutes.

    The day by the minute gives the weights and errors of the next minutes at once.

    Args:
        reader: of the history.
        time: Unix seconds.
        horizon: see `DemandForecaster`.
        hours: that are learned by the minute.

    Raises:
        HistoryError: it cannot be read.
    """
    time -= time % BUCKET  # else a minute that is cut in two would be counted twice
    minutes = _Sums(time - hours * _HOUR, time, span=MINUTE)
    windows = _Sums(time - DAYS * DAY, time, span=BUCKET)
    for hour in range(hours, 0, -1):
        end = time - (hour - 1) * _HOUR
        for series in reader.select(_WANTED, end - _HOUR, end):
            minutes.add(series)
        yield
    for day in range(DAYS, 0, -1):
        end = time - (day - 1) * DAY
        for series in reader.select(_WANTED, end - DAY, end, resolution=COARSE, part=Part.MEAN):
            windows.add(series)
        yield
    known: dict[Key, DemandForecaster] = {}
    for key in sorted({*windows.known, *minutes.known})[: MOST + 1]:
        known[key] = DemandForecaster(horizon=horizon)
        yield from _teach(known[key], windows.of(key), minutes.of(key))
    return known


class _Sums:
    """Tokens a minute of each model, and of all, by the number of a bucket or a minute.

    Columns, because months of numbers in dictionaries would be a good part of the agent's memory.

    Args:
        begin: Unix seconds.
        end: Unix seconds.
        span: seconds of one number.
    """

    def __init__(self, begin: float, end: float, *, span: float) -> None:
        self.known: dict[Key, Column] = {}
        self._span = span
        self._first = int(begin // span)
        self._many = int(end // span) + 1 - self._first

    def add(self, series: SeriesSamples) -> None:
        """Add the last value in each span of one replica to those of its model and of all."""
        values = np.asarray(series.values, dtype=np.float64)
        places = ((np.asarray(series.times) - 0.001) // self._span).astype(np.intp) - self._first
        sound = np.isfinite(values) & (places >= 0) & (places < self._many)
        values, places = values[sound], places[sound]
        last = np.flatnonzero(np.diff(places, append=-1))
        places, values = places[last], values[last]
        model = dict(series.labels).get("model_name", "")
        for key in ((model,), HOST):
            column = self.known.setdefault(key, np.full(self._many, np.nan))
            column[places] = np.where(np.isnan(column[places]), 0.0, column[places]) + values

    def of(self, key: Key) -> tuple[Column, Column]:
        """Return the ends of the spans that are known, and their values."""
        column = self.known.get(key)
        if column is None:
            return np.empty(0), np.empty(0)
        places = np.flatnonzero(np.isfinite(column))
        ends: Column = (places + (self._first + 1)).astype(np.float64) * self._span
        return ends, column[places]


def _teach(
    one: DemandForecaster, windows: tuple[Column, Column], minutes: tuple[Column, Column]
) -> Steps[None]:
    """Have a forecaster learn windows, and from the first minute on minutes."""
    ends, values = windows
    if len(minutes[0]):
        values = values[ends < minutes[0][0]]
        ends = ends[ends < minutes[0][0]]
    for at in range(0, len(ends), _PIECE):
        piece = slice(at, at + _PIECE)
        one.learn_windows(ends[piece].tolist(), values[piece].tolist(), until=float(ends[-1]))
        yield
    ends, values = minutes
    for at in range(0, len(ends), _PIECE):
        piece = slice(at, at + _PIECE)
        one.learn(ends[piece].tolist(), values[piece].tolist())
        yield
