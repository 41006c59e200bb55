"""One request on its way through a simulated engine."""

import math


class Request:
    """What was asked, and how far it has come. Times are seconds since the beginning.

    Attributes:
        arrival: when it arrived.
        prompt: tokens of its prompt, a shared prefix included.
        output: tokens that it will generate.
        group: whose prefix it shares, -1 for nobody's.
        prefix: tokens of that prefix.
        abort: when its client gives it up; infinite for never.
        scheduled: when it was first executed.
        first: when it had its first token.
        last: when it had its last token before it was thrown out of the batch.
        generated: tokens generated when it last began to decode.
        began: number of the decode step before its first one since then.
        end: number of the decode step that gives its last token; -1 unless it decodes.
        computed: tokens in the KV cache while it does not decode.
        held: blocks of its own while it does not decode.
        cached: prompt tokens that its first execution found in the cache.
        preempted: how often it was thrown out.
        released: blocks handed out until it was thrown out, free blocks then, blocks it left.
    """

    __slots__ = (
        "abort",
        "arrival",
        "began",
        "cached",
        "computed",
        "end",
        "first",
        "generated",
        "group",
        "held",
        "last",
        "output",
        "preempted",
        "prefix",
        "prompt",
        "released",
        "running",
        "scheduled",
    )

    def __init__(
        self,
        arrival: float,
        prompt: int,
        output: int,
        *,
        group: int = -1,
        prefix: int = 0,
        abort: float = math.inf,
    ) -> None:
        self.arrival = arrival
        self.prompt = prompt
        self.output = output
        self.group = group
        self.prefix = prefix
        self.abort = abort
        self.scheduled = -1.0
        self.first = -1.0
        self.last = -1.0
        self.generated = 0
        self.began = 0
        self.end = -1
        self.computed = 0
        self.held = 0
        self.cached = 0
        self.preempted = 0
        self.released: tuple[int, int, int] | None = None
        self.running = False

    def cut(self, longest: int) -> None:
        """Make a request no longer than the engine takes."""
        self.prompt = min(self.prompt, longest - 1)
        self.output = min(self.output, longest - self.prompt)
        self.prefix = min(self.prefix, self.prompt)
