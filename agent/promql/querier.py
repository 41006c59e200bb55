"""One way to ask, whoever has the samples: the history of a host, or a server for a fleet."""

from typing import Protocol

from agent.promql.evaluate import evaluate_instant, evaluate_range
from agent.promql.query import parse
from agent.promql.run import Options
from agent.promql.values import Matrix, Value
from agent.store.series import Source

_DEFAULT = Options()


class Querier(Protocol):
    """Answers queries; `Embedded` here, `agent.remote` over the Prometheus HTTP API.

    Every method blocks until there is an answer, and raises `PromqlError` for a query that is
    wrong, or that has no answer, and `SourceError` or `HistoryError` where the samples cannot
    be had.
    """

    def instant(self, text: str, time: float) -> Value:
        """Return what a query gives at one time.

        Args:
            text: PromQL.
            time: Unix seconds.
        """
        ...

    def range(self, text: str, start: float, end: float, step: float) -> Matrix:
        """Return what a query gives at every step from start to end, both included.

        Args:
            text: PromQL, of a number or a vector.
            start: Unix seconds.
            end: Unix seconds.
            step: seconds.
        """
        ...


class Embedded:
    """Evaluates queries here.

    Args:
        source: where samples come from.
        options: how queries are evaluated.
    """

    def __init__(self, source: Source, *, options: Options = _DEFAULT) -> None:
        self._source = source
        self._options = options

    def instant(self, text: str, time: float) -> Value:
        """Return what a query gives at one time; see `Querier`."""
        query = parse(text, experimental=True)
        return evaluate_instant(query, self._source, time, options=self._options)

    def range(self, text: str, start: float, end: float, step: float) -> Matrix:
        """Return what a query gives at every step; see `Querier`."""
        query = parse(text, experimental=True)
        return evaluate_range(query, self._source, start, end, step, options=self._options)
