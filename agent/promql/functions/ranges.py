"""How functions over ranges are built: one number for each series that has samples."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from agent.promql.functions.call import Build, Call
from agent.promql.run import Run, VectorExpr, nameless, windows
from agent.promql.values import Vector
from agent.store.series import Labels

Reduce: TypeAlias = Callable[..., float | None]
"""`reduce(times, values, window, *numbers)`: at least one sample, times in Unix seconds,
numbers the scalar arguments; None where the samples do not suffice."""

Check: TypeAlias = Callable[[Run, Call, Sequence[float], Sequence[Labels]], None]
"""Looks at the scalar arguments and the series of a result, to warn or to refuse."""


def over_range(
    reduce: Reduce, *, range_at: int = 0, named: bool = False, check: Check | None = None
) -> Build:
    """Return how a call of such a function is compiled.

    Args:
        reduce: see `Reduce`.
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
            labels: list[Labels] = []
            values: list[float] = []
            flags: list[bool] = []
            for row, times, samples in windows(source.rows(run), window):
                answer = reduce(times, samples, window, *arguments)
                if answer is not None:
                    labels.append(row.labels)
                    values.append(answer)
                    flags.append(row.flagged)
            if check is not None:
                check(run, call, arguments, labels)
            if named:
                return Vector(labels, values, flags if run.options.delayed_names else None)
            return nameless(run, labels, values)

        return VectorExpr(at)

    return build
