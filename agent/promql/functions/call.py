"""What a function is built from: its arguments, already compiled and of the right types."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agent.promql.positions import Site
from agent.promql.run import Expr, RangeExpr, ScalarExpr, StringExpr, VectorExpr


@dataclass(frozen=True, slots=True)
class Call:
    """One call in a query; the parser has checked number and types of the arguments."""

    site: Site
    arguments: Sequence[Expr]

    def __len__(self) -> int:
        """Return how many arguments there are."""
        return len(self.arguments)

    def scalar(self, index: int) -> ScalarExpr:
        """Return an argument that is a number."""
        found = self.arguments[index]
        if not isinstance(found, ScalarExpr):
            raise TypeError(found)
        return found

    def vector(self, index: int) -> VectorExpr:
        """Return an argument that is a vector."""
        found = self.arguments[index]
        if not isinstance(found, VectorExpr):
            raise TypeError(found)
        return found

    def range(self, index: int) -> RangeExpr:
        """Return an argument that is a range."""
        found = self.arguments[index]
        if not isinstance(found, RangeExpr):
            raise TypeError(found)
        return found

    def text(self, index: int) -> str:
        """Return an argument that is a string."""
        found = self.arguments[index]
        if not isinstance(found, StringExpr):
            raise TypeError(found)
        return found.text


Build: TypeAlias = Callable[[Call], Expr]
"""How a call is compiled; one for each function in the tables of this package."""
