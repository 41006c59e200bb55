"""What can be wrong with a query."""

from agent.model import InferwatchError


class PromqlError(InferwatchError):
    """A query that cannot be answered; the message is for whoever wrote it.

    Args:
        message: what is wrong.
        position: line and column, both from 1, where it begins, if known.
    """

    def __init__(self, message: str, position: tuple[int, int] | None = None) -> None:
        self.position = position
        where = "" if position is None else f" (line {position[0]}, column {position[1]})"
        super().__init__(message + where)


class UnsupportedError(PromqlError):
    """Valid PromQL that is not evaluated here; the message names it. Raised at load."""


class EvaluationError(PromqlError):
    """A query that is well formed but has no answer on the data it was given."""


class TooManySamplesError(EvaluationError):
    """A query that would need more samples than it may take; the message is Prometheus's."""

    def __init__(self) -> None:
        super().__init__(
            "query processing would load too many samples into memory in query execution"
        )
