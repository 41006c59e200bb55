"""Scenarios for each cause that a verdict can name.

Every one begins with a calm stretch; then comes what it is about. What is drawn at random decides
how large and how fast the engine is, never what binds it.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tests.simulator.disturb import (
    Disturbance,
    HostLoad,
    Noise,
    Stall,
    Tenant,
    Throttle,
)
from tests.simulator.engine import Engine
from tests.simulator.gpus import Card
from tests.simulator.hosts import Host
from tests.simulator.law import Conditions
from tests.simulator.plan import Plan, draw
from tests.simulator.simulation import Member, Simulation
from tests.simulator.truth import Targets
from tests.simulator.workload import ClosedLoop, Lengths, Mix, OpenLoop, Shift, steps

LENGTH: Final = 600
"""Seconds of a scenario."""

CALM: Final = 150.0
"""Seconds before what it is about."""


def site(
    plan: Plan,
    engine: Engine,
    dice: random.Random,
    *,
    disturbances: Sequence[Disturbance] = (),
    seconds: int = LENGTH,
    host: Host | None = None,
    trend: float = math.nan,
    told: bool = False,
) -> Simulation:
    """Return a host with one GPU and one engine, with some noise.

    Its limits are known if they are `told`, else by chance.
    """
    noise = Noise(share=dice.uniform(0.0, 0.03), slow=2.5, seed=dice.randrange(1 << 30))
    member = Member(
        engines=[engine],
        disturbances=[noise, *disturbances],
        limits_known=dice.random() < 0.5 or told,
    )
    return Simulation(
        members=[member],
        seconds=seconds,
        targets=plan.targets,
        cards=[Card(index=0)],
        host=host or Host(dice=random.Random(dice.randrange(1 << 30))),
        trend=trend,
    )


def calm_batch(plan: Plan, dice: random.Random, most: float = 40.0) -> int:
    """Return a batch at which nothing is short."""
    fits = int(0.4 * plan.limits.tokens / (plan.prompt + plan.output))
    batch = min(most, fits, 0.5 * plan.limits.max_num_seqs)
    return max(1, round(dice.uniform(0.3, 1.0) * batch))


def side(dice: random.Random) -> random.Random:
    """Return dice for a trial, so that what comes after does not depend on how long it was."""
    return random.Random(dice.random())


def idle(dice: random.Random) -> Simulation:
    """Return an engine that nobody asks anything, after some work."""
    plan = draw(dice)
    rate = plan.bearable(calm_batch(plan, dice))
    plan = plan.bearing(plan.open(rate, side(dice)))
    return site(plan, plan.open(rate, dice, until=CALM), dice)


def healthy(dice: random.Random) -> Simulation:
    """Return an engine with a steady load that it can bear."""
    plan = draw(dice)
    rate = plan.bearable(calm_batch(plan, dice, 100.0))
    plan = plan.bearing(plan.open(rate, side(dice)), margin=dice.uniform(1.4, 2.0))
    return site(plan, plan.open(rate, dice), dice)


def sequence_limit(dice: random.Random) -> Simulation:
    """Return an engine that may run fewer requests at once than it could bear."""
    plan = draw(dice, prompt=(60.0, 400.0))
    most = max(2, calm_batch(plan, dice, 64.0))
    plan = plan.with_limits(max_num_seqs=most)
    calm = max(1, most // 3)
    plan = plan.bearing(plan.open(plan.bearable(calm), side(dice)), margin=2.0)
    if dice.random() < 0.5:
        clients = max(most + 2, int(dice.uniform(1.5, 3.0) * most))
        start = [(0.0, calm), (CALM, clients)]
        return site(plan, plan.engine(ClosedLoop(plan.mix, start, dice=dice), dice), dice)
    over = dice.uniform(1.2, 1.6) * plan.rate(most)
    rate = steps((0.0, plan.bearable(calm)), (CALM, over))
    return site(plan, plan.open(rate, dice, highest=over), dice)


def kv_memory(dice: random.Random) -> Simulation:
    """Return an engine whose KV cache holds fewer requests than it may run."""
    plan = draw(dice, prompt=(100.0, 1200.0), spread=(0.1, 0.5))
    wanted = dice.uniform(6.0, 40.0) * (plan.prompt + 0.6 * plan.output)
    tokens = max(1.05 * plan.limits.max_model_len, wanted)
    fits = max(4, int(tokens / plan.held))
    plan = plan.with_limits(
        num_blocks=round(tokens / plan.limits.block_size) + 1, max_num_seqs=max(64, 6 * fits)
    )
    calm = max(1, fits // 4)
    plan = plan.bearing(plan.open(plan.bearable(calm), side(dice)), margin=2.0)
    clients = int(dice.uniform(2.0, 3.5) * fits) + 2
    start = [(0.0, calm), (CALM, clients)]
    return site(plan, plan.engine(ClosedLoop(plan.mix, start, dice=dice), dice), dice)


def between(plan: Plan, calm: Targets, bad: Targets) -> Plan:
    """Return a plan whose target for gaps is met in calm and missed in bad times."""
    inter = math.sqrt(calm.inter_token * bad.inter_token)
    first = max(1.0, 3.0 * bad.first_token)
    return replace(plan, targets=Targets(first_token=first, inter_token=inter))


def clients(plan: Plan, count: int, dice: random.Random) -> Engine:
    """Return the engine with clients that ask again as soon as they have their answer."""
    start = [(0.5 * n, n + 1) for n in range(count)]
    return plan.engine(ClosedLoop(plan.mix, start, dice=dice, think=0.01), dice)


def decode_bandwidth(dice: random.Random) -> Simulation:
    """Return an engine with room for a batch that is too large for its gaps between tokens."""
    plan = draw(dice, knee=(10.0, 80.0), prompt=(20.0, 100.0), output=(150.0, 400.0), roomy=800)
    plan = plan.with_limits(max_num_seqs=512)
    batch = int(dice.uniform(40.0, 150.0))
    if dice.random() < 0.5:
        few = max(1, batch // 6)
        plan = between(
            plan,
            plan.latencies(clients(plan, few, side(dice))),
            plan.latencies(clients(plan, batch, side(dice)), seconds=400),
        )
        load = ClosedLoop(plan.mix, [(0.0, few), (CALM, batch)], dice=dice, think=0.01)
        return site(plan, plan.engine(load, dice), dice)
    high = plan.bearable(batch, share=0.85)
    low = 0.25 * high
    plan = between(
        plan,
        plan.latencies(plan.open(low, side(dice))),
        plan.latencies(plan.open(high, side(dice)), seconds=400),
    )
    rate = steps((0.0, low), (CALM, high))
    return site(plan, plan.open(rate, dice, highest=high), dice)


def prefill_compute(dice: random.Random) -> Simulation:
    """Return an engine whose prompts take longer to compute than users wait."""
    plan = draw(
        dice,
        step=(0.005, 0.06),
        knee=(20.0, 120.0),
        prompt=(1500.0, 6000.0),
        output=(8.0, 30.0),
        lump=math.inf,
    )
    budget = 256 * max(2, min(32, round(1.5 / plan.law.token / 256.0)))
    plan = plan.with_limits(max_num_batched_tokens=budget)
    full = plan.law.seconds(budget, 0, 0.0, 0.5 * budget * plan.prompt)
    capacity = budget / full / plan.prompt
    low = 0.05 * capacity
    seen = plan.latencies(plan.open(low, side(dice)), seconds=1200)
    if dice.random() < 0.5:
        # One prompt alone takes too long.
        targets = Targets(first_token=0.4 * seen.first_token, inter_token=20.0 * full)
        high = dice.uniform(0.7, 0.9) * capacity
    else:
        targets = Targets(first_token=1.5 * seen.first_token, inter_token=20.0 * full)
        high = dice.uniform(1.1, 1.4) * capacity
    plan = replace(plan, targets=targets)
    rate = steps((0.0, low), (CALM, high))
    return site(plan, plan.open(rate, dice, highest=high), dice)


def token_budget(dice: random.Random) -> Simulation:
    """Return an engine that may compute fewer prompt tokens in a step than would be free."""
    plan = draw(
        dice,
        step=(0.01, 0.3),
        knee=(1500.0, 4000.0),
        prompt=(600.0, 2500.0),
        output=(8.0, 40.0),
        roomy=400,
    )
    budget = dice.choice((256, 512))
    plan = plan.with_limits(max_num_batched_tokens=budget)
    capacity = budget / plan.law.seconds(budget, 4, 4 * plan.held) / (plan.prompt + plan.output)
    low, high = 0.15 * capacity, dice.uniform(1.15, 1.5) * capacity
    plan = plan.bearing(plan.open(low, side(dice)), margin=1.6)
    rate = steps((0.0, low), (CALM, high))
    return site(plan, plan.open(rate, dice, highest=high), dice)


def _disturbed(
    dice: random.Random,
    plan: Plan,
    batch: int,
    conditions: Conditions,
    happens: Disturbance,
    *,
    closed: bool,
) -> Simulation:
    """Return an engine that bears its load but for a disturbance, and misses its target with it.

    Args:
        dice: where chance comes from.
        plan: the engine; its targets are not looked at.
        batch: that it has while it is disturbed.
        conditions: what the disturbance means for its steps.
        happens: the disturbance.
        closed: whether a number of clients asks, not a rate of requests.
    """
    if closed:
        engines = [clients(plan, batch, own) for own in (side(dice), side(dice), dice)]
    else:
        rate = plan.bearable(batch, conditions)
        engines = [plan.open(rate, own) for own in (side(dice), side(dice), dice)]
    calm, bad, engine = engines
    plan = between(plan, plan.latencies(calm), plan.latencies(bad, conditions))
    return site(plan, engine, dice, disturbances=[happens])


_BEGIN: Final = CALM + 60.0
_END: Final = LENGTH - 90.0


def host_cpu(dice: random.Random) -> Simulation:
    """Return an engine whose GPU waits for the host."""
    plan = draw(dice, step=(0.005, 0.3), prompt=(20.0, 80.0), output=(100.0, 300.0), roomy=400)
    batch = round(dice.uniform(8.0, 80.0))
    host = dice.uniform(1.8, 3.0) * plan.step(batch)
    kind = dice.randrange(3)
    happens = HostLoad(
        begin=_BEGIN,
        end=_END,
        host=host,
        server=0.97 if kind == 0 else 0.0,
        core=0.95 if kind == 1 else 0.0,
        cores=20.0 if kind == 2 else 0.0,
    )
    return _disturbed(dice, plan, batch, Conditions(host=host), happens, closed=kind == 1)


def cpu_starved(dice: random.Random) -> Simulation:
    """Return an engine without a GPU that is seen, whose core waits for a CPU."""
    plan = draw(dice, step=(0.005, 0.3), prompt=(20.0, 80.0), output=(100.0, 300.0), roomy=400)
    batch = round(dice.uniform(8.0, 80.0))
    host = dice.uniform(2.0, 8.0) * plan.step(batch)
    happens = HostLoad(begin=_BEGIN, end=_END, host=host, starved=True)
    made = _disturbed(dice, plan, batch, Conditions(host=host), happens, closed=False)
    made.cards = ()
    return made


def power_thermal(dice: random.Random) -> Simulation:
    """Return an engine whose clocks are held down while arithmetic binds it."""
    plan = draw(dice, knee=(6.0, 16.0), prompt=(10.0, 40.0), output=(100.0, 300.0), roomy=400)
    clock = dice.uniform(0.35, 0.55)
    happens = Throttle(
        begin=_BEGIN, end=_END, clock=clock, reasons=dice.choice((0x4, 0x20, 0x40, 0x84))
    )
    batch = round(dice.uniform(30.0, 90.0))
    return _disturbed(dice, plan, batch, Conditions(clock=clock), happens, closed=True)


def co_tenant(dice: random.Random) -> Simulation:
    """Return an engine with which another process shares its GPU."""
    plan = draw(dice, prompt=(20.0, 80.0), output=(100.0, 300.0), roomy=400)
    load = dice.uniform(0.4, 0.65)
    happens = Tenant(begin=_BEGIN, end=_END, load=load, memory=6e9)
    batch = round(dice.uniform(8.0, 80.0))
    return _disturbed(dice, plan, batch, Conditions(share=1.0 - load), happens, closed=load < 0.5)


def stalled(dice: random.Random) -> Simulation:
    """Return an engine that stops stepping while it has requests."""
    plan = draw(dice)
    rate = plan.bearable(calm_batch(plan, dice))
    plan = plan.bearing(plan.open(rate, side(dice)), margin=2.0)
    begin = CALM + dice.uniform(0.0, 100.0)
    stall = Stall(begin=begin, end=begin + dice.uniform(90.0, 200.0))
    return site(plan, plan.open(rate, dice), dice, disturbances=[stall])


def long_prompts_arrive(dice: random.Random) -> Simulation:
    """Return an engine whose prompts become longer at a time, and its first tokens later."""
    plan = draw(dice, step=(0.005, 0.05), knee=(40.0, 150.0), prompt=(60.0, 200.0))
    long = Mix(
        prompt=Lengths(median=12.0 * plan.prompt, spread=0.3, most=int(40.0 * plan.prompt)),
        output=plan.mix.output,
    )
    plan = plan.with_limits(
        max_model_len=max(plan.limits.max_model_len, int(60.0 * plan.prompt)),
        num_blocks=max(plan.limits.num_blocks, int(400.0 * plan.prompt / plan.limits.block_size)),
    )
    rate = plan.bearable(calm_batch(plan, dice, 20.0))
    plan = plan.bearing(plan.open(rate, side(dice)))
    workload = OpenLoop(Shift(CALM, plan.mix, long), lambda _time: rate, highest=rate, dice=dice)
    return site(plan, plan.engine(workload, dice), dice)
