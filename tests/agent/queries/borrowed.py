"""A history as the process sees it that answers queries, without the process."""

import json
from collections.abc import Iterator

from agent.framing import Unframer
from agent.queries import wire
from agent.queries.lend import Lender
from agent.queries.memory import Known, borrow
from agent.queries.samples import Samples
from agent.store.history import History
from agent.store.reader import HistoryReader
from agent.store.target import Target


class Borrowed:
    """Makes sources that ask a history over the wire, one for each query.

    Attributes:
        named: the series of which the labels were told.
    """

    def __init__(
        self,
        history: History,
        *,
        reader: HistoryReader | None = None,
        target: Target = Target(),  # noqa: B008 - immutable
        most: int = 1_000_000,
    ) -> None:
        self.lender = Lender(history.lend)
        self.known = Known(target)
        self._reader = reader
        self._most = most
        self.named: list[int] = []

    def source(self) -> Samples:
        """Return what a query asks."""
        return Samples(lambda: borrow(self._ask, self.known), self._reader, most=self._most)

    def _ask(self, asked: bytes) -> Iterator[tuple[int, bytes]]:
        """Pass a frame on and yield what comes back, as bytes that are cut into frames again."""
        ((kind, body),) = Unframer().feed(asked)
        frames = Unframer()
        for answer in self.lender.answer(kind, body):
            for one in frames.feed(answer):
                if one[0] == wire.END:
                    return
                if one[0] == wire.SERIES:
                    self.named += [number for number, *_rest in json.loads(one[1])]
                yield one
