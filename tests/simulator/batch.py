"""The requests that an engine executes, and the blocks that they hold.

Decoding requests all take one step after the other together, so none of them is touched while they
do: how far one has come follows from the number of the step at which it began.
"""

import heapq
from dataclasses import dataclass

from tests.simulator.limits import Hold
from tests.simulator.pool import Pool
from tests.simulator.request import Request


@dataclass(slots=True)
class Step:
    """A step that is being executed."""

    end: float
    decode: int
    prefilled: list[tuple[Request, int]]
    hold: Hold


class Batch:
    """What is being executed.

    Args:
        pool: where the blocks are.

    Attributes:
        decoding: requests whose prompt is computed, or is by the end of the step that is being
            executed, the oldest first.
        partial: the request of whose prompt a part is computed.
        decoded: number of steps taken.
        held: tokens that requests have in the KV cache.
        phase: decoding requests that need a further block, by the number of the step modulo the
            size of a block.
    """

    __slots__ = ("_ends", "_serial", "decoded", "decoding", "held", "partial", "phase", "pool")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.decoding: dict[Request, None] = {}
        self.partial: Request | None = None
        self.decoded = 0
        self.held = 0
        self.phase = [0] * pool.block
        self._ends: list[tuple[int, int, Request]] = []
        self._serial = 0

    def __len__(self) -> int:
        """Return how many requests there are."""
        return len(self.decoding) + (self.partial is not None)

    @property
    def next_end(self) -> int:
        """Return the number of the step after which the next request ends; now if it is unknown."""
        return self._ends[0][0] if self._ends else self.decoded

    @property
    def youngest(self) -> Request:
        """Return the request that was admitted last."""
        return self.partial or next(reversed(self.decoding))

    def prefill(self, request: Request, chunk: int) -> None:
        """Take note that the step that begins computes so many tokens of a request."""
        # One that has all then counts as decoding from here on; `start` lets it.
        if request.computed + chunk < request.prompt + request.generated:
            self.partial = request
            return
        if request is self.partial:
            self.partial = None
        self.decoding[request] = None

    def start(self, request: Request) -> None:
        """Let a request decode that has its first token since it was admitted."""
        request.generated += 1
        request.began = self.decoded
        request.end = self.decoded + request.output - request.generated
        length = request.prompt + request.generated
        # It needs a block in the step before which all of its blocks are full.
        self.phase[(self.decoded - length + 1) % self.pool.block] += 1
        self._serial += 1
        heapq.heappush(self._ends, (request.end, self._serial, request))

    def ended(self) -> list[Request]:
        """Return the requests that have all their tokens now; they are still in the batch."""
        found = []
        ends = self._ends
        # Who left and came back stands in the heap twice, with different ends.
        while ends and (ends[0][0] <= self.decoded or ends[0][2].end != ends[0][0]):
            end, _serial, request = heapq.heappop(ends)
            if request.end == end and request.running:
                found.append(request)
        return found

    def leave(self, request: Request, *, last: float, again: bool = False) -> None:
        """Take a request out and its blocks back.

        Args:
            request: one of the batch.
            last: when it had its last token, if it decodes.
            again: whether it will come back.
        """
        pool = self.pool
        if request is self.partial:
            self.partial = None
        else:
            del self.decoding[request]
        if request.end >= 0:
            past = self.decoded - request.began
            length = request.prompt + request.generated
            self.phase[(request.began - length + 1) % pool.block] -= 1
            request.computed = tokens = length - 1 + past
            request.generated += past
            request.last = last
        else:
            tokens = (request.held + pool.shared(request)) * pool.block
        self.held -= request.computed
        pool.release(request, tokens, again=again)
        request.end = -1
        request.running = False
