"""What is said of a result, put into words once for each result: most stand for many ticks."""

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeAlias, TypeVar

from agent.analysis.window import rounded
from agent.model import Metric

T = TypeVar("T")
Sample: TypeAlias = tuple[Metric, tuple[str, ...], float]
"""Metric, further label values and value."""


class SaidOnce(Generic[T]):
    """Keeps what is said of the last result of one part.

    Args:
        say: yields the samples of a result, which nobody changes once it is there.
    """

    def __init__(self, say: Callable[[T], Iterable[Sample]]) -> None:
        self._say = say
        self._result: T | None = None
        self._samples: Sequence[Sample] = ()

    def of(self, result: T) -> Sequence[Sample]:
        """Return what is said of a result, with no digits that mean nothing."""
        if result is not self._result:
            self._samples, self._result = in_short(self._say(result)), result
        return self._samples


def in_short(samples: Iterable[Sample]) -> list[Sample]:
    """Return samples with no digits that mean nothing."""
    return [(metric, labels, rounded(value)) for metric, labels, value in samples]
