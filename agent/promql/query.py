"""Reading a query: text in, something that can be planned and evaluated out."""

from collections.abc import Sequence
from dataclasses import dataclass

import promql_parser

from agent.promql.build import KNOWN_CALLS, Builder
from agent.promql.errors import PromqlError
from agent.promql.plan import Selector, metric_names
from agent.promql.positions import refuse_dangerous, refuse_endless, sites, tokens
from agent.promql.run import Expr
from agent.promql.strings import joined_bytes

_LONGEST = 65_536


@dataclass(frozen=True, slots=True)
class Query:
    """A compiled query; it keeps no state and may be evaluated any number of times.

    Attributes:
        text: as written.
        root: the compiled expression.
        selectors: what it asks of the history.
    """

    text: str
    root: Expr
    selectors: Sequence[Selector]

    def metric_names(self) -> frozenset[str]:
        """Return the names of the metrics that it asks for by name."""
        return metric_names(self.selectors)

    def reach(self, lookback: float = 300.0) -> float:
        """Return how many seconds before its time the oldest sample may lie that it asks for."""
        spans = (item.reach(round(lookback * 1000)) for item in self.selectors)
        return max(spans, default=0) / 1000


def parse(text: str, *, experimental: bool = False) -> Query:
    """Read a query.

    Args:
        text: PromQL.
        experimental: take functions that Prometheus has behind a feature flag.

    Raises:
        PromqlError: it is no PromQL.
        UnsupportedError: it is, but asks for what is not evaluated here; the message names it.
    """
    if len(text) > _LONGEST:
        raise PromqlError(f"longer than {_LONGEST} characters")
    found = tokens(text)
    refuse_dangerous(found, text)
    refuse_endless(found, text)
    try:
        tree = promql_parser.parse(joined_bytes(found, text))
        builder = Builder(sites(found, text, KNOWN_CALLS), experimental)
        root = builder.build(tree)
    except (OverflowError, RecursionError, ValueError) as error:
        raise PromqlError(str(error)) from error
    return Query(text, root, tuple(builder.selectors))
