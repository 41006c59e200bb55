"""Scenarios of engines whose KV cache is small, as real ones showed them.

In a cache for a dozen requests each that comes or goes moves the fill by a tenth, and
`max_num_seqs` is near what the cache holds: either it keeps the cache from ever being full,
whatever waits, or the cache is full within seconds of the first sign. Who starts an engine with a
small limit says so on its command line, where the agent finds it: in what is about the limit it is
known.
"""

import math
import random
from dataclasses import replace
from typing import Final

from tests.simulator.causes import CALM, side, site
from tests.simulator.disturb import HostLoad
from tests.simulator.plan import Plan, draw
from tests.simulator.simulation import Simulation
from tests.simulator.workload import Evenly, Mix, Rate, ramp

_DAY: Final = 1200
"""Seconds of a day."""


def _small(
    dice: random.Random, *, most: int, filled: tuple[float, float], again: float = 3.0
) -> Plan:
    """Return an engine with a KV cache of which so many requests fill a share on average.

    Args:
        dice: where chance comes from.
        most: `max_num_seqs`.
        filled: range of the share that so many requests fill.
        again: the longest prompt, and answer, as a multiple of the shortest.
    """
    plan = draw(dice, step=(0.008, 0.05), knee=(12.0, 80.0))
    prompt, output = round(dice.uniform(32.0, 250.0)), round(dice.uniform(24.0, 160.0))
    prompts, outputs = (Evenly(least, round(again * least)) for least in (prompt, output))
    mix = Mix(prompt=prompts, output=outputs, aborted=plan.mix.aborted, patience=10.0)
    block = plan.limits.block_size
    each = prompts.mean + 0.5 * outputs.mean + 0.5 * block
    longest = prompts.most + outputs.most
    tokens = max(most * each / dice.uniform(*filled), longest + block)
    limits = {"max_num_seqs": most, "max_model_len": longest}
    plan = replace(plan, mix=mix)
    return plan.with_limits(num_blocks=math.ceil(tokens / block) + 1, **limits)


def _there_and_back(low: float, high: float, *, grows: float, lasts: float) -> Rate:
    """Return a rate that grows in a straight line, stays, and is low again at once."""
    up = ramp(low, high, begin=CALM, length=grows)
    return lambda time: low if time > CALM + grows + lasts else up(time)


def kv_limited_queue(dice: random.Random) -> Simulation:
    """Return a queue for places in the batch, which all together do not fill the KV cache."""
    most = dice.randint(8, 32)
    plan = _small(dice, most=most, filled=(0.55, 0.72), again=2.0)
    low = plan.bearable(0.3 * most)
    plan = plan.bearing(plan.open(low, side(dice)), margin=2.0)
    high = dice.uniform(1.2, 2.5) * plan.rate(most)
    grows, lasts = dice.uniform(20.0, 240.0), dice.uniform(90.0, 240.0)
    rate = _there_and_back(low, high, grows=grows, lasts=lasts)
    return site(plan, plan.open(rate, dice, highest=high), dice, seconds=900, told=True)


def kv_starved(dice: random.Random) -> Simulation:
    """Return an engine that is kept from its CPU for minutes: the batch fills, the cache cannot."""
    most = dice.randint(8, 32)
    plan = _small(dice, most=most, filled=(0.55, 0.72), again=2.0)
    rate = plan.bearable(dice.uniform(0.15, 0.35) * most)
    plan = plan.bearing(plan.open(rate, side(dice)), margin=2.0)
    host = dice.uniform(3.0, 10.0) * plan.step(most)
    end = CALM + dice.uniform(120.0, 240.0)
    starved = HostLoad(begin=CALM, end=end, host=host, cores=dice.uniform(0.0, 20.0))
    engine = plan.open(rate, dice)
    return site(plan, engine, dice, disturbances=[starved], seconds=900, told=True)


def _bell(value: float, middle: float, width: float) -> float:
    return math.exp(-0.5 * ((value - middle) / width) ** 2)


def kv_small_day(dice: random.Random) -> Simulation:
    """Return a day in twenty minutes at which a full batch does not quite fill a small cache."""
    most = dice.randint(10, 24)
    plan = _small(dice, most=most, filled=(0.6, 0.72), again=2.5)
    high = plan.bearable(dice.uniform(0.6, 0.85) * most, share=0.95)
    low = 0.12 * high
    plan = plan.bearing(plan.open(0.5 * high, side(dice)), margin=2.0)

    def rate(time: float) -> float:
        share = time / _DAY
        humps = 0.75 * _bell(share, 0.45, 0.10) + _bell(share, 0.70, 0.11)
        return low + (high - low) * min(1.0, humps)

    return site(plan, plan.open(rate, dice, highest=high), dice, seconds=_DAY, told=True)


def kv_small_ramp(dice: random.Random) -> Simulation:
    """Return a ramp of two to six minutes that the batch can bear and a small cache cannot."""
    fits = dice.randint(10, 24)
    plan = _small(dice, most=fits, filled=(0.9, 1.0)).with_limits(
        max_num_seqs=round(dice.uniform(1.6, 3.0) * fits)
    )
    low = plan.bearable(0.2 * fits)
    plan = plan.bearing(plan.open(low, side(dice)), margin=2.0)
    high = dice.uniform(1.3, 2.0) * max(plan.rate(fits), low)
    begin = CALM + dice.uniform(0.0, 60.0)
    rate = ramp(low, high, begin=begin, length=dice.uniform(120.0, 360.0))
    return site(plan, plan.open(rate, dice, highest=high), dice, seconds=700, trend=begin)
