"""What the history answers to a selector: one value for each cell of a grid."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from agent.promql import parse
from agent.report.grid import FIVE_MINUTES, Column, Grid, unknown
from agent.store.five import Part
from agent.store.reader import HistoryReader
from agent.store.series import Matcher, SeriesSamples


@dataclass(frozen=True, slots=True)
class Answer:
    """One series on a grid.

    Attributes:
        labels: of the series.
        times: Unix seconds of the sample that stands for each cell; NaN for none.
        values: its value; NaN for none.
    """

    labels: Mapping[str, str]
    times: Column
    values: Column


class Answers(Protocol):
    """Something that has a history."""

    def ask(self, selector: str, grid: Grid, part: Part = Part.LAST) -> list[Answer]:
        """Return what each series of a selector was in each cell.

        Args:
            selector: an instant selector of PromQL.
            grid: cells; those shorter than five minutes are known only where every sample is kept.
            part: of cells of five minutes, which number: what PromQL says as `max_over_time`,
                `avg_over_time` and so on over them. Of shorter ones, the last.
        """
        ...

    def samples(self, selector: str, start: float, end: float) -> list[SeriesSamples]:
        """Return every sample in (start, end]; one for five minutes where that is all there is."""
        ...

    def known(self, selector: str) -> bool:
        """Return whether there is, or was, a series that a selector finds."""
        ...


class Embedded:
    """The history of this host.

    Args:
        reader: the file; errors are as there.
        rest: called after each question, to leave the processor to others.
    """

    def __init__(self, reader: HistoryReader, *, rest: Callable[[], None] = lambda: None) -> None:
        self._reader = reader
        self._rest = rest

    def ask(self, selector: str, grid: Grid, part: Part = Part.LAST) -> list[Answer]:
        """Return what each series of a selector was in each cell; see `Answers`."""
        if not grid.count:
            return []
        coarse = grid.step >= FIVE_MINUTES
        found = self._reader.select(
            matchers(selector),
            grid.start,
            grid.end,
            resolution=FIVE_MINUTES if coarse else 0.0,
            part=part,
        )
        answers = [on_grid(series, grid) for series in found]
        self._rest()
        return answers

    def samples(self, selector: str, start: float, end: float) -> list[SeriesSamples]:
        """Return every sample in a span; see `Answers`."""
        found = self._reader.select(matchers(selector), start, end)
        self._rest()
        return found

    def known(self, selector: str) -> bool:
        """Return whether there is, or was, a series that a selector finds."""
        return bool(self._reader.series(matchers(selector)))


def matchers(selector: str) -> tuple[Matcher, ...]:
    """Return the conditions of an instant selector."""
    return parse(selector).selectors[0].matchers


def on_grid(series: SeriesSamples, grid: Grid) -> Answer:
    """Return the last sample of each cell; where that is the end of a series, nothing."""
    times = np.asarray(series.times, dtype=np.float64)
    values = np.asarray(series.values, dtype=np.float64)
    places = grid.place(times)
    inside = (places >= 0) & (places < grid.count)
    stamps, column = unknown(grid.count), unknown(grid.count)
    # Of several samples of one cell the last is assigned last, and stays.
    column[places[inside]] = values[inside]
    stamps[places[inside]] = times[inside]
    stamps[np.isnan(column)] = np.nan
    return Answer(dict(series.labels), stamps, column)
