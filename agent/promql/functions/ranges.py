"""How functions over ranges are built: one number for each series that has samples."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from agent.promql.functions.call import Build, Call
from agent.promql.run import Row, Run, VectorExpr, Window, nameless, windows
from agent.promql.values import NOTHING, Vector
from agent.store.recent import Columns
from agent.store.series import Labels
from agent.store.shape import Shape, once_with

Reduce: TypeAlias = Callable[..., float | None]
"""`reduce(times, values, window, *numbers)`: at least one sample, times in Unix seconds,
numbers the scalar arguments; None where the samples do not suffice."""

Whole: TypeAlias = Callable[[Columns, Window], list[float] | None]
"""`whole(columns, window)`: the same as `reduce` for each series, where that can be had for less
than going through the samples of each; None where it cannot."""

Steady: TypeAlias = Callable[[Columns], bool]
"""`steady(columns)`: whether the result for series that stand still does not depend on how many
samples there are, two at least, and when."""

Check: TypeAlias = Callable[[Run, Call, Sequence[float], Sequence[Labels]], None]
"""Looks at the scalar arguments and the series of a result, to warn or to refuse."""


def always(_: Columns) -> bool:
    """Be steady for all series that stand still."""
    return True


def over_range(
    reduce: Reduce,
    *,
    whole: Whole | None = None,
    steady: Steady | None = None,
    range_at: int = 0,
    named: bool = False,
    check: Check | None = None,
) -> Build:
    """Return how a call of such a function is compiled.

    Args:
        reduce: see `Reduce`.
        whole: see `Whole`; only for functions without numbers.
        steady: see `Steady`; None for never.
        range_at: which argument is the range; all others are numbers.
        named: the result is still the metric that the samples were.
        check: see `Check`.
    """

    def build(call: Call) -> VectorExpr:
        source = call.range(range_at)
        numbers = [call.scalar(i).at for i in range(len(call)) if i != range_at]

        def at(run: Run, time: int) -> Vector:
            arguments = [number(run, time) for number in numbers]
            window = source.window(run, time)
            parts = source.columns(run, window)
            if parts is None:
                found = _one_by_one(reduce, source.rows(run), window, arguments)
            elif not parts:
                return NOTHING
            else:
                if run.steady and (steady is None or not all(map(steady, parts))):
                    run.moving()
                found = _joined([_together(reduce, whole, it, window, arguments) for it in parts])
            if check is not None:
                check(run, call, arguments, found.labels)
            if not named:
                return nameless(run, found.labels, found.values)
            return found if run.options.delayed_names else Vector(found.labels, found.values)

        return VectorExpr(at)

    return build


def _one_by_one(
    reduce: Reduce, rows: Sequence[Row], window: Window, arguments: Sequence[float]
) -> Vector:
    """Return the numbers of series that each have samples of their own."""
    labels: list[Labels] = []
    values: list[float] = []
    flags: list[bool] = []
    for row, times, samples in windows(rows, window):
        answer = reduce(times, samples, window, *arguments)
        if answer is not None:
            labels.append(row.labels)
            values.append(answer)
            flags.append(row.flagged)
    return Vector(labels, values, flags)


def _together(
    reduce: Reduce,
    whole: Whole | None,
    columns: Columns,
    window: Window,
    arguments: Sequence[float],
) -> Vector:
    """Return the numbers of series that share their times, worked out once where that can be."""
    if arguments:
        return _each(reduce, whole, columns, window, arguments)
    return columns.once(reduce, lambda it: _each(reduce, whole, it, window, ()))


def _each(
    reduce: Reduce,
    whole: Whole | None,
    columns: Columns,
    window: Window,
    arguments: Sequence[float],
) -> Vector:
    """Return the numbers of series that share their times."""
    labels = columns.labels
    values = None if whole is None else whole(columns, window)
    if values is None:
        times = columns.times
        answers = [reduce(times, one, window, *arguments) for one in columns.values()]
        values = [answer for answer in answers if answer is not None]
        if len(values) < len(labels):
            labels = labels.where(tuple(answer is not None for answer in answers))
    return Vector(labels, values, [False] * len(labels))


def _joined(vectors: Sequence[Vector]) -> Vector:
    """Return the elements of all of them."""
    found = vectors[0]
    for vector in vectors[1:]:
        labels = once_with(found.labels, vector.labels, _joined, _both)
        values = [*found.values, *vector.values]
        found = Vector(labels, values, [False] * len(labels))
    return found


def _both(labels: Sequence[Labels], further: Sequence[Labels]) -> Sequence[Labels]:
    """Return the ones and the others."""
    return Shape((*labels, *further))
