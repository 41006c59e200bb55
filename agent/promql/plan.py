"""What a query needs from the history: its selectors, and over which times."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from agent.store.series import Matcher, MatchOp


class Edge(Enum):
    """The ends of the query itself, as `@` may name them."""

    START = "start()"
    END = "end()"


@dataclass(frozen=True, slots=True)
class Shift:
    """The modifiers `@` and `offset`, in milliseconds."""

    at: int | Edge | None = None
    offset: int = 0

    def apply(self, time: int, first: int, last: int) -> int:
        """Return the time that is meant, for a query that runs from first to last."""
        if self.at is None:
            base = time
        elif self.at is Edge.START:
            base = first
        elif self.at is Edge.END:
            base = last
        else:
            base = self.at
        return base - self.offset


@dataclass(frozen=True, slots=True)
class Enclosing:
    """A subquery around a selector: it asks for times before those of the query."""

    shift: Shift
    range: int


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector of a query.

    Attributes:
        matchers: conditions on the labels, that on the name included.
        shift: its `@` and `offset`.
        range: milliseconds of a range selector, None for an instant selector.
        path: the subqueries around it, outermost first.
    """

    matchers: tuple[Matcher, ...]
    shift: Shift
    range: int | None
    path: tuple[Enclosing, ...]

    @property
    def metric_name(self) -> str | None:
        """The name of the metric, None where a pattern chooses it."""
        for matcher in self.matchers:
            if matcher.name == "__name__" and matcher.op is MatchOp.EQUAL:
                return matcher.value
        return None

    def span(self, start: int, end: int, lookback: int) -> tuple[int, int]:
        """Return the left-open span of samples that a query from start to end needs."""
        first, last = start, end
        for outer in self.path:
            start = outer.shift.apply(start, first, last) - outer.range
            end = outer.shift.apply(end, first, last)
        start = self.shift.apply(start, first, last)
        end = self.shift.apply(end, first, last)
        return start - (lookback if self.range is None else self.range), end

    def reach(self, lookback: int) -> int:
        """Return how many milliseconds before the time of the query its samples may lie.

        A time fixed by `@` is not reckoned with.
        """
        back = self.shift.offset + (lookback if self.range is None else self.range)
        return back + sum(outer.shift.offset + outer.range for outer in self.path)


def metric_names(selectors: Sequence[Selector]) -> frozenset[str]:
    """Return the names of the metrics that selectors ask for by name."""
    return frozenset(name for item in selectors if (name := item.metric_name) is not None)
