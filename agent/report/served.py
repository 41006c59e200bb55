"""One host's history as a server of the Prometheus API has it: the same report, asked elsewhere."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from agent.promql.querier import Querier
from agent.promql.values import Matrix, Vector
from agent.report.answers import Answer
from agent.report.grid import FIVE_MINUTES, Grid, unknown
from agent.report.report import DAY
from agent.report.scope import quoted
from agent.store.five import Part
from agent.store.series import SeriesSamples

_WINDOW: Final = "[4m59s]"  # off by a second, no sample counts for two windows
_OF_FIVE: Final = {
    Part.LAST: "last_over_time",
    Part.MEAN: "avg_over_time",
    Part.MAX: "max_over_time",
    Part.MIN: "min_over_time",
}


class Served:
    """What a server has of one host; see `agent.report.answers.Answers`.

    A cell has the time of its end: a sample is older by less than the interval of its scrapes.

    Args:
        querier: who answers; errors are as there.
        host: the label `instance` of the agent.
        since: Unix seconds; what was before is not looked for.
        until: Unix seconds of the newest there is.
    """

    def __init__(self, querier: Querier, host: str, *, since: float, until: float) -> None:
        self._querier = querier
        self._host = host
        self._since = since
        self._until = until

    def ask(self, selector: str, grid: Grid, part: Part = Part.LAST) -> list[Answer]:
        """Return what each series of a selector was in each cell; see `Answers`."""
        if not grid.count:
            return []
        text = self._own(selector)
        if grid.step >= FIVE_MINUTES:
            text = f"{_OF_FIVE[part]}({text}{_WINDOW})"
        found = self._querier.range(text, grid.start + grid.step, grid.end, grid.step)
        return [_answer(one, grid) for one in found.series]

    def samples(self, selector: str, start: float, end: float) -> list[SeriesSamples]:
        """Return every sample in a span; see `Answers`."""
        text = f"{self._own(selector)}[{max(1, round(end - start))}s]"
        found = self._querier.instant(text, end)
        series = found.series if isinstance(found, Matrix) else []
        return [kept for one in series if (kept := _after(one, start)).times]

    def known(self, selector: str) -> bool:
        """Return whether there is, or was, a series that a selector finds."""

        # Day by day, as servers limit how far back a selector may reach; mostly the last one tells.
        # From midnight to midnight, where those that put ranges back to whole steps leave them.
        def text(length: float) -> str:
            return f"count(last_over_time({self._own(selector)}[{math.ceil(length)}s]))"

        newest = min(self._until - self._since, DAY)
        found = self._querier.instant(text(newest), self._until)
        if isinstance(found, Vector) and len(found) > 0:
            return True
        first, last = math.ceil(self._since / DAY) * DAY, self._until // DAY * DAY
        return newest == DAY and bool(self._querier.range(text(DAY), first, last, DAY).series)

    def _own(self, selector: str) -> str:
        """Return a selector for this host alone."""
        name, _brace, rest = selector.partition("{")
        return f"{name}{{instance={quoted(self._host)},{rest or '}'}"


def _answer(one: SeriesSamples, grid: Grid) -> Answer:
    """Return a series that was asked for at the end of each cell."""
    stamps, column = unknown(grid.count), unknown(grid.count)
    times, values = (np.asarray(each, dtype=np.float64) for each in (one.times, one.values))
    places = grid.place(times)
    # A server is not trusted to answer what it was asked, and with numbers.
    good = (places >= 0) & (places < grid.count) & np.isfinite(values)
    column[places[good]] = values[good]
    stamps[places[good]] = times[good]
    return Answer(dict(one.labels), stamps, column)


def _after(one: SeriesSamples, start: float) -> SeriesSamples:
    """Return the samples after a time, which servers before Prometheus 3 count in."""
    pairs: Sequence[tuple[float, float]] = [
        pair for pair in zip(one.times, one.values, strict=True) if pair[0] > start
    ]
    return SeriesSamples(
        one.labels, [time for time, _value in pairs], [value for _time, value in pairs]
    )
