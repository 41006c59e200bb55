"""What a query evaluates to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Final, TypeAlias

from agent.store.series import Labels, SeriesSamples
from agent.store.shape import EMPTY, Shape


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number without labels."""

    value: float


@dataclass(frozen=True, slots=True)
class String:
    """A string literal."""

    value: str


@dataclass(slots=True)
class Vector:
    """At most one value for each label set, all at one time.

    Nobody changes one; it is not frozen because some hundred are made each second.

    Attributes:
        labels: one for each value, no two equal in a result; a `Shape` where they are likely to
            come again.
        values: parallel to the labels.
        flags: inside an evaluation with delayed names, whether the name of each series is to
            be dropped at the end; None where none is. Always None in a result.
    """

    labels: Sequence[Labels]
    values: list[float]
    flags: list[bool] | None = None

    def __len__(self) -> int:
        """Return how many series there are."""
        return len(self.labels)

    def __iter__(self) -> Iterator[tuple[Labels, float]]:
        """Give labels and value of each series."""
        return zip(self.labels, self.values, strict=True)

    def where(self, mask: Sequence[bool]) -> "Vector":
        """Return the series at which the mask is true."""
        if all(mask):
            return self
        if not any(mask):
            return NOTHING
        labels, flags = self.labels, self.flags
        return Vector(
            labels.where(tuple(mask)) if isinstance(labels, Shape) else [*compress(labels, mask)],
            [*compress(self.values, mask)],
            None if flags is None else [*compress(flags, mask)],
        )

    def pick(self, places: Sequence[int]) -> "Vector":
        """Return the series at these places, in this order."""
        labels, values, flags = self.labels, self.values, self.flags
        return Vector(
            [labels[place] for place in places],
            [values[place] for place in places],
            None if flags is None else [flags[place] for place in places],
        )


NOTHING: Final = Vector(EMPTY, [])
"""A vector without series."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Series with several samples each; of a range query, sorted by labels."""

    series: list[SeriesSamples]


Value: TypeAlias = Scalar | String | Vector | Matrix
