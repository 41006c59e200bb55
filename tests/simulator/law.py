"""How long a step takes: the hidden law of a simulated engine, and what disturbs it.

A step reads the weights and the KV entries of its requests (memory) and does the arithmetic of its
tokens (compute). The two overlap, so a step lasts about as long as the longer of them: nearly flat
in the batch while reading binds, steeper once arithmetic does. Nothing in the agent may know this.
"""

import math
import random
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What holds for the steps that begin now, beside the law.

    Attributes:
        clock: clock of the SMs against the highest, 0 to 1; arithmetic slows down by it.
        share: share of the GPU's time that other tenants leave, 0 to 1.
        host: seconds of host work in a step during which the GPU waits, over the law's own.
        slow: by how much everything takes longer, as in a disturbed second.
        stalled: no step begins.
    """

    clock: float = 1.0
    share: float = 1.0
    host: float = 0.0
    slow: float = 1.0
    stalled: bool = False


NORMAL: Final = Conditions()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLaw:
    """Seconds of a step by its tokens.

    Attributes:
        host: host work of each step during which the GPU waits.
        weights: reading the weights.
        kv: reading the KV entries of one token held.
        token: arithmetic of one token, prefilled or decoded.
        attention: arithmetic of one prefilled token against one token before it in its prompt.
        bend: seconds for each pair of decoded tokens: batches that no longer fit some cache.
        sharpness: exponent of the smooth maximum of memory and compute; 1 adds them up.
        jitter: standard deviation of the logarithm of a step's time.
    """

    host: float
    weights: float
    kv: float
    token: float
    attention: float = 0.0
    bend: float = 0.0
    sharpness: float = 3.0
    jitter: float = 0.05

    def parts(
        self, prefill: int, decode: int, held: float, context: float = 0.0
    ) -> tuple[float, float]:
        """Return the seconds of memory and of compute that a step needs on a GPU of its own.

        Args:
            prefill: prompt tokens that it computes.
            decode: requests that get one more token.
            held: tokens in the KV cache of the requests in it.
            context: tokens before each prefilled one in its prompt, times prefilled tokens.
        """
        compute = self.token * (prefill + decode) + self.attention * context
        return self.weights + self.kv * held, compute + self.bend * decode * decode

    def gpu_seconds(self, memory: float, compute: float, conditions: Conditions = NORMAL) -> float:
        """Return how long the GPU needs for both together."""
        compute /= conditions.clock
        power = self.sharpness
        together: float = (memory**power + compute**power) ** (1.0 / power)
        return together / conditions.share * conditions.slow

    def seconds(
        self,
        prefill: int,
        decode: int,
        held: float,
        context: float = 0.0,
        conditions: Conditions = NORMAL,
    ) -> float:
        """Return how long a step takes, without its jitter."""
        memory, compute = self.parts(prefill, decode, held, context)
        gpu = self.gpu_seconds(memory, compute, conditions)
        return gpu + (self.host + conditions.host) * conditions.slow


def random_law(
    dice: random.Random,
    *,
    step: tuple[float, float] = (0.005, 1.5),
    knee: tuple[float, float] = (12.0, 300.0),
    capacity: float = 50_000.0,
) -> StepLaw:
    """Return some law.

    Args:
        dice: where chance comes from.
        step: range of the seconds of a step with one request, even in the logarithm.
        knee: range of the batch at which arithmetic takes as long as reading the weights.
        capacity: tokens that the KV cache holds; reading all of them takes 0.2 to 1.5 times as
            long as reading the weights.
    """
    single = math.exp(dice.uniform(math.log(step[0]), math.log(step[1])))
    host = single * dice.uniform(0.02, 0.12)
    weights = single - host
    token = weights / math.exp(dice.uniform(math.log(knee[0]), math.log(knee[1])))
    return StepLaw(
        host=host,
        weights=weights,
        kv=weights * dice.uniform(0.2, 1.5) / capacity,
        token=token,
        attention=token * dice.uniform(0.0, 1e-4),
        bend=token * dice.uniform(0.0, 0.004),
        sharpness=dice.uniform(2.0, 6.0),
        jitter=dice.uniform(0.02, 0.12),
    )


def jitters(law: StepLaw, dice: random.Random, count: int = 1 << 12) -> list[float]:
    """Return factors of mean 1 for the times of steps, lognormal; used in turn, over and over."""
    sigma = law.jitter
    return [math.exp(dice.gauss(-0.5 * sigma * sigma, sigma)) for _ in range(count)]
