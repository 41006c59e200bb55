"""Days of bursty traffic on a simulated fleet, for whoever scales it."""

import random
from functools import cache
from typing import Final

from tests.simulator.capacity import Trial
from tests.simulator.fleet import Fleet
from tests.simulator.law import StepLaw
from tests.simulator.limits import Limits
from tests.simulator.truth import Targets
from tests.simulator.workload import Lengths, Mix, OpenLoop, Rate, Shift, bursts, diurnal

START_MOST: Final = 300
"""Seconds that a replica takes to start at most."""

DAY: Final = 3 * 3600
"""Seconds of the day that is simulated: all that happens in 24 hours happens in 3."""

MOST: Final = 14
INITIAL: Final = 3
"""Replicas at most, and at the beginning."""

TARGETS: Final = Targets(first_token=1.0, inter_token=0.066)
LAW: Final = StepLaw(
    host=0.004, weights=0.036, kv=3.6e-7, token=0.00025, bend=4e-6, sharpness=3.0, jitter=0.06
)
LIMITS: Final = Limits(
    max_num_seqs=32, max_num_batched_tokens=2048, num_blocks=1700, max_model_len=6000
)
MIX: Final = Mix(
    prompt=Lengths(median=400, spread=0.7, least=8, most=3000),
    output=Lengths(median=300, spread=0.6, least=4, most=1500),
)
LATER: Final = Mix(prompt=MIX.prompt, output=Lengths(median=600, spread=0.6, least=4, most=3000))
"""What requests look like in the second half of a day on which they change: twice the answers."""


@cache
def bearable(mix: Mix = MIX) -> tuple[float, float]:
    """Return what one replica truly bears: requests a second, and tokens a minute."""
    trial = Trial(
        law=LAW, mix=mix, limits=LIMITS, targets=TARGETS, criterion="request", requests=3000
    )
    rate, met = trial.rate(trial.saturated().rate)
    return rate, met.tokens if met else 0.0


def traffic(seed: int, *, shifts: bool) -> tuple[Rate, float]:
    """Return requests a second by time, and what they never exceed.

    A day's swing between one and five replicas' worth, times bursts of the 1.8-fold that last ten
    minutes or so, every half an hour or so.

    Args:
        seed: of the bursts.
        shifts: whether requests are others in the second half; as many replicas' worth come.
    """
    before = bearable()[0]
    after = bearable(LATER)[0] if shifts else before
    day = diurnal(0.8, 4.5, day=DAY)
    burst = bursts(1.0, 1.8, calm_for=1500.0, busy_for=600.0, seed=seed)

    def rate(second: float) -> float:
        return day(second) * burst(second) * (before if second < DAY / 2 else after)

    return rate, 8.1 * max(before, after)


def fleet_of(seed: int, *, shifts: bool = False) -> Fleet:
    """Return the fleet of a day; arguments as for `traffic`."""
    rate, highest = traffic(seed, shifts=shifts)
    mix = Shift(DAY / 2, MIX, LATER if shifts else MIX)
    load = OpenLoop(mix, rate, highest=highest, dice=random.Random(seed))  # noqa: S311 - no secret
    return Fleet(law=LAW, limits=LIMITS, targets=TARGETS, workload=load, seed=seed, initial=INITIAL)
