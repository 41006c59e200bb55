"""Selectors and subqueries: from samples to vectors and ranges."""

from bisect import bisect_left
from collections.abc import Callable

from agent.promql.plan import Selector, Shift
from agent.promql.run import RangeExpr, Row, Run, VectorExpr, Window, finished
from agent.promql.values import Vector
from agent.store.series import Labels, after, is_stale


def instant_selector(index: int, selector: Selector) -> VectorExpr:
    """Evaluate to the last sample of each series within the lookback."""
    shift = selector.shift

    def select(run: Run, time: int) -> tuple[list[Labels], list[float], list[float]]:
        moment = shift.apply(time, run.first, run.last)
        latest = after(moment)
        oldest = after(moment - round(run.options.lookback * 1000))
        labels: list[Labels] = []
        values: list[float] = []
        times: list[float] = []
        for row in run.data[index]:
            stamps = row.times
            place = bisect_left(stamps, latest) - 1
            if place < 0 or stamps[place] < oldest:
                continue
            value = row.values[place]
            # Only a NaN differs from itself, and few values are: the bits are looked at then.
            if value != value and is_stale(value):  # noqa: PLR0124
                continue
            labels.append(row.labels)
            values.append(value)
            times.append(stamps[place])
        return labels, values, times

    def vector(run: Run, time: int) -> Vector:
        newest = run.data.newest(index)
        if newest is not None:
            return newest
        labels, values, _ = select(run, time)
        return Vector(labels, values)

    def stamped(run: Run, time: int) -> Vector:
        labels, _, times = select(run, time)
        return Vector(labels, [round(stamp * 1000) / 1000 for stamp in times])

    return VectorExpr(vector, selector.matchers, stamped)


def range_selector(index: int, selector: Selector) -> RangeExpr:
    """Evaluate to the samples of each series in the trailing range."""
    window = _window(selector.shift, selector.range or 0)
    return RangeExpr(
        lambda run: run.data[index],
        window,
        selector.matchers,
        lambda run, window: run.data.columns(index, window.start, window.end),
    )


def subquery(
    index: int, inner: VectorExpr, shift: Shift, length: int, step: int | None
) -> RangeExpr:
    """Evaluate an expression at steps that are multiples of one another, wherever it is asked.

    Args:
        index: number of the subquery within the query.
        inner: what is evaluated.
        shift: its `@` and `offset`.
        length: its range, milliseconds.
        step: milliseconds, None for that of the options.
    """

    def rows(run: Run) -> list[Row]:
        known = run.subqueries.get(index)
        if known is None:
            known = run.subqueries[index] = _evaluate(run)
        return known

    def _evaluate(run: Run) -> list[Row]:
        every = round(run.options.subquery_step * 1000) if step is None else step
        end = run.start + (run.end - run.start) // run.step * run.step
        begin = shift.apply(run.start, run.first, run.last) - length
        begin = begin // every * every + every
        return series(inner, run.child(begin, shift.apply(end, run.first, run.last), every))

    return RangeExpr(rows, _window(shift, length))


def series(inner: VectorExpr, run: Run, *, finish: bool = False) -> list[Row]:
    """Evaluate on every time of the grid and join what has the same labels to series.

    Args:
        inner: what is evaluated.
        run: the evaluation whose grid is meant.
        finish: drop flagged names: this is the result of the query.
    """
    found: dict[Labels, tuple[list[float], list[float], bool]] = {}
    run.budget.take(max(0, (run.end - run.start) // run.step + 1))
    for time in run.times():
        vector = inner.at(run, time)
        run.budget.take(len(vector))
        if finish:
            vector = finished(vector)
        seconds = time / 1000
        for place, (labels, value) in enumerate(vector):
            known = found.get(labels)
            if known is None:
                flagged = vector.flags is not None and vector.flags[place]
                known = found[labels] = ([], [], flagged)
            known[0].append(seconds)
            known[1].append(value)
    return [Row(labels, *columns) for labels, columns in found.items()]


def _window(shift: Shift, length: int) -> Callable[[Run, int], Window]:
    """Return which left-open range belongs to a time."""

    def window(run: Run, time: int) -> Window:
        end = shift.apply(time, run.first, run.last)
        return Window(time, end - length, end)

    return window
