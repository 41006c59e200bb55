"""Operators between scalars, and between a vector and a scalar; unary minus."""

from collections.abc import Callable
from itertools import repeat

from agent.promql.arithmetic import ARITHMETIC, COMPARISON
from agent.promql.run import Run, ScalarExpr, VectorExpr, nameless
from agent.promql.values import Vector


def scalar_scalar(operator: str, left: ScalarExpr, right: ScalarExpr) -> ScalarExpr:
    """Combine two numbers; a comparison gives 1 or 0."""
    first, second = left.at, right.at
    if operator in ARITHMETIC:
        combine = ARITHMETIC[operator]
        return ScalarExpr(lambda run, time: combine(first(run, time), second(run, time)))
    compare = COMPARISON[operator]
    return ScalarExpr(lambda run, time: float(compare(first(run, time), second(run, time))))


def vector_scalar(
    operator: str, vector: VectorExpr, scalar: ScalarExpr, *, swapped: bool, to_bool: bool
) -> VectorExpr:
    """Combine every value of a vector with a number.

    Args:
        operator: as written.
        vector: the vector.
        scalar: the number.
        swapped: the number stands on the left.
        to_bool: a comparison gives 1 or 0 instead of filtering.
    """
    if operator in ARITHMETIC:
        return _mapped(ARITHMETIC[operator], vector, scalar, swapped=swapped)
    compare = COMPARISON[operator]
    if to_bool:
        return _mapped(lambda a, b: float(compare(a, b)), vector, scalar, swapped=swapped)
    return _filtered(compare, vector, scalar, swapped=swapped)


def _mapped(
    combine: Callable[[float, float], float],
    vector: VectorExpr,
    scalar: ScalarExpr,
    *,
    swapped: bool,
) -> VectorExpr:
    """Give a new value for each old one."""

    def at(run: Run, time: int) -> Vector:
        found = vector.at(run, time)
        if not found.labels:
            return found  # the number is not even worked out
        number = repeat(scalar.at(run, time))
        pairs = (number, found.values) if swapped else (found.values, number)
        return nameless(run, found.labels, [*map(combine, *pairs)])

    return VectorExpr(at)


def _filtered(
    compare: Callable[[float, float], bool],
    vector: VectorExpr,
    scalar: ScalarExpr,
    *,
    swapped: bool,
) -> VectorExpr:
    """Keep the values for which a comparison holds."""

    def at(run: Run, time: int) -> Vector:
        found = vector.at(run, time)
        if not found.labels:
            return found  # the number is not even worked out
        number = repeat(scalar.at(run, time))
        pairs = (number, found.values) if swapped else (found.values, number)
        return found.where([*map(compare, *pairs)])

    return VectorExpr(at)


def negated(operand: ScalarExpr | VectorExpr) -> ScalarExpr | VectorExpr:
    """Change the sign."""
    if isinstance(operand, ScalarExpr):
        number = operand.at
        return ScalarExpr(lambda run, time: -number(run, time))
    vector = operand.at

    def at(run: Run, time: int) -> Vector:
        found = vector(run, time)
        return nameless(run, found.labels, [-value for value in found.values])

    return VectorExpr(at)
