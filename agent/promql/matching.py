"""Operators between two vectors: which series meet which, and what they give."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from agent.promql.arithmetic import ARITHMETIC, COMPARISON
from agent.promql.errors import EvaluationError
from agent.promql.labels import keeper, remover, shown, value_of, with_label, without_name
from agent.promql.run import Run, VectorExpr, distinct
from agent.promql.values import Vector
from agent.store.series import Labels

_REMEMBERED: Final = 16_384


class Cardinality(Enum):
    """How many series of one side may meet one of the other."""

    ONE_TO_ONE = 1
    MANY_TO_ONE = 2
    ONE_TO_MANY = 3


@dataclass(frozen=True, slots=True)
class Matching:
    """How the series of two vectors meet.

    Attributes:
        on: only these labels count; else all but these and the name.
        names: the labels.
        cardinality: see there.
        include: labels that the result takes from the one side.
    """

    on: bool = False
    names: tuple[str, ...] = ()
    cardinality: Cardinality = Cardinality.ONE_TO_ONE
    include: tuple[str, ...] = ()

    def signature(self) -> Callable[[Labels], Labels]:
        """Return the function that gives the labels by which series meet."""
        return keeper(self.names) if self.on else remover(self.names)


def set_operator(
    operator: str, left: VectorExpr, right: VectorExpr, matching: Matching
) -> VectorExpr:
    """`and`, `or` and `unless`: choose series by the presence of others."""
    sign = matching.signature()
    first, second = left.at, right.at

    def intersection(run: Run, time: int) -> Vector:
        found = first(run, time)
        if not found.labels:
            return found  # the other side is not even fetched
        present = {*map(sign, second(run, time).labels)}
        return found.pick([i for i, item in enumerate(found.labels) if sign(item) in present])

    def difference(run: Run, time: int) -> Vector:
        found = first(run, time)
        if not found.labels:
            return found
        present = {*map(sign, second(run, time).labels)}
        return found.pick([i for i, item in enumerate(found.labels) if sign(item) not in present])

    def union(run: Run, time: int) -> Vector:
        found, others = first(run, time), second(run, time)
        present = {*map(sign, found.labels)}
        added = others.pick(
            [i for i, item in enumerate(others.labels) if sign(item) not in present]
        )
        flags = None
        if found.flags is not None or added.flags is not None:
            flags = (found.flags or [False] * len(found)) + (added.flags or [False] * len(added))
        return Vector(found.labels + added.labels, found.values + added.values, flags)

    return VectorExpr({"and": intersection, "or": union, "unless": difference}[operator])


def vector_vector(
    operator: str, left: VectorExpr, right: VectorExpr, matching: Matching, *, to_bool: bool
) -> VectorExpr:
    """Arithmetic and comparison between the series that meet."""
    sign = matching.signature()
    result = _result_labels(matching, named=operator in COMPARISON)
    combine = ARITHMETIC.get(operator)
    compare = COMPARISON.get(operator)
    swapped = matching.cardinality is Cardinality.ONE_TO_MANY
    single = matching.cardinality is Cardinality.ONE_TO_ONE

    def at(run: Run, time: int) -> Vector:
        many = left.at(run, time)
        one = right.at(run, time) if many.labels else many  # not fetched for nothing
        if not one.labels:
            return Vector([], [])
        if swapped:
            many, one = one, many
        places = _by_signature(one, sign, swapped=swapped, matching=matching)
        nameless_now = to_bool and not run.options.delayed_names
        matched: set[object] = set()
        labels: list[Labels] = []
        values: list[float] = []
        for item, value in many:
            signature = sign(item)
            place = places.get(signature)
            if place is None:
                continue
            outcome = result(item, one.labels[place])
            if nameless_now:
                outcome = without_name(outcome)
            _claim(matched, signature, None if single else outcome)
            other = one.values[place]
            a, b = (other, value) if swapped else (value, other)
            if combine is not None:
                answer = combine(a, b)
            elif compare is not None and (holds := compare(a, b)) | to_bool:
                answer = float(holds) if to_bool else a
            else:
                continue
            labels.append(outcome)
            values.append(answer)
        vector = Vector(labels, values, [True] * len(labels) if to_bool else None)
        if run.options.delayed_names:
            return vector
        return distinct(Vector(labels, values))

    return VectorExpr(at)


def _by_signature(
    one: Vector, sign: Callable[[Labels], Labels], *, swapped: bool, matching: Matching
) -> dict[Labels, int]:
    """Return the place of each series of the one side; no two may be the same to the other."""
    places: dict[Labels, int] = {}
    for place, labels in enumerate(one.labels):
        signature = sign(labels)
        known = places.setdefault(signature, place)
        if known != place:
            pair = ", ".join(sorted((shown(one.labels[known]), shown(labels))))
            side = "left" if swapped else "right"
            group = shown(signature if matching.on else remover(matching.names)(labels))
            raise EvaluationError(
                f"found duplicate series for the match group {group} on the {side} hand-side of "
                f"the operation: [{pair}];many-to-many matching not allowed: "
                "matching labels must be unique on one side"
            )
    return places


def _claim(matched: set[object], signature: Labels, outcome: Labels | None) -> None:
    """Note a match, or raise where it was made before; the outcome counts with groups only."""
    claim = signature if outcome is None else (signature, outcome)
    if claim in matched:
        raise EvaluationError(
            "multiple matches for labels: many-to-one matching must be explicit "
            "(group_left/group_right)"
            if outcome is None
            else "multiple matches for labels: grouping labels must ensure unique matches"
        )
    matched.add(claim)


def _result_labels(matching: Matching, *, named: bool) -> Callable[[Labels, Labels], Labels]:
    """Return the function from the labels of the many and the one side to the result's.

    Args:
        matching: how they meet.
        named: the result is still the metric that the left side was.
    """
    single = matching.cardinality is Cardinality.ONE_TO_ONE
    kept, dropped = frozenset(matching.names), frozenset(matching.names)

    @lru_cache(maxsize=_REMEMBERED)
    def result(many: Labels, one: Labels) -> Labels:
        labels = many if named else without_name(many)
        if single and matching.on:
            labels = tuple(pair for pair in labels if pair[0] in kept)
        elif single:
            labels = tuple(pair for pair in labels if pair[0] not in dropped)
        for name in matching.include:
            labels = with_label(labels, name, value_of(one, name))
        return labels

    return result
