"""Scenarios about what runs out, when, and about what only looks as if it would.

The simulation notes when something truly ran out: `Simulation.exhaustions`.
"""

import math
import random
from dataclasses import replace

from tests.simulator.causes import CALM, calm_batch, side, site
from tests.simulator.disturb import (
    Disturbance,
    EngineGrowth,
    HostLeak,
    HostLoad,
    Tenant,
    Throttle,
)
from tests.simulator.engine import Engine
from tests.simulator.hosts import GIB, Host
from tests.simulator.plan import Plan, draw
from tests.simulator.simulation import Simulation
from tests.simulator.workload import (
    ClosedLoop,
    Lengths,
    Mix,
    OpenLoop,
    Shift,
    Together,
    Trains,
    bursts,
    diurnal,
    ramp,
    steps,
)

_FREE = 9 * GIB  # of device memory, as `site` lays it out


def _tight(dice: random.Random, fits: tuple[float, float] = (20.0, 80.0)) -> tuple[Plan, float]:
    """Return an engine whose KV cache is what gets full first, and how many requests it holds."""
    plan = draw(dice, step=(0.005, 0.2), prompt=(60.0, 600.0), output=(100.0, 400.0))
    count = dice.uniform(*fits)
    tokens = max(2.0 * plan.limits.max_model_len, count * plan.held)
    plan = plan.with_limits(num_blocks=round(tokens / plan.limits.block_size) + 1, max_num_seqs=512)
    return plan, tokens / plan.held


def _ramp(dice: random.Random, length: tuple[float, float], seconds: int) -> Simulation:
    """Return an engine whose load grows in a straight line until its KV cache is full."""
    plan, fits = _tight(dice)
    low = plan.bearable(max(1.0, 0.3 * fits))
    plan = plan.bearing(plan.open(low, side(dice)), margin=2.0)
    high = 1.3 * max(plan.rate(fits), low)
    begin = CALM + dice.uniform(0.0, 60.0)
    rate = ramp(low, high, begin=begin, length=dice.uniform(*length))
    return site(plan, plan.open(rate, dice, highest=high), dice, seconds=seconds, trend=begin)


def kv_slow_ramp(dice: random.Random) -> Simulation:
    """Return a ramp of five to fifteen minutes."""
    return _ramp(dice, (300.0, 900.0), 1500)


def kv_fast_ramp(dice: random.Random) -> Simulation:
    """Return a ramp of one to four minutes."""
    return _ramp(dice, (60.0, 240.0), 700)


def kv_jump(dice: random.Random) -> Simulation:
    """Return an engine whose load jumps to more than its KV cache can hold."""
    plan, fits = _tight(dice)
    low = plan.bearable(max(1.0, 0.3 * fits))
    plan = plan.bearing(plan.open(low, side(dice)), margin=2.0)
    high = dice.uniform(1.6, 3.0) * max(plan.rate(fits), low)
    begin = CALM + dice.uniform(0.0, 60.0)
    engine = plan.open(steps((0.0, low), (begin, high)), dice, highest=high)
    return site(plan, engine, dice, seconds=500, trend=begin)


def kv_longer_answers(dice: random.Random) -> Simulation:
    """Return an engine whose requests become longer at a time."""
    plan, fits = _tight(dice)
    lengths = Lengths(median=4.0 * plan.output, spread=0.5, most=plan.limits.max_model_len)
    longer = replace(plan.mix, output=lengths)
    low = plan.bearable(max(1.0, 0.5 * fits))
    plan = plan.bearing(plan.open(low, side(dice)), margin=2.0)
    begin = CALM + dice.uniform(0.0, 60.0)
    engine = plan.open(low, dice, mix=Shift(begin, plan.mix, longer))
    return site(plan, engine, dice, seconds=700, trend=begin)


def _leaking(dice: random.Random, happens: Disturbance, seconds: int, host: Host) -> Simulation:
    """Return an engine at ease beside which memory goes away."""
    plan = draw(dice, step=(0.005, 0.1))
    rate = plan.bearable(calm_batch(plan, dice))
    plan = plan.bearing(plan.open(rate, side(dice)))
    engine = plan.open(rate, dice)
    return site(
        plan, engine, dice, disturbances=[happens], seconds=seconds, host=host, trend=happens.begin
    )


def device_leak(dice: random.Random) -> Simulation:
    """Return an engine whose device memory outside the pool grows until none is left."""
    lasts = dice.uniform(400.0, 2400.0)
    growth = EngineGrowth(begin=CALM, growth=_FREE / lasts)
    return _leaking(dice, growth, round(CALM + lasts) + 30, _host(dice))


def tenant_leak(dice: random.Random) -> Simulation:
    """Return a GPU on which another process takes ever more memory."""
    lasts = dice.uniform(400.0, 2400.0)
    growth = Tenant(begin=CALM, memory=1 * GIB, growth=(_FREE - GIB) / lasts)
    return _leaking(dice, growth, round(CALM + lasts) + 30, _host(dice))


def host_leak(dice: random.Random) -> Simulation:
    """Return a host whose main memory goes away until none is left."""
    lasts = dice.uniform(400.0, 3000.0)
    host = _host(dice)
    wobble = dice.uniform(0.0, 3e8)
    leak = HostLeak(begin=CALM, growth=(host.total - host.taken) / lasts, wobble=wobble)
    return _leaking(dice, leak, round(CALM + lasts) + 30, host)


def _host(dice: random.Random) -> Host:
    """Return a host."""
    return Host(
        taken=dice.uniform(30.0, 70.0) * GIB,
        wobble=dice.uniform(1e6, 2e8),
        dice=random.Random(dice.randrange(1 << 30)),
    )


# --- what only looks so ---------------------------------------------------------------------


def full_without_waiting(dice: random.Random) -> Simulation:
    """Return a KV cache that is all but full, always, with nobody waiting for it."""
    plan = draw(dice, step=(0.005, 0.1), prompt=(400.0, 1200.0), lump=40.0)
    block = plan.limits.block_size
    prompt, output = round(plan.prompt), max(8, round(0.1 * plan.prompt))
    plan = replace(plan, mix=Mix(prompt=Lengths(median=prompt), output=Lengths(median=output)))
    each = -(-(prompt + output) // block)
    clients = dice.randrange(12, 40)
    plan = plan.with_limits(num_blocks=clients * each + 2, max_model_len=prompt + output)

    def engine(own: random.Random) -> Engine:
        load = ClosedLoop(plan.mix, [(2.0 * n, n + 1) for n in range(clients)], dice=own)
        return plan.engine(load, own)

    plan = plan.bearing(engine(side(dice)), margin=1.7)
    return site(plan, engine(dice), dice)


def short_queue(dice: random.Random) -> Simulation:
    """Return an engine at which many requests arrive at once, now and then, and wait a moment."""
    plan = draw(dice, step=(0.005, 0.02), knee=(100.0, 300.0), prompt=(60.0, 200.0))
    plan = plan.with_limits(max_num_batched_tokens=2048)
    rate = plan.bearable(calm_batch(plan, dice))
    count = round(dice.uniform(1.5, 3.0) * 2048.0 / plan.prompt)

    def engine(own: random.Random) -> Engine:
        load = OpenLoop(plan.mix, lambda _time: rate, highest=rate, dice=own)
        trains = Trains(plan.mix, period=70.0, count=count, dice=own, first=100.0)
        return plan.engine(Together(load, trains), own)

    plan = plan.bearing(engine(side(dice)), margin=3.0)
    return site(plan, engine(dice), dice)


def kv_sawtooth(dice: random.Random) -> Simulation:
    """Return a KV cache that fills up to most of it again and again, and empties each time."""
    plan, fits = _tight(dice)
    count = max(3, round(dice.uniform(0.55, 0.7) * fits))
    lasts = plan.output * plan.step(count)
    plan = plan.with_limits(max_num_batched_tokens=8192)

    def engine(own: random.Random) -> Engine:
        trains = Trains(plan.mix, period=max(20.0, 3.0 * lasts), count=count, dice=own)
        return plan.engine(trains, own)

    plan = plan.bearing(engine(side(dice)), margin=2.0)
    return site(plan, engine(dice), dice, seconds=1200)


def kv_burst(dice: random.Random) -> Simulation:
    """Return bursts that fill the KV cache up to most of it, and no more."""
    plan, fits = _tight(dice)
    low = plan.bearable(max(1.0, 0.2 * fits))
    count = max(1, round(dice.uniform(0.3, 0.45) * fits))

    def engine(own: random.Random) -> Engine:
        load = OpenLoop(plan.mix, lambda _time: low, highest=low, dice=own)
        trains = Trains(plan.mix, period=200.0, count=count, dice=own, first=CALM)
        return plan.engine(Together(load, trains), own)

    plan = plan.bearing(engine(side(dice)), margin=3.0)
    return site(plan, engine(dice), dice, seconds=1000)


def kv_steady_high(dice: random.Random) -> Simulation:
    """Return a KV cache whose fill moves about a high level and never reaches the top."""
    plan, fits = _tight(dice, (120.0, 200.0))
    rate = plan.bearable(0.6 * fits)
    plan = plan.bearing(plan.open(rate, side(dice)), margin=2.0)
    return site(plan, plan.open(rate, dice), dice, seconds=1200)


def preallocation(dice: random.Random) -> Simulation:
    """Return a GPU on which memory is taken in steps, and then no more."""
    growth = EngineGrowth(begin=CALM, step=dice.uniform(1.0, 3.0) * GIB)
    tenant = Tenant(begin=2.0 * CALM, memory=dice.uniform(0.5, 3.0) * GIB)
    simulation = _leaking(dice, growth, 1200, _host(dice))
    simulation.trend = math.nan
    member = simulation.members[0]
    member.disturbances = [*member.disturbances, tenant]
    return simulation


def breathing_tenant(dice: random.Random) -> Simulation:
    """Return a GPU on which another process takes memory and gives it back, over and over."""
    step = dice.uniform(1.0, 4.0) * GIB
    tenant = Tenant(begin=60.0, memory=2 * GIB, step=step, period=dice.uniform(40.0, 200.0))
    simulation = _leaking(dice, tenant, 1200, _host(dice))
    simulation.trend = math.nan
    return simulation


def harmless_clocks(dice: random.Random) -> Simulation:
    """Return clocks that dip while reading memory is what binds, so that nothing slows down."""
    plan = draw(dice, knee=(250.0, 600.0), prompt=(20.0, 60.0), output=(100.0, 300.0))
    rate = plan.bearable(dice.uniform(4.0, 16.0))
    plan = plan.bearing(plan.open(rate, side(dice)), margin=1.7)
    dip = Throttle(begin=CALM, clock=dice.uniform(0.6, 0.85), period=dice.uniform(10.0, 60.0))
    return site(plan, plan.open(rate, dice), dice, disturbances=[dip])


def harmless_host(dice: random.Random) -> Simulation:
    """Return other programs that keep CPUs busy while the engine does not care."""
    plan = draw(dice, step=(0.02, 0.3))
    rate = plan.bearable(calm_batch(plan, dice))
    plan = plan.bearing(plan.open(rate, side(dice)), margin=1.7)
    load = HostLoad(begin=CALM, host=0.0, cores=dice.uniform(4.0, 12.0))
    return site(plan, plan.open(rate, dice), dice, disturbances=[load])


def quiet_day(dice: random.Random) -> Simulation:
    """Return a day of load that comes and goes, fills most of the KV cache and never all of it."""
    plan = draw(dice, step=(0.015, 0.05), prompt=(60.0, 600.0), output=(80.0, 250.0))
    high = plan.bearable(dice.uniform(15.0, 35.0), share=0.5)
    trial = plan.open(high, side(dice))
    most = 0
    for second in range(3_000):
        trial.advance(float(second))
        most = max(most, plan.limits.num_blocks - 1 - trial.free_blocks)
    longest = -(-plan.limits.max_model_len // plan.limits.block_size)
    blocks = max(1 + longest, round(most / dice.uniform(0.7, 0.9)))
    plan = plan.with_limits(num_blocks=blocks).bearing(plan.open(high, side(dice)), margin=1.7)
    day = diurnal(0.1 * high, 0.7 * high)
    swing = bursts(0.7, 1.3, calm_for=600.0, busy_for=120.0, seed=dice.randrange(1 << 30))
    engine = plan.open(lambda time: day(time) * swing(time), dice, highest=high)
    tenant = Tenant(begin=3_000.0, memory=GIB, step=2 * GIB, period=3_600.0)
    return site(plan, engine, dice, disturbances=[tenant], seconds=86_400, host=_host(dice))
