"""Label sets that come again each second, and what was worked out of them.

Rules ask for the same series over and over. Which of two vectors' series meet, what they are
called without their name, which belong to one group: all that follows from the labels alone, so
it is worked out once for as long as the labels stand and not once for each evaluation.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, TypeVar

from agent.store.series import Labels

_T = TypeVar("_T")

_REMEMBERED: Final = 64  # things known of one shape; queries of people come and go


class Shape(tuple[Labels, ...]):  # noqa: SLOT001 - has what it remembers as well
    """Label sets in an order that stands."""

    _known: dict[Hashable, Any]

    def once(self, key: Hashable, make: Callable[["Shape"], _T]) -> _T:
        """Return what a function makes of these labels, worked out on first sight.

        Args:
            key: names the function; the function itself where that is one of its kind.
            make: gives the same for the same labels, always; what it raises is not remembered.
        """
        try:
            known = self._known
        except AttributeError:
            known = self._known = {}
        found: _T
        try:
            found = known[key]
        except KeyError:
            found = make(self)
            if len(known) >= _REMEMBERED:
                known.clear()
            known[key] = found
        return found

    def once_with(
        self, other: "Shape", key: Hashable, make: Callable[["Shape", "Shape"], _T]
    ) -> _T:
        """Return what a function makes of these labels and others, worked out on first sight.

        Args:
            other: the others; the same object each time, or it is no gain.
            key: names the function.
            make: as for `once`.
        """
        # By identity: to compare hundreds of labels would cost what is to be saved. The entry
        # holds the other shape, so that no younger one can have its identity.
        return self.once((key, id(other)), lambda shape: (make(shape, other), other))[0]

    def where(self, mask: tuple[bool, ...]) -> "Shape":
        """Return the label sets at which the mask is true."""
        return self.once(
            mask, lambda shape: Shape(item for item, kept in zip(shape, mask, strict=True) if kept)
        )


EMPTY: Final = Shape()
"""No labels at all."""


def once(labels: Sequence[Labels], key: Hashable, make: Callable[[Sequence[Labels]], _T]) -> _T:
    """Return what a function makes of labels, remembered if they are a shape; see `Shape.once`."""
    return labels.once(key, make) if isinstance(labels, Shape) else make(labels)


def once_with(
    labels: Sequence[Labels],
    others: Sequence[Labels],
    key: Hashable,
    make: Callable[[Sequence[Labels], Sequence[Labels]], _T],
) -> _T:
    """Return what a function makes of two, remembered if both are shapes."""
    if isinstance(labels, Shape) and isinstance(others, Shape):
        return labels.once_with(others, key, make)
    return make(labels, others)
