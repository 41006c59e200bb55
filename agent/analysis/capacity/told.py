"""What is told of a capacity: intervals, rates, and the mix that they hold for."""

from math import exp, log, sqrt
from typing import Final

from agent.analysis.capacity.estimate import Interval, Limits, Mix, Rates
from agent.analysis.capacity.mix import Seen
from agent.analysis.window import rounded

USABLE: Final = 0.99
"""Share of the KV cache that is in use, on average, while it is what keeps requests waiting."""

_TIMES: Final = 1.645


def around(
    rate: float, slow: float, fast: float, *, own: tuple[float, float], mix: float
) -> Interval:
    """Return an interval from what an unsure law does to a rate, and from other errors.

    All are added as squares in the logarithm.
    """
    if rate <= 0.0:
        return Interval(0.0, 0.0, fast)
    chance = (_TIMES * mix) ** 2
    down = sqrt(log(rate / max(min(slow, rate), 1e-3 * rate)) ** 2 + own[0] ** 2 + chance)
    up = sqrt(log(max(fast, rate) / rate) ** 2 + own[1] ** 2 + chance)
    return Interval(rate, rate * exp(-down), rate * exp(up))


def rates_of(rate: Interval, seen: Seen) -> Rates:
    """Return tokens and requests a minute from requests a second."""

    def times(factor: float) -> Interval:
        return Interval(*(rounded(60.0 * factor * value) for value in rate))

    return Rates(
        tokens_per_minute=times(seen.tokens),
        prompt_tokens_per_minute=times(seen.prompt),
        generation_tokens_per_minute=times(seen.shape.output),
        requests_per_minute=times(1.0) if seen.counted else None,
    )


def mix_of(seen: Seen) -> Mix:
    """Return what people are told of the mix."""
    return Mix(
        prompt=rounded(seen.prompt) if seen.counted else None,
        output=rounded(seen.shape.output) if seen.counted else None,
        prompt_share=rounded(seen.prompt / seen.tokens),
        cached_share=rounded(seen.cached),
        held=rounded(seen.held),
        requests=seen.requests if seen.counted else None,
        since=seen.since,
    )


def concurrent(seen: Seen, limits: Limits) -> float | None:
    """Return how many requests fit into the KV cache."""
    kv = limits.kv_tokens.value
    return None if kv is None else rounded(max(0.0, (USABLE * kv - seen.shared) / seen.held))
