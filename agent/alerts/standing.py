"""Results of rules that stand until something changes that they were made of."""

from agent.alerts.source import OneTick
from agent.promql import Query, Value, evaluate_instant
from agent.promql.reads import Reads
from agent.store.series import milliseconds
from agent.store.watch import Watched


class Standing:
    """The result of a query, at one tick after the other.

    A healthy host's counters of errors, states and sizes stand still, and so does what is asked
    of them. What was read is noted, also that an operand was not evaluated because the other
    had no result; while none of it changes, nothing is evaluated.

    Args:
        query: what is asked.
    """

    __slots__ = ("_query", "_row", "_shortest", "_value", "_watched")

    def __init__(self, query: Query) -> None:
        self._query = query
        self._value: Value | None = None
        self._watched: Watched | None = None
        self._row = -1
        self._shortest = 0.0

    def stands(self, tick: OneTick, time: float) -> bool:
        """Return whether the last result is that of this time, too."""
        return (
            self._value is not None
            and self._watched is not None
            and tick.steady(self._watched, self._row, self._shortest, time)
        )

    def at(self, tick: OneTick, time: float) -> Value:
        """Return the result at a time.

        Raises:
            EvaluationError: it has none.
        """
        if self.stands(tick, time) and self._value is not None:
            return self._value
        self._value = None
        reads = Reads()
        value = evaluate_instant(self._query, tick, time, reads=reads)
        recent = tick.recent
        if reads.steady and recent is not None and recent.last == milliseconds(time):
            matchers = [*reads.matchers]
            if self._watched is None or self._watched.matchers != matchers:
                self._watched = recent.watch(matchers)
            self._value, self._row, self._shortest = value, recent.row, reads.shortest
        return value
