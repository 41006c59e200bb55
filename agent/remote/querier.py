"""A server as a `Querier`: the questions asked of one host's history, asked of a fleet's."""

import asyncio
import re
from array import array
from collections.abc import Coroutine, Iterator
from typing import Any, Final, Self, TypeVar

from agent.model import SourceError
from agent.promql.errors import PromqlError
from agent.promql.values import Matrix, Value
from agent.remote.client import Client
from agent.remote.values import matrix_of, value_of
from agent.store.series import Labels, SeriesSamples

POINTS: Final = 10_000
"""Steps that are asked at once: Prometheus refuses more than 11,000."""

LONGEST: Final = 28 * 86_400.0
"""Seconds that are asked for at once: servers for many often refuse more than 30 days."""

_SHORTEST: Final = 86_400.0  # in shorter pieces months would be hundreds of queries
# Of Cortex and of Thanos' query frontend; Mimir has a word more in front.
_TOO_LONG: Final = "query time range exceeds the limit"
_WHOLE: Final = re.compile(r"@\s*(?:start|end)\s*\(")

T = TypeVar("T")


class Remote:
    """Asks a server and waits for the answers; see `agent.promql.querier.Querier`.

    A range of more steps, or of a longer time, than a server gives at once is asked in pieces,
    unless the query speaks of its own start or end. Has an event loop of its own, so it must not be
    used on another.

    Args:
        client: the server; nobody else uses it.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._runner = asyncio.Runner()
        self._longest = LONGEST
        self.asked = 0
        """Queries that were sent."""

    @property
    def warnings(self) -> list[str]:
        """What the server said of answers that are not whole."""
        return self._client.warnings

    def missing(self) -> list[str]:
        """Return the same in sentences."""
        return self._client.missing()

    def instant(self, text: str, time: float) -> Value:
        """Return what a query gives at one time; see `Querier`."""
        form = {"query": text, "time": _number(time)}
        return value_of(self._run(self._ask("query", form)), self._client.url)

    def range(self, text: str, start: float, end: float, step: float) -> Matrix:
        """Return what a query gives at every step; see `Querier`."""
        if step <= 0 or end < start:
            raise PromqlError("expected a step above zero, and an end that is not before the start")
        while True:
            try:
                pieces = [
                    matrix_of(self._run(self._ask("query_range", form)), self._client.url)
                    for form in _forms(text, start, end, step, self._longest)
                ]
            except (PromqlError, SourceError) as error:  # the latter where it is told in plain
                if _TOO_LONG not in str(error) or not self._shorter(text, end - start):
                    raise
            else:
                return pieces[0] if len(pieces) == 1 else _joined(pieces)

    def close(self) -> None:
        """Let go of the connection; safe to call twice."""
        try:
            self._run(self._client.aclose())
        finally:
            self._runner.close()
            self._runner = asyncio.Runner()  # costs nothing until it is used: closing twice is safe

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Let go of the connection."""
        self.close()

    def _shorter(self, text: str, span: float) -> bool:
        """Ask for shorter times from now on; return whether that can help with a query."""
        shorter = min(self._longest, span) / 2
        if shorter < _SHORTEST or _WHOLE.search(text):
            return False
        self._longest = shorter
        return True

    def _ask(self, path: str, form: dict[str, str]) -> Coroutine[Any, Any, Any]:
        """Return the request for an answer."""
        self.asked += 1
        return self._client.ask(path, form)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a request comes to."""
        return self._runner.run(work)


def _forms(
    text: str, start: float, end: float, step: float, longest: float
) -> Iterator[dict[str, str]]:
    """Yield the parameters of a range query, piece by piece."""
    last = int((end - start) / step + 1e-6)  # of seconds since 1970 a float has no more digits
    each = last + 1 if _WHOLE.search(text) else min(POINTS, int(longest / step) + 1)
    for first in range(0, last + 1, each):
        until = min(first + each - 1, last)
        yield {
            "query": text,
            "start": _number(start + first * step),
            "end": _number(start + until * step),
            "step": _number(step),
        }


def _number(value: float) -> str:
    """Return seconds to the millisecond, without an exponent."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _joined(pieces: list[Matrix]) -> Matrix:
    """Return the pieces of a range one after the other."""
    times: dict[Labels, array[float]] = {}
    values: dict[Labels, array[float]] = {}
    for piece in pieces:
        for one in piece.series:
            times.setdefault(one.labels, array("d")).extend(one.times)
            values.setdefault(one.labels, array("d")).extend(one.values)
    return Matrix([SeriesSamples(one, times[one], values[one]) for one in sorted(times)])
