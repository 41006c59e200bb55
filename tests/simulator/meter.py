"""The numbers that a simulated engine counts, as vLLM counts them.

All of them stand in one flat list in a fixed order, `NAMES`, from which both the text page and the
samples of the agent are made.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from tests.simulator.request import Request

FRONTEND: Final = 0.002
"""Seconds between the client's request and the engine's loop, and back."""

LATENCIES: Final = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
FIRST_TOKEN: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
PER_TOKEN: Final = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0),
)
ITERATION: Final = (1.0, *(float(1 << power) for power in range(3, 15)))

FINE: Final = tuple(sorted({*PER_TOKEN, *FIRST_TOKEN, *(0.001 * 1.1**i for i in range(140))}))
"""Bounds of latencies as the truth is kept: a tenth apart, and all of vLLM's own among them."""


def token_bounds(longest: int) -> tuple[float, ...]:
    """Return 1, 2, 5, 10, … up to the longest request that the engine takes."""
    bounds: list[float] = []
    for power in range(10):
        for digit in (1, 2, 5):
            value = digit * 10**power
            if value > longest:
                return tuple(bounds)
            bounds.append(float(value))
    return tuple(bounds)


class Tally:
    """A histogram that is filled one observation at a time."""

    __slots__ = ("bounds", "counts", "picks", "sum")

    def __init__(self, bounds: Sequence[float], shown: Sequence[float] | None = None) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0
        # A fine histogram shows only some of its bounds.
        self.picks = None if shown is None else [self.bounds.index(bound) for bound in shown]

    def observe(self, value: float, times: int = 1) -> None:
        """Count an observation."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    def flat(self) -> list[float]:
        """Return the cumulative counts of the shown buckets, then the count, then the sum."""
        together: list[float] = list(accumulate(self.counts))
        total = together[-1]
        if self.picks is not None:
            together = [together[at] for at in self.picks]
            together.append(total)
        together.append(total)
        together.append(self.sum)
        return together


COUNTS: Final = (
    "queries",
    "hits",
    "preemptions",
    "prompt",
    "computed",
    "cached",
    "generation",
    "stop",
    "length",
)
"""Counters of the engine, in the order of `Meter.counts`."""

GAUGES: Final = ("running", "waiting", "usage")


class Meter:
    """Everything that one engine counts.

    Args:
        longest: tokens of the longest request that the engine takes.

    Attributes:
        counts: the counters named in `COUNTS`.
    """

    def __init__(self, longest: int) -> None:
        tokens = token_bounds(longest)
        self.counts: list[float] = [0] * len(COUNTS)
        self.iteration = Tally(ITERATION)
        self.first_token = Tally(FINE, FIRST_TOKEN)
        self.inter_token = Tally(FINE, PER_TOKEN)
        self.per_token = Tally(PER_TOKEN)
        self.e2e = Tally(LATENCIES)
        self.queue = Tally(LATENCIES)
        self.inference = Tally(LATENCIES)
        self.prefill = Tally(LATENCIES)
        self.decode = Tally(LATENCIES)
        self.prompts = Tally(tokens)
        self.outputs = Tally(tokens)
        self.preempted = Tally((1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0))
        self.kv_computed = Tally(tokens)
        self.tallies: dict[str, Tally] = {
            "iteration_tokens_total": self.iteration,
            "time_to_first_token_seconds": self.first_token,
            "inter_token_latency_seconds": self.inter_token,
            "request_time_per_output_token_seconds": self.per_token,
            "e2e_request_latency_seconds": self.e2e,
            "request_queue_time_seconds": self.queue,
            "request_inference_time_seconds": self.inference,
            "request_prefill_time_seconds": self.prefill,
            "request_decode_time_seconds": self.decode,
            "request_prompt_tokens": self.prompts,
            "request_generation_tokens": self.outputs,
            "request_num_preemptions": self.preempted,
            "request_prefill_kv_computed_tokens": self.kv_computed,
        }

    def answered(self, request: Request, end: float) -> None:
        """Count the first token of a request."""
        request.first = end
        self.counts[3] += request.prompt
        self.counts[4] += request.prompt - request.cached
        self.counts[5] += request.cached
        self.first_token.observe(end - request.arrival + FRONTEND)

    def finished(self, request: Request, end: float) -> None:
        """Count a request that has all its tokens."""
        first, scheduled = request.first, request.scheduled
        self.counts[8] += 1
        self.e2e.observe(end - request.arrival + FRONTEND)
        self.queue.observe(max(0.0, scheduled - request.arrival))
        self.inference.observe(end - scheduled)
        self.prefill.observe(first - scheduled)
        self.decode.observe(end - first)
        if request.output > 1:
            self.per_token.observe((end - first) / (request.output - 1))
        self.prompts.observe(request.prompt)
        self.outputs.observe(request.output)
        self.preempted.observe(request.preempted)
        self.kv_computed.observe(request.prompt - request.cached)

    def flat(self, gauges: Sequence[float]) -> list[float]:
        """Return gauges, counters and histograms in the order that `places` tells."""
        values = [*gauges, *self.counts]
        for tally in self.tallies.values():
            values += tally.flat()
        return values

    def places(self) -> dict[tuple[str, str], int]:
        """Return where each number stands in the flat list, by name and part.

        The part is empty, `count`, `sum` or the bound of a bucket as vLLM writes it.
        """
        found: dict[tuple[str, str], int] = {}
        for name in (*GAUGES, *COUNTS):
            found[name, ""] = len(found)
        for name, tally in self.tallies.items():
            shown = tally.bounds if tally.picks is None else [tally.bounds[i] for i in tally.picks]
            for part in (*(repr(bound) for bound in shown), "+Inf", "count", "sum"):
                found[name, part] = len(found)
        return found


def quantile(counts: Sequence[float], share: float) -> float:
    """Return a quantile of counts over the fine bounds; NaN where there are none."""
    together = list(accumulate(counts))
    total = together[-1]
    if not total:
        return math.nan
    at = bisect_left(together, share * total)
    high = FINE[min(at, len(FINE) - 1)]
    low = FINE[at - 1] if 0 < at < len(FINE) else high / 1.1
    return math.sqrt(low * high)
