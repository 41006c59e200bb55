"""Operators between two vectors: series that are chosen by others, or give something with them."""

from collections.abc import Callable, Sequence
from operator import eq

from agent.promql.arithmetic import ARITHMETIC, COMPARISON
from agent.promql.pairing import Cardinality, Matching, Pairing
from agent.promql.run import Run, VectorExpr, distinct
from agent.promql.values import NOTHING, Vector
from agent.store.series import Labels
from agent.store.shape import Shape, once_with


def _presence(
    sign: Callable[[Labels], Labels], *, wanted: bool
) -> Callable[[Sequence[Labels], Sequence[Labels]], tuple[bool, ...]]:
    """Return the function that says of each series whether it is to meet one of others, or none."""

    def present(labels: Sequence[Labels], others: Sequence[Labels]) -> tuple[bool, ...]:
        found = {*map(sign, others)}
        return tuple([(sign(item) in found) is wanted for item in labels])

    return present


def _joined(labels: Sequence[Labels], others: Sequence[Labels]) -> Shape:
    """Return the labels of both."""
    return Shape((*labels, *others))


def set_operator(
    operator: str, left: VectorExpr, right: VectorExpr, matching: Matching
) -> VectorExpr:
    """`and`, `or` and `unless`: choose series by the presence of others."""
    first, second = left.at, right.at
    chosen = _presence(matching.signature(), wanted=operator == "and")

    def filtered(run: Run, time: int) -> Vector:
        found = first(run, time)
        if not found.labels:
            return found  # the other side is not even fetched
        return found.where(once_with(found.labels, second(run, time).labels, chosen, chosen))

    def union(run: Run, time: int) -> Vector:
        found, others = first(run, time), second(run, time)
        added = others.where(once_with(others.labels, found.labels, chosen, chosen))
        if not added.labels:
            return found
        flags = None
        if found.flags is not None or added.flags is not None:
            flags = (found.flags or [False] * len(found)) + (added.flags or [False] * len(added))
        labels = once_with(found.labels, added.labels, _joined, _joined)
        return Vector(labels, found.values + added.values, flags)

    return VectorExpr(union if operator == "or" else filtered)


def vector_vector(
    operator: str, left: VectorExpr, right: VectorExpr, matching: Matching, *, to_bool: bool
) -> VectorExpr:
    """Arithmetic and comparison between the series that meet."""
    named, unnamed = (
        Pairing(matching, named=operator in COMPARISON, unnamed=choice) for choice in (False, True)
    )
    combine = ARITHMETIC.get(operator)
    compare = COMPARISON.get(operator, eq)
    swapped = matching.cardinality is Cardinality.ONE_TO_MANY

    def at(run: Run, time: int) -> Vector:
        many = left.at(run, time)
        one = right.at(run, time) if many.labels else many  # not fetched for nothing
        if not one.labels:
            return NOTHING
        if swapped:
            many, one = one, many
        pair = unnamed if to_bool and not run.options.delayed_names else named
        pairs = once_with(many.labels, one.labels, pair, pair)
        ones = [*map(one.values.__getitem__, pairs.one)]
        manys = [*map(many.values.__getitem__, pairs.many)]
        lefts, rights = (ones, manys) if swapped else (manys, ones)
        if combine is not None:
            vector = Vector(pairs.labels, [*map(combine, lefts, rights)])
        elif to_bool:
            held = [*map(float, map(compare, lefts, rights))]
            vector = Vector(pairs.labels, held, [True] * len(held))
        else:
            vector = Vector(pairs.labels, lefts).where([*map(compare, lefts, rights)])
        if run.options.delayed_names:
            return vector
        return distinct(Vector(vector.labels, vector.values))

    return VectorExpr(at)
