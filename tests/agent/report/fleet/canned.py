"""A querier that answers what a test says."""

from collections.abc import Callable

from agent.promql.values import Matrix, Value, Vector
from agent.store.series import SeriesSamples

Told = Callable[[str], list[tuple[dict[str, str], float]]]


class Canned:
    """Answers every step of a range, and every instant, with the same vector.

    Args:
        told: labels and values by the text of a query.
        kept: seconds before the end of a range for which it has anything.
    """

    def __init__(self, told: Told, *, kept: float) -> None:
        self._kept = kept
        self._told = told
        self.asked: list[str] = []

    def instant(self, text: str, time: float) -> Value:  # noqa: ARG002 - always the same
        """Answer."""
        self.asked.append(text)
        rows = self._told(text)
        return Vector([tuple(sorted(one.items())) for one, _ in rows], [one[1] for one in rows])

    def range(self, text: str, start: float, end: float, step: float) -> Matrix:
        """Answer."""
        self.asked.append(text)
        start = max(start, end - self._kept // step * step)
        times = [start + place * step for place in range(round((end - start) / step) + 1)]
        return Matrix(
            [
                SeriesSamples(tuple(sorted(labels.items())), times, [value] * len(times))
                for labels, value in self._told(text)
            ]
        )
