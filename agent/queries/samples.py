"""All samples of a host: those in the agent's memory and those in its file, for one query."""

from array import array
from collections.abc import Callable, Sequence

from agent.promql.budget import Budget
from agent.queries.memory import Memory
from agent.store.database import HistoryError, NoHistoryError
from agent.store.gather import Found, Query, Stretch, bounds, gather
from agent.store.history import TICKS
from agent.store.reader import HistoryReader
from agent.store.series import Labels, Matcher, SeriesSamples, is_stale, milliseconds
from agent.store.spans import visible


class Samples:
    """A source for one query, which it may not make larger than it may be.

    Args:
        borrow: asks the agent what it has in memory; once, when it is needed.
        reader: of the file; None where there is none.
        most: samples that may be read between two calls of `again`.

    Attributes:
        taken: samples read since the last call of `again`.
        warnings: what could not be read.
    """

    def __init__(
        self, borrow: Callable[[], Memory], reader: HistoryReader | None, *, most: int
    ) -> None:
        self._borrow = borrow
        self._memory: Memory | None = None
        self._reader = reader
        self._most = most
        self._budget = Budget(most)
        self.taken = 0
        self.warnings: dict[str, None] = {}

    def again(self) -> None:
        """Take note that what was read so far is no longer held."""
        self.taken = 0
        self._budget = Budget(self._most)

    @property
    def memory(self) -> Memory:
        """What the agent has in memory."""
        if self._memory is None:
            self._memory = self._borrow()
        return self._memory

    def select(
        self, matchers: Sequence[Matcher], start: float, end: float
    ) -> Sequence[SeriesSamples]:
        """Return the series that satisfy every matcher, with their samples in (start, end].

        Raises:
            EvaluationError: they are too many.
        """
        query = Query(tuple(matchers))
        lent = self.memory.stretches
        hot = [_Counted(stretch, self._take) for stretch in lent]
        reader = self._reader
        if reader is None or not self.memory.stored or milliseconds(start) >= self.memory.since:
            return gather(hot, query, start, end)
        leave_out = {stretch.number for stretch in lent if stretch.number is not None}
        try:
            with reader.reading():
                stored = reader.stretches(query, start, end, leave_out=leave_out)
                stretches = [*(_Counted(stretch, self._take) for stretch in stored), *hot]
                return gather(stretches, query, start, end)
        except HistoryError as error:
            self._warn(error)
            return gather(hot, query, start, end)

    def latest(
        self, matchers: Sequence[Matcher], start: float, end: float
    ) -> list[tuple[Labels, float, float]]:
        """Return labels, time and value of the newest sample of each series in (start, end].

        Series that have ended are left out.
        """
        wanted = tuple(matchers)
        if milliseconds(start) < self.memory.since:
            return _last(self.select(wanted, start, end))
        lent = self.memory.stretches
        others = [_Counted(one, self._take) for one in lent if one.stream != TICKS]
        found = _last(gather(others, Query(wanted), start, end))
        rows = [one for one in lent if one.stream == TICKS]
        pieces = visible(bounds(rows), milliseconds(start) + 1, milliseconds(end))
        for piece in reversed(pieces):  # the last may begin with a pause
            newest = rows[piece.stretch].newest(wanted, piece.first, piece.last)
            if newest is not None:
                time, values = newest
                self._take(len(values))
                found += [(labels, time, value) for labels, value in values]
                break
        return found

    def stored(self, matchers: Sequence[Matcher], since: float) -> Sequence[Labels]:
        """Return the series on disk that satisfy every matcher, see `HistoryReader.series`.

        None where memory has all there is since then.
        """
        if self._reader is None or not self.memory.stored:
            return ()
        if milliseconds(since) >= self.memory.since:
            return ()
        try:
            return self._reader.series(matchers, since=since)
        except HistoryError as error:
            self._warn(error)
            return ()

    def _warn(self, error: HistoryError) -> None:
        """Say that the file cannot be read, if it should be there."""
        if not isinstance(error, NoHistoryError):
            self.warnings[str(error)] = None

    def _take(self, samples: int) -> None:
        """Take note of samples.

        Raises:
            EvaluationError: they are too many.
        """
        self.taken += samples
        self._budget.take(samples)


def _last(found: Sequence[SeriesSamples]) -> list[tuple[Labels, float, float]]:
    """Return the last sample of each series that has not ended."""
    return [
        (series.labels, series.times[-1], series.values[-1])
        for series in found
        if not is_stale(series.values[-1])
    ]


class _Counted:
    """A segment of which every sample is counted before it is kept."""

    def __init__(self, stretch: Stretch, take: Callable[[int], None]) -> None:
        self.stream = stretch.stream
        self.first = stretch.first
        self.last = stretch.last
        self._stretch = stretch
        self._take = take

    def samples(self, query: Query, first: int, last: int, found: Found) -> None:
        """Hand over what the query wants of the ticks from `first` to `last`, both included."""

        def counted(labels: Labels, times: "array[float]", values: "array[float]") -> None:
            self._take(len(values))
            found(labels, times, values)

        self._stretch.samples(query, first, last, counted)
