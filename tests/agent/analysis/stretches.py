"""Stretches of work by a known law, for the tests of what learns from them."""

from collections.abc import Callable

import numpy as np

from agent.analysis.step_windows import Stretch

START = 1_800_000_000.0

Law = Callable[[float, float, float], float]
"""Seconds of a step by prompt tokens, sequences and tokens held."""


def linear(prefill: float, decode: float, kv: float) -> float:
    """Return the seconds of a step of an engine that does not bend."""
    return 0.01 + 2e-4 * prefill + 4e-4 * decode + 1e-7 * kv


def bending(prefill: float, decode: float, kv: float) -> float:
    """Return the seconds of a step of an engine that slows down with the square of the batch."""
    return linear(prefill, decode, kv) + 1e-5 * decode * decode


def power(prefill: float, decode: float, kv: float) -> float:
    """Return the seconds of a step by a law that no term of the fitted form is like."""
    return 0.01 + 2e-4 * prefill + 3e-4 * decode**1.3 + 1e-7 * kv


def stretches(
    law: Law,
    *,
    seed: int = 0,
    count: int = 80,
    batch: tuple[float, float] = (1.0, 32.0),
    noise: float = 0.03,
    disturbed: float = 0.0,
    start: float = START,
) -> list[Stretch]:
    """Return stretches of five seconds, the load of which wanders.

    Args:
        law: of a step.
        seed: of chance.
        count: how many.
        batch: range of the batch, even in the logarithm.
        noise: standard deviation of the relative error of a stretch.
        disturbed: share of the stretches that take half as long again.
        start: Unix seconds.
    """
    dice = np.random.default_rng(seed)
    low, high = np.log(batch)
    found = []
    for number in range(count):
        decode = float(np.exp(dice.uniform(low, high)))
        prefill = decode * dice.uniform(0.5, 4.0)
        held = decode * dice.uniform(200.0, 600.0)
        seconds = law(prefill, decode, held) * float(np.exp(dice.normal(0.0, noise)))
        if dice.random() < disturbed:
            seconds *= 1.5
        found.append(
            Stretch(
                time=start + 5.0 * number,
                steps=5.0 / seconds,
                seconds=seconds,
                prefill=prefill,
                decode=decode,
                kv=held,
                decode_squared=decode * decode,
            )
        )
    return found
