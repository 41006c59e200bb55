"""Which series of two vectors meet, and what the result of each meeting is called.

It follows from the labels alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from agent.promql.errors import EvaluationError
from agent.promql.labels import keeper, remover, shown, value_of, with_label, without_name
from agent.store.series import Labels
from agent.store.shape import Shape

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


@dataclass(frozen=True, slots=True)
class Pairs:
    """The series of two vectors that meet.

    Attributes:
        many: their places on the side of which several may meet the same.
        one: their places on the other side.
        labels: of the results.
    """

    many: list[int]
    one: list[int]
    labels: Shape


class Pairing:
    """Finds the pairs.

    Args:
        matching: how they meet.
        named: the result is still the metric that the left side was.
        unnamed: the result has no name, whatever that of the left side is for.
    """

    def __init__(self, matching: Matching, *, named: bool, unnamed: bool) -> None:
        self._matching = matching
        self._unnamed = unnamed
        self._sign = matching.signature()
        self._result = _result_labels(matching, named=named)

    def __call__(self, many: Sequence[Labels], one: Sequence[Labels]) -> Pairs:
        """Return the series that meet, in the order of the many.

        Raises:
            EvaluationError: more of them do than the query says.
        """
        single = self._matching.cardinality is Cardinality.ONE_TO_ONE
        places = _by_signature(one, self._sign, self._matching)
        matched: set[object] = set()
        pairs: list[tuple[int, int, Labels]] = []
        for here, item in enumerate(many):
            signature = self._sign(item)
            there = places.get(signature)
            if there is None:
                continue
            outcome = self._result(item, one[there])
            if self._unnamed:
                outcome = without_name(outcome)
            _claim(matched, signature, None if single else outcome)
            pairs.append((here, there, outcome))
        return Pairs(
            [here for here, _there, _labels in pairs],
            [there for _here, there, _labels in pairs],
            Shape(labels for _here, _there, labels in pairs),
        )


def _by_signature(
    one: Sequence[Labels], sign: Callable[[Labels], Labels], matching: Matching
) -> dict[Labels, int]:
    """Return the place of each series of the one side; no two may be the same to the other."""
    places: dict[Labels, int] = {}
    for place, labels in enumerate(one):
        signature = sign(labels)
        known = places.setdefault(signature, place)
        if known != place:
            pair = ", ".join(sorted((shown(one[known]), shown(labels))))
            side = "left" if matching.cardinality is Cardinality.ONE_TO_MANY else "right"
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
