"""Capacities as they may be learned, for the tests of what is made of them."""

from agent.analysis.capacity.estimate import Binding, Interval, Known, Mix, Rates


def rates(tokens: float, *, low: float, high: float) -> Rates:
    """Return a load of a hundred tokens a request, 80 of them prompt."""

    def share(of: float) -> Interval:
        return Interval(of * tokens, of * low, of * high)

    return Rates(
        tokens_per_minute=share(1.0),
        prompt_tokens_per_minute=share(0.8),
        generation_tokens_per_minute=share(0.2),
        requests_per_minute=share(0.01),
    )


def known(
    tokens: float, *, low: float | None = None, binding: Binding = Binding.INTER_TOKEN
) -> Known:
    """Return a capacity of so many tokens a minute."""
    low = 0.9 * tokens if low is None else low
    return Known(
        under_targets=rates(tokens, low=low, high=1.3 * tokens),
        stability=rates(1.2 * tokens, low=1.1 * low, high=1.5 * tokens),
        binding=binding,
        batch=12.0,
        batch_seen=(1.0, 8.0),
        tokens_seen=(0.1 * tokens, 0.6 * tokens),
        evidence_age=40.0,
        evidence=30,
        mix=Mix(
            prompt=80.0,
            output=20.0,
            prompt_share=0.8,
            cached_share=0.1,
            held=90.0,
            requests=400.0,
            since=1_800_000_000.0,
        ),
        concurrent=17.7,
    )
