"""The KV blocks of a simulated engine, shared prefixes among them.

A block that is freed keeps what it holds until it is handed out again, the oldest freed first. So
how much of a freed sequence is still there follows from how many blocks were free when it was
freed and how many were handed out since: nothing has to be kept for each block.
"""

from tests.simulator.request import Request


class Prefix:
    """The blocks of a prefix that requests share.

    Attributes:
        blocks: how many there are, by the first request that had it.
        holders: requests that hold them now.
        left: blocks handed out, blocks free and how many of them were its own, when freed last.
    """

    __slots__ = ("blocks", "holders", "left")

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self.holders = 0
        self.left: tuple[int, int, int] | None = None


class Pool:
    """Counts the blocks.

    Args:
        usable: blocks that requests can have: vLLM keeps one of all for itself.
        block: tokens of a block.
        caching: whether freed blocks are found again.

    Attributes:
        free: blocks that nobody holds.
        taken: blocks handed out so far.
    """

    __slots__ = ("_prefixes", "block", "caching", "free", "taken", "usable")

    def __init__(self, *, usable: int, block: int, caching: bool) -> None:
        self.usable = usable
        self.block = block
        self.caching = caching
        self.free = usable
        self.taken = 0
        self._prefixes: dict[int, Prefix] = {}

    def shared(self, request: Request) -> int:
        """Return how many whole blocks of a request are those of its prefix.

        One that has less of the prefix than the others shares nothing.
        """
        blocks = request.prefix // self.block
        if not (blocks and self.caching and request.group >= 0):
            return 0
        prefix = self._prefixes.get(request.group)
        if prefix is None:
            prefix = self._prefixes[request.group] = Prefix(blocks)
        return prefix.blocks if blocks >= prefix.blocks else 0

    def found(self, request: Request) -> tuple[int, int]:
        """Return how many of a request's first blocks are cached, and how many of them are free."""
        if not self.caching:
            return 0, 0
        held = unheld = 0
        shared = self.shared(request)
        if shared:
            prefix = self._prefixes[request.group]
            held = shared if prefix.holders else self._remaining(prefix.left)
            unheld = 0 if prefix.holders else held
        if held == shared and request.released is not None:
            own = self._remaining(request.released)
            held, unheld = held + own, unheld + own
        return held, unheld

    def needed(self, request: Request, tokens: int) -> int:
        """Return how many free blocks a request takes until it holds so many tokens."""
        shared = self.shared(request)
        own = max(0, -(-tokens // self.block) - shared)
        if shared and not self._prefixes[request.group].holders:
            return own + shared
        return own

    def admit(self, request: Request, tokens: int) -> None:
        """Give a request the blocks for its first tokens."""
        shared = self.shared(request)
        _found, unheld = self.found(request)
        blocks = self.needed(request, tokens)
        if shared:
            self._prefixes[request.group].holders += 1
        self.free -= blocks
        # What is found again is taken out of the middle, not handed out from the front.
        self.taken += max(0, blocks - unheld)
        request.held = max(0, -(-tokens // self.block) - shared)
        request.released = None

    def grow(self, request: Request, tokens: int) -> bool:
        """Give a request the blocks for that many tokens; False if there are too few."""
        want = max(0, -(-tokens // self.block) - self.shared(request))
        more = want - request.held
        if more > self.free:
            return False
        self.take(more)
        request.held = want
        return True

    def take(self, blocks: int) -> None:
        """Hand out blocks."""
        self.free -= blocks
        self.taken += blocks

    def release(self, request: Request, tokens: int, *, again: bool = False) -> None:
        """Take back what a request holds; `again` if it will come back for it."""
        shared = self.shared(request)
        own = max(0, -(-tokens // self.block) - shared)
        self.free += own
        request.held = 0
        if again:
            request.released = (self.taken, self.free, own)
        if shared:
            prefix = self._prefixes[request.group]
            prefix.holders -= 1
            if not prefix.holders:
                self.free += shared
                prefix.left = (self.taken, self.free, shared)

    def _remaining(self, left: tuple[int, int, int] | None) -> int:
        """Return how many blocks of a freed sequence were not handed out since."""
        if left is None:
            return 0
        taken, free, blocks = left
        return max(0, blocks - max(0, self.taken - taken - (free - blocks)))
