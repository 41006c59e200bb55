"""How many samples one query may have in hand."""

from agent.promql.errors import TooManySamplesError


class Budget:
    """Samples that a query may still take; nothing is ever given back.

    Args:
        samples: how many in all: those fetched, those that subqueries and range queries give, and
            one for each of their steps.
    """

    __slots__ = ("_left",)

    def __init__(self, samples: int) -> None:
        self._left = samples

    def take(self, samples: int) -> None:
        """Take samples.

        Raises:
            TooManySamplesError: so many are not left.
        """
        self._left -= samples
        if self._left < 0:
            raise TooManySamplesError
