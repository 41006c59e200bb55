"""Hidden workloads whose capacity is estimated: an engine, what it is asked, how its load moves.

A kind says what shall bind, by the limits and lengths that are drawn; chance may have it otherwise,
and the simulation alone says what is true.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tests.simulator.capacity import Trial
from tests.simulator.disturb import Around, Disturbance, Noise
from tests.simulator.law import StepLaw, random_law
from tests.simulator.limits import Limits
from tests.simulator.truth import Targets
from tests.simulator.workload import Choice, Lengths, Mix, Mixes, Rate, bursts, diurnal, steps

KINDS: Final = (
    "inter_token",
    "time_to_first_token",
    "kv_memory",
    "sequence_limit",
    "token_budget",
    "stability",
)
SHAPES: Final = ("swing", "stairs", "bursts")

MARGIN: Final = 1.5
"""A target is at least so many times the latency that the engine has when nearly idle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One hidden workload.

    Attributes:
        name: kind and seed.
        trial: the engine, its mix and its targets.
        shape: how the load moves between a fifth of a level and the level.
        limits_known: whether the limits are told.
        seed: of the traffic.
    """

    name: str
    trial: Trial
    shape: str
    limits_known: bool
    seed: int

    def load(self, level: float, *, begin: float, length: float) -> Rate:
        """Return the requests a second by time, up to a level.

        Args:
            level: the highest rate.
            begin: second at which the movement begins.
            length: seconds of one movement from low to high and, but for stairs, back.
        """
        low = 0.2 * level
        if self.shape == "swing":
            swing = diurnal(low, level, day=length)
            return lambda time: swing(time - begin)
        if self.shape == "stairs":
            count = 6
            rise = (level - low) / (count - 1)
            parts = [(begin + n * length / count, low + n * rise) for n in range(count)]
            return steps((0.0, low), *parts)
        return bursts(low, level, calm_for=40.0, busy_for=40.0, seed=self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift(Disturbance):
    """A machine that other work takes away from time to time: steps take longer, then less long.

    The logarithm of how long they take is drawn anew every so often and goes straight from one to
    the next.

    Attributes:
        size: its standard deviation.
        every: seconds.
        seed: of chance.
    """

    size: float = 0.2
    every: float = 40.0
    seed: int = 0

    def apply(self, around: Around, time: float) -> None:
        """Slow everything down, or speed it up."""
        block, part = divmod(time / self.every, 1.0)
        low, high = (
            random.Random(f"drift-{self.seed}-{int(block) + at}").gauss(0.0, self.size)  # noqa: S311 - no secret
            for at in (0, 1)
        )
        slow = math.exp(low + part * (high - low))
        around.conditions = replace(around.conditions, slow=slow)


def drifting(seed: int) -> Case:
    """Return the hidden workload of a seed on a machine that drifts."""
    one = case(seed)
    return replace(
        one,
        name=f"{one.name}, drifting",
        trial=replace(one.trial, disturbances=[Drift(seed=seed)]),
    )


def cases(*, first: int = 9000, count: int = 54, requests: int = 4000) -> list[Case]:
    """Return hidden workloads, every kind as often.

    Args:
        first: seed of the first.
        count: how many.
        requests: simulated for each load that is tried while the truth is looked for.
    """
    return [case(seed, requests=requests) for seed in range(first, first + count)]


def case(seed: int, *, requests: int = 4000) -> Case:
    """Return the hidden workload of a seed."""
    dice = random.Random(f"capacity-{seed}")  # noqa: S311 - no secret
    kind = KINDS[seed % len(KINDS)]
    trial = _KINDS[kind](dice)
    noise: Sequence[Disturbance] = ()
    if dice.random() < _DISTURBED:
        noise = [Noise(share=dice.uniform(0.0, 0.02), slow=2.0, seed=seed)]
    trial = replace(
        trial,
        disturbances=noise,
        criterion="request",
        seed=seed,
        requests=requests,
        seconds=_SECONDS,
    )
    return Case(
        name=f"{kind}-{seed}",
        trial=_reachable(trial),
        shape=SHAPES[dice.randrange(len(SHAPES))],
        limits_known=dice.random() < _TOLD or kind in {"sequence_limit", "token_budget"},
        seed=seed,
    )


_SECONDS: Final = 500.0
_FEWEST: Final = 16
_LOSS: Final = 0.9  # of what a batch serves, that twice the batch serves at least
_DISTURBED: Final = 0.5
_TOLD: Final = 0.75
_ABORTED: Final = 0.25
_SHARED: Final = 0.35
_DOCUMENTS: Final = 0.25
"""Shares of the workloads with this and that."""


def _reachable(trial: Trial) -> Trial:
    """Return it with targets that it meets when nearly idle: the usual ones if it does."""
    prompt, output = _means(trial.mix)
    law, targets = trial.law, trial.targets
    alone = law.seconds(round(prompt), 0, 0.0) + output * law.seconds(0, 1, 0.0)
    seen = replace(trial, requests=300, seconds=0.0, disturbances=()).at(0.1 / alone)
    return replace(
        trial,
        targets=Targets(
            first_token=max(targets.first_token, MARGIN * seen.first_token),
            inter_token=max(targets.inter_token, MARGIN * seen.inter_token),
        ),
    )


def _means(mix: Mixes) -> tuple[float, float]:
    """Return the mean tokens of some prompts and of their outputs."""
    dice = random.Random(1)  # noqa: S311 - no secret
    some = [mix.draw(dice, 0.0) for _ in range(500)]
    return sum(one.prompt for one in some) / 500, sum(one.output for one in some) / 500


def _drawn(
    dice: random.Random,
    *,
    step: tuple[float, float] = (0.006, 0.04),
    knee: tuple[float, float] = (16.0, 250.0),
    prompt: tuple[float, float] = (60.0, 1500.0),
    output: tuple[float, float] = (40.0, 400.0),
    room: float = 200.0,
) -> Trial:
    """Return an engine whose limits do not bind: KV for `room` requests, a large batch."""
    single, bend = _even(dice, step), _even(dice, knee)
    prompts = Lengths(
        median=_even(dice, prompt), spread=dice.uniform(0.1, 0.8), least=4, most=int(5 * prompt[1])
    )
    outputs = Lengths(
        median=_even(dice, output), spread=dice.uniform(0.1, 0.8), least=2, most=int(4 * output[1])
    )
    mix = Mix(prompt=prompts, output=outputs)
    if dice.random() < _ABORTED:
        mix = replace(mix, aborted=dice.uniform(0.02, 0.08), patience=dice.uniform(1.0, 8.0))
    if dice.random() < _SHARED:
        prefix = round(dice.uniform(0.3, 1.0) * prompts.mean)
        mix = replace(mix, groups=dice.randint(1, 4), prefix=prefix, shared=dice.uniform(0.5, 1.0))
    both: Mixes = mix
    if dice.random() < _DOCUMENTS:  # short questions beside long documents
        long = Lengths(median=3.0 * prompts.median, spread=0.2, most=prompts.most)
        short = Lengths(median=0.4 * outputs.median, spread=0.3, least=2)
        both = Choice(((0.8, mix), (0.2, Mix(prompt=long, output=short))))
    longest = mix.prefix + prompts.most + outputs.most
    held = mix.prefix + prompts.mean + 0.5 * outputs.mean
    tokens = max(room * held, 1.1 * longest)
    block = dice.choice((16, 16, 32))
    law = random_law(dice, step=(single, single), knee=(bend, bend), capacity=200.0 * held)
    limits = Limits(
        max_num_seqs=_useful(law, dice.choice((128, 256)), held),
        max_num_batched_tokens=dice.choice((2048, 8192, 8192)),
        num_blocks=round(tokens / block) + 1,
        block_size=block,
        max_model_len=longest,
    )
    return Trial(law=law, mix=both, limits=limits, targets=Targets())


def _useful(law: StepLaw, most: int, held: float) -> int:
    """Return the sequences that an operator would allow.

    A full batch then serves hardly less than half of it would.

    Args:
        law: of a step.
        most: sequences that nobody would exceed.
        held: KV tokens of a sequence.
    """
    while most > _FEWEST:
        half = most // 2
        if law.seconds(0, most, most * held) <= 2.0 / _LOSS * law.seconds(0, half, half * held):
            break
        most = half
    return most


def _inter_token(dice: random.Random) -> Trial:
    """Return an engine whose gaps grow too long before anything is full."""
    return _drawn(dice, step=(0.012, 0.045), knee=(12.0, 80.0), prompt=(40.0, 400.0), room=500.0)


def _first_token(dice: random.Random) -> Trial:
    """Return an engine whose prompts take long."""
    trial = _drawn(
        dice, step=(0.01, 0.03), knee=(150.0, 600.0), prompt=(500.0, 2500.0), output=(20.0, 120.0)
    )
    return replace(trial, targets=replace(trial.targets, inter_token=0.4))


def _kv_memory(dice: random.Random) -> Trial:
    """Return an engine whose KV cache holds fewer requests than it could serve."""
    trial = _drawn(
        dice,
        knee=(80.0, 250.0),
        prompt=(100.0, 1000.0),
        output=(100.0, 400.0),
        room=dice.uniform(12.0, 40.0),
    )
    return replace(trial, targets=Targets(first_token=2.0, inter_token=0.2))


def _sequence_limit(dice: random.Random) -> Trial:
    """Return an engine that may run fewer requests than it could serve."""
    trial = _drawn(dice, knee=(60.0, 250.0), prompt=(40.0, 500.0), output=(80.0, 400.0))
    few = round(_even(dice, (6.0, 40.0)))
    return replace(
        trial,
        limits=replace(trial.limits, max_num_seqs=few),
        targets=Targets(first_token=dice.choice((1.0, 2.0)), inter_token=0.15),
    )


def _token_budget(dice: random.Random) -> Trial:
    """Return an engine that computes few prompt tokens in a step."""
    trial = _drawn(
        dice, step=(0.01, 0.04), knee=(800.0, 3000.0), prompt=(600.0, 2500.0), output=(8.0, 60.0)
    )
    budget = dice.choice((256, 512))
    return replace(
        trial,
        limits=replace(trial.limits, max_num_batched_tokens=budget, max_num_seqs=128),
        targets=Targets(first_token=2.0, inter_token=0.2),
    )


def _stability(dice: random.Random) -> Trial:
    """Return an engine whose targets hold nearly until its queue grows without end."""
    trial = _drawn(dice, knee=(10.0, 30.0), prompt=(60.0, 600.0), output=(40.0, 250.0), room=600.0)
    held = trial.limits.tokens / 600.0
    seats = _useful(trial.law, 256, held)
    full = trial.law.seconds(0, seats, seats * held)
    limits = replace(trial.limits, max_num_seqs=seats)
    targets = Targets(first_token=3.0, inter_token=2.0 * full)
    return replace(trial, targets=targets, limits=limits)


_KINDS: Final[Mapping[str, Callable[[random.Random], Trial]]] = {
    "inter_token": _inter_token,
    "time_to_first_token": _first_token,
    "kv_memory": _kv_memory,
    "sequence_limit": _sequence_limit,
    "token_budget": _token_budget,
    "stability": _stability,
}


def _even(dice: random.Random, between: tuple[float, float]) -> float:
    """Return a number from a range, even in the logarithm."""
    low, high = between
    return math.exp(dice.uniform(math.log(low), math.log(high)))
