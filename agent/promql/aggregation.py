"""Aggregation operators: groups of series become one series, or the foremost of them stay."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan
from typing import Final

from agent.promql.aggregators import SIMPLE, foremost, written
from agent.promql.errors import EvaluationError
from agent.promql.labels import keeper, remover, with_label
from agent.promql.numeric import quantile
from agent.promql.positions import Site
from agent.promql.run import Run, ScalarExpr, VectorExpr
from agent.promql.values import NOTHING, Vector
from agent.store.series import Labels
from agent.store.shape import Shape, once

Grouping = Callable[[Labels], Labels]

_OF_ONE: Final = frozenset({"sum", "avg", "min", "max"})
"""Operators that give the value itself where a group has one series."""


def grouping(names: tuple[str, ...] | None, *, without: bool) -> Grouping | None:
    """Return the function that gives the group of a series; None where there is one group.

    Args:
        names: of the clause `by` or `without`, None where there is no clause.
        without: which of the two.
    """
    if without:
        return remover(names or ())
    return keeper(names) if names else None


@dataclass(frozen=True, slots=True)
class _Groups:
    """The groups of a vector.

    Attributes:
        labels: of each group.
        places: where its members are in the vector.
        alone: whether every member is a group of its own.
    """

    labels: Shape
    places: list[list[int]]
    alone: bool


def _groups(vector: Vector, group: Grouping | None) -> _Groups:
    """Return the groups."""

    def find(labels: Sequence[Labels]) -> _Groups:
        found: dict[Labels, list[int]] = {}
        for place, item in enumerate(labels):
            found.setdefault(() if group is None else group(item), []).append(place)
        return _Groups(Shape(found), [*found.values()], len(found) == len(labels))

    return once(vector.labels, ("groups", group), find)


def _reduced(vector: Vector, groups: _Groups, reduce: Callable[[Sequence[float]], float]) -> Vector:
    """Return one series a group; its name is to be dropped where that of a member is."""
    values, flags = vector.values, vector.flags
    if groups.alone:
        return Vector(groups.labels, [*map(reduce, zip(values, strict=True))], flags)
    if flags is not None:
        flags = [any(flags[place] for place in places) for places in groups.places]
    found = [reduce([values[place] for place in places]) for places in groups.places]
    return Vector(groups.labels, found, flags)


def simple(operator: str, inner: VectorExpr, group: Grouping | None) -> VectorExpr:
    """`sum`, `avg`, `min`, `max`, `count`, `group`, `stddev` and `stdvar`."""
    reduce = SIMPLE[operator]
    plain = operator in _OF_ONE

    def at(run: Run, time: int) -> Vector:
        vector = inner.at(run, time)
        if not vector.labels:
            return NOTHING
        groups = _groups(vector, group)
        if plain and groups.alone:
            return Vector(groups.labels, vector.values, vector.flags)
        return _reduced(vector, groups, reduce)

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
        return _reduced(vector, _groups(vector, group), partial(quantile, wanted))

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
        for places in _groups(vector, group).places:
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
