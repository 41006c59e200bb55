"""Range queries piece by piece, so that a week of samples is never in memory at one time.

Every step of a range query stands for itself, so the result of a part of the steps is a part of the
result. How many steps a piece has follows from how many samples the one before needed.
"""

from typing import Final

from agent.promql import Matrix, Notes, Options, Query, evaluate_range
from agent.promql.budget import Budget
from agent.promql.errors import TooManySamplesError
from agent.queries.samples import Samples
from agent.store.series import Labels, SeriesSamples, milliseconds

_FIRST: Final = 3_600.0
"""Seconds of the first piece, unless the query looks back further."""

_SHRINK: Final = 4
_SPARSE: Final = 500  # pieces of one step each; with more, what is read twice costs less


def evaluate_in_pieces(
    query: Query,
    source: Samples,
    *,
    start: float,
    end: float,
    step: float,
    enough: int,
    options: Options,
    notes: Notes,
) -> Matrix:
    """Return what `evaluate_range` does.

    Args:
        query: a number or a vector.
        source: where samples come from.
        start: Unix seconds.
        end: Unix seconds.
        step: seconds.
        enough: samples that a piece should need.
        options: how it is evaluated.
        notes: takes warnings and infos.

    Raises:
        PromqlError: see `evaluate_range`.
        EvaluationError: likewise; also where a single step needs too many samples.
    """
    first, last, every = milliseconds(start), milliseconds(end), max(1, milliseconds(step))
    joined = _Joined(options.max_samples)
    size = _first_size(query, (last - first) // every + 1, step, options)
    while first <= last:
        count = min(size, (last - first) // every + 1)
        until = first + (count - 1) * every
        source.again()
        try:
            found = evaluate_range(
                query,
                source,
                first / 1000,
                until / 1000,
                every / 1000,
                options=options,
                notes=notes,
            )
        except TooManySamplesError:
            if count == 1 or _fixed(query):
                raise
            size = max(1, count // _SHRINK)
            continue
        joined.add(found)
        first = until + every
        if size > 1 and source.taken * 2 < enough:
            size = count * 2
        elif source.taken > enough:
            size = max(1, count // 2)
    return joined.matrix()


def _first_size(query: Query, steps: int, step: float, options: Options) -> int:
    """Return how many steps the first piece should have."""
    if _fixed(query):
        return steps
    reach = query.reach(options.lookback)
    if step >= 2 * reach and steps <= _SPARSE:
        return 1  # what lies between the steps is not read
    return max(2, int(max(_FIRST, reach) / step))


def _fixed(query: Query) -> bool:
    """Return whether a query may ask for its own start or end, which a piece has not."""
    text = query.text.lower()
    return "@" in text and ("start" in text or "end" in text)


class _Joined:
    """Series that grow from piece to piece; all of their samples are in memory.

    Args:
        most: samples that there may be.
    """

    def __init__(self, most: int) -> None:
        self._budget = Budget(most)
        self._series: dict[Labels, tuple[list[float], list[float]]] = {}

    def add(self, found: Matrix) -> None:
        """Append a piece."""
        for item in found.series:
            self._budget.take(len(item.times))
            times, values = self._series.setdefault(item.labels, ([], []))
            times += item.times
            values += item.values

    def matrix(self) -> Matrix:
        """Return the whole, sorted by labels."""
        return Matrix(
            [SeriesSamples(labels, *both) for labels, both in sorted(self._series.items())]
        )
