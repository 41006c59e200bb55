"""Aggregation operators: groups of series become one series, or the foremost of them stay."""

from collections.abc import Callable
from math import isnan

from agent.promql.aggregators import SIMPLE, foremost, written
from agent.promql.errors import EvaluationError
from agent.promql.labels import keeper, remover, with_label
from agent.promql.numeric import quantile
from agent.promql.positions import Site
from agent.promql.run import Run, ScalarExpr, VectorExpr
from agent.promql.values import Vector
from agent.store.series import Labels

Grouping = Callable[[Labels], Labels]


def grouping(names: tuple[str, ...] | None, *, without: bool) -> Grouping | None:
    """Return the function that gives the group of a series; None where there is one group.

    Args:
        names: of the clause `by` or `without`, None where there is no clause.
        without: which of the two.
    """
    if without:
        return remover(names or ())
    return keeper(names) if names else None


def _groups(vector: Vector, group: Grouping | None) -> dict[Labels, list[int]]:
    """Return the places of the members of each group."""
    if group is None:
        return {(): [*range(len(vector))]} if vector.labels else {}
    found: dict[Labels, list[int]] = {}
    for place, labels in enumerate(vector.labels):
        found.setdefault(group(labels), []).append(place)
    return found


def _reduced(vector: Vector, groups: dict[Labels, list[int]], values: list[float]) -> Vector:
    """Return one series a group; its name is to be dropped where that of a member is."""
    flags = vector.flags
    if flags is not None:
        flags = [any(flags[place] for place in places) for places in groups.values()]
    return Vector([*groups], values, flags)


def simple(operator: str, inner: VectorExpr, group: Grouping | None) -> VectorExpr:
    """`sum`, `avg`, `min`, `max`, `count`, `group`, `stddev` and `stdvar`."""
    reduce = SIMPLE[operator]

    def at(run: Run, time: int) -> Vector:
        vector = inner.at(run, time)
        groups = _groups(vector, group)
        values = vector.values
        return _reduced(
            vector, groups, [reduce([values[i] for i in places]) for places in groups.values()]
        )

    return VectorExpr(at)


def quantiles(
    rank: ScalarExpr, inner: VectorExpr, group: Grouping | None, site: Site
) -> VectorExpr:
    """`quantile`."""

    def at(run: Run, time: int) -> Vector:
        wanted = rank.at(run, time)
        if run.notes is not None and not 0 <= wanted <= 1:
            run.notes.warn(invalid_quantile(wanted), site, 0)
        vector = inner.at(run, time)
        groups = _groups(vector, group)
        values = vector.values
        found = [quantile(wanted, [values[i] for i in places]) for places in groups.values()]
        return _reduced(vector, groups, found)

    return VectorExpr(at)


def invalid_quantile(wanted: float) -> str:
    """Return the warning for a quantile that is none."""
    shown = written(wanted) if isnan(wanted) else f"{wanted:g}".replace("inf", "Inf")
    return f"quantile value should be between 0 and 1, got {shown}"


def ranked(
    count: ScalarExpr, inner: VectorExpr, group: Grouping | None, *, top: bool
) -> VectorExpr:
    """`topk` and `bottomk`: the foremost of each group, in order, with their own labels."""

    def at(run: Run, time: int) -> Vector:
        wanted = count.at(run, time)
        if isnan(wanted):
            raise EvaluationError("Parameter value is NaN")
        if not -(2.0**63) < wanted < 2.0**63:
            limit = "overflows" if wanted > 0 else "underflows"
            raise EvaluationError(f"Scalar value {written(wanted)} {limit} int64")
        vector = inner.at(run, time)
        if wanted < 1:
            return Vector([], [])
        chosen: list[int] = []
        for places in _groups(vector, group).values():
            chosen += foremost(vector.values, places, int(wanted), top=top)
        return vector.pick(chosen)

    return VectorExpr(at)


def counted_values(
    label: str, inner: VectorExpr, names: tuple[str, ...] | None, *, without: bool
) -> VectorExpr:
    """`count_values`: how many series have each value, which becomes a label."""
    if not label:
        raise EvaluationError('invalid label name ""')
    group = remover(names or ()) if without else keeper((*(names or ()), label))

    def at(run: Run, time: int) -> Vector:
        counts: dict[Labels, float] = {}
        for labels, value in inner.at(run, time):
            key = group(with_label(labels, label, written(value)))
            counts[key] = counts.get(key, 0.0) + 1.0
        return Vector([*counts], [*counts.values()])

    return VectorExpr(at)
