"""Engines drawn at random, and how much load brings one where a scenario wants it.

In the steady state a batch of n requests, each with P prompt and O output tokens, prefills n·P/O
tokens in a mean step and holds n·(P + O/2) in the KV cache; so the step lasts T(n) by the law, and
requests leave at n / (O·T(n)) a second, which is the rate that keeps the batch at n.
"""

import math
import random
from dataclasses import dataclass, replace
from typing import Final

from tests.simulator.engine import Engine
from tests.simulator.law import NORMAL, Conditions, StepLaw, random_law
from tests.simulator.limits import Limits
from tests.simulator.meter import quantile
from tests.simulator.truth import Targets
from tests.simulator.workload import Lengths, Mix, Mixes, OpenLoop, Rate, Workload, steady

_SOME: Final = 0.3


@dataclass(frozen=True, slots=True)
class Plan:
    """An engine and what it is asked.

    Attributes:
        law: its hidden law.
        limits: what it is started with.
        mix: what requests look like.
        targets: what its users take for fast enough.
    """

    law: StepLaw
    limits: Limits
    mix: Mix
    targets: Targets

    @property
    def prompt(self) -> float:
        """Return the mean of the prompt tokens that are computed."""
        return self.mix.prompt.mean

    @property
    def output(self) -> float:
        """Return the mean of the output tokens."""
        return self.mix.output.mean

    def step(self, batch: float, conditions: Conditions = NORMAL) -> float:
        """Return the mean seconds of a step at a steady batch."""
        prefill = batch * self.prompt / self.output
        held = batch * self.held
        return self.law.seconds(round(prefill), round(batch), held, conditions=conditions)

    @property
    def held(self) -> float:
        """Return the mean KV tokens of a request at work."""
        return self.prompt + 0.5 * self.output

    def rate(self, batch: float, conditions: Conditions = NORMAL) -> float:
        """Return the requests a second that keep the batch at this size."""
        return batch / (self.output * self.step(batch, conditions))

    def bearable(self, batch: float, conditions: Conditions = NORMAL, share: float = 0.75) -> float:
        """Return that rate, but not more than a share of what the engine can do at all."""
        fits = 0.8 * min(self.limits.max_num_seqs, self.limits.tokens / (self.prompt + self.output))
        return min(self.rate(batch, conditions), share * self.rate(max(1.0, fits), conditions))

    def batch(self, seconds: float, most: int = 4096) -> int:
        """Return the largest steady batch whose steps take no longer than this; at least 1."""
        low, high = 1, most
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.step(middle) <= seconds else (low, middle - 1)
        return low

    def engine(self, workload: Workload, dice: random.Random) -> Engine:
        """Return the engine with something to do."""
        return Engine(self.law, self.limits, workload, dice=dice)

    def open(
        self,
        rate: Rate | float,
        dice: random.Random,
        *,
        highest: float = 0.0,
        mix: Mixes | None = None,
        until: float = math.inf,
    ) -> Engine:
        """Return the engine with requests that arrive by a rate."""
        by_time = rate if callable(rate) else steady(rate)
        most = highest if callable(rate) else rate
        workload = OpenLoop(mix or self.mix, by_time, highest=most, dice=dice, until=until)
        return self.engine(workload, dice)

    def latencies(
        self, engine: Engine, conditions: Conditions = NORMAL, seconds: int = 240
    ) -> Targets:
        """Return the 95th percentiles of an engine's latencies once it is in its stride."""
        engine.conditions = conditions
        engine.advance(0.5 * seconds)
        before = [*engine.meter.first_token.counts], [*engine.meter.inter_token.counts]
        engine.advance(float(seconds))
        after = engine.meter.first_token.counts, engine.meter.inter_token.counts
        first, inter = (
            quantile([b - a for a, b in zip(old, new, strict=True)], 0.95)
            for old, new in zip(before, after, strict=True)
        )
        return Targets(first_token=first, inter_token=inter)

    def bearing(self, engine: Engine, margin: float = 1.5) -> "Plan":
        """Return the plan with targets that this load meets: the usual ones if it does."""
        seen = self.latencies(engine)
        usual = Targets()
        first, inter = margin * seen.first_token, margin * seen.inter_token
        # Without a request in a quarter of an hour there is nothing to go by.
        first = usual.first_token if math.isnan(first) else first
        inter = usual.inter_token if math.isnan(inter) else inter
        targets = Targets(
            first_token=max(usual.first_token, first), inter_token=max(usual.inter_token, inter)
        )
        return replace(self, targets=targets)

    def with_limits(self, **changes: int | bool) -> "Plan":
        """Return the same engine, started differently."""
        return replace(self, limits=replace(self.limits, **changes))  # type: ignore[arg-type]


def draw(
    dice: random.Random,
    *,
    step: tuple[float, float] = (0.005, 1.0),
    knee: tuple[float, float] = (12.0, 300.0),
    prompt: tuple[float, float] = (60.0, 1200.0),
    output: tuple[float, float] = (40.0, 300.0),
    spread: tuple[float, float] = (0.1, 0.7),
    roomy: int = 200,
    lump: float = 8.0,
) -> Plan:
    """Return a random engine whose limits never bind: KV for `roomy` requests, a large batch.

    Args:
        dice: where chance comes from.
        step: range of the seconds of a step with one request.
        knee: range of the batch at which arithmetic takes as long as reading the weights.
        prompt: range of the median prompt.
        output: range of the median answer.
        spread: range of the spread of both.
        roomy: see above.
        lump: how many steps of one request a median prompt takes at most.
    """
    single = _even(dice, step)
    bend = _even(dice, knee)
    longest_prompt = min(prompt[1], lump * bend)
    prompts = Lengths(
        median=_even(dice, (min(prompt[0], 0.5 * longest_prompt), longest_prompt)),
        spread=dice.uniform(*spread),
        least=4,
        most=int(6 * longest_prompt),
    )
    # An answer takes at most half a minute, however slow the engine.
    most = max(12.0, min(output[1], 20.0 / single))
    outputs = Lengths(
        median=_even(dice, (min(output[0], 0.5 * most), most)),
        spread=dice.uniform(*spread),
        least=2,
        most=int(5 * most),
    )
    block = dice.choice((16, 16, 32))
    mix = _habits(Mix(prompt=prompts, output=outputs))
    longest = mix.prefix + prompts.most + outputs.most
    tokens = max(roomy * (prompts.mean + outputs.mean), 2.0 * longest)
    law = random_law(dice, step=(single, single), knee=(bend, bend), capacity=tokens)
    limits = Limits(
        max_num_seqs=256,
        max_num_batched_tokens=dice.choice((2048, 8192, 8192)),
        num_blocks=round(tokens / block) + 1,
        block_size=block,
        max_model_len=longest,
    )
    return Plan(law, limits, mix, Targets())


def _habits(mix: Mix) -> Mix:
    """Return a mix of which some clients give up, or share prefixes, or neither."""
    # Dice of its own, so that nothing else depends on these habits.
    dice = random.Random(f"{mix.prompt.mean} {mix.output.mean}")
    if dice.random() < _SOME:
        mix = replace(mix, aborted=dice.uniform(0.02, 0.1), patience=dice.uniform(1.0, 10.0))
    if dice.random() < _SOME:
        prefix = round(dice.uniform(0.3, 1.0) * mix.prompt.mean)
        mix = replace(mix, groups=dice.randint(1, 4), prefix=prefix, shared=dice.uniform(0.5, 1.0))
    return mix


def _even(dice: random.Random, between: tuple[float, float]) -> float:
    """Return a number from a range, even in the logarithm."""
    low, high = between
    return math.exp(dice.uniform(math.log(low), math.log(high)))
