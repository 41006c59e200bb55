"""How functions over ranges are built: one number for each series that has samples."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from agent.promql.functions.call import Build, Call
from agent.promql.run import Row, Run, VectorExpr, Window, nameless, windows
from agent.promql.values import NOTHING, Vector
from agent.store.recent import Columns
from agent.store.series import Labels

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
            columns = source.columns(run, window)
            if columns is not None and not (steady is not None and steady(columns)):
                run.moving()
            if columns is not None and not columns.labels:
                return NOTHING
            if columns is None:
                found = _one_by_one(reduce, source.rows(run), window, arguments)
            elif arguments:
                found = _together(reduce, whole, columns, window, arguments)
            else:
                found = columns.once(reduce, lambda it: _together(reduce, whole, it, window, ()))
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
