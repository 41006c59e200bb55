"""Capacity as the agent estimates it against what the simulated engine truly bears.

The agent sees pages alone, of an engine whose load moves up to a level of its capacity; what it
says then is compared with the highest load that the same engine bears, found by simulating it.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from math import isnan
from typing import Final

from agent.analysis.bottleneck import Targets
from agent.analysis.capacity.estimate import Capacity, Limit, Source
from agent.analysis.capacity.estimate import Limits as Told
from agent.analysis.capacity.learner import CapacityLearner
from agent.analysis.engines import WANTED
from agent.analysis.replicas import Replicas
from agent.analysis.step_time import StepTime
from agent.analysis.window import View, Window
from agent.catalog import engine as catalog
from agent.model import Frame, Metric, SeriesTable
from evaluation.capacity_cases import Case, case
from tests.simulator.capacity import Load
from tests.simulator.disturb import surroundings
from tests.simulator.engine import Engine
from tests.simulator.limits import Limits
from tests.simulator.replica import Replica
from tests.simulator.request import Request
from tests.simulator.workload import Mixes, OpenLoop, Rate, Shift

LEVELS: Final = (0.4, 0.6, 0.9)
"""Shares of the capacity that the load has reached when the estimate is taken."""

JUDGE_EVERY: Final = 5
ESTIMATE_EVERY: Final = 15
"""Seconds between two looks of the agent at the steps, and at the capacity."""

SHIFT_AFTER: Final = 300.0
"""Seconds after which an estimate should be right again once requests have changed."""

START: Final = 1_800_000_000.0
_SHORTEST: Final = 300.0
_LONGEST: Final = 900.0
_REQUESTS: Final = 400.0
_ABOVE: Final = 1.05  # of the saturated rate, up to which the truth is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What an engine bears.

    Attributes:
        rate: requests a second within the targets.
        tokens: tokens a minute at that.
        saturated: requests a second at which the queue begins to grow.
        saturated_tokens: tokens a minute at that.
        binding: what keeps it from bearing more; several where they are as good as each other.
    """

    rate: float
    tokens: float
    saturated: float
    saturated_tokens: float
    binding: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """What was said of one workload once its load had reached a level."""

    name: str
    level: float
    truth: Truth
    said: Capacity

    @property
    def error(self) -> float:
        """Estimated against true tokens a minute; NaN where nothing was said."""
        known = self.said.known
        if known is None:
            return float("nan")
        return known.under_targets.tokens_per_minute.estimate / self.truth.tokens - 1.0

    @property
    def covered(self) -> bool:
        """Whether the interval holds the truth."""
        known = self.said.known
        if known is None:
            return False
        found = known.under_targets.tokens_per_minute
        return found.low <= self.truth.tokens <= found.high

    @property
    def stability_error(self) -> float:
        """The same of the stability limit."""
        known = self.said.known
        if known is None:
            return float("nan")
        return known.stability.tokens_per_minute.estimate / self.truth.saturated_tokens - 1.0


def truth_of(one: Case) -> Truth:
    """Return what an engine truly bears."""
    trial = one.trial
    full = trial.saturated()
    rate, met = trial.rate(_ABOVE * full.rate)
    each = _tokens_each(full, met)
    return Truth(
        rate=rate,
        tokens=60.0 * rate * each,
        saturated=full.rate,
        saturated_tokens=full.tokens,
        binding=trial.binding(rate, full.rate) if rate else (),
    )


def _tokens_each(full: Load, met: Load | None) -> float:
    """Return the tokens of a request, over all that were simulated."""
    found = [load.tokens / (60.0 * load.rate) for load in (full, met) if load and load.rate]
    return sum(found) / len(found)


class Watched:
    """An engine and the part of the agent that watches it.

    Args:
        one: the workload.
        rate: requests a second by time.
        mix: what they look like; the workload's own if None.
    """

    def __init__(self, one: Case, rate: Rate, highest: float, *, mix: Mixes | None = None) -> None:
        trial = one.trial
        dice = random.Random(one.seed + 500_000)  # noqa: S311 - no secret
        load = OpenLoop(mix or trial.mix, rate, highest=highest, dice=dice)
        self._case = one
        self._engine = Engine(trial.law, trial.limits, load, dice=dice)
        self._replica = Replica(
            "engine-0", [self._engine], start=START - 600.0, limits_known=one.limits_known
        )
        self._table = SeriesTable()
        self._window = Window(WANTED)
        self._views = Replicas(self._window)
        self._steps = StepTime()
        self._learner = CapacityLearner(criterion=trial.criterion)
        self._second = 0
        self._targets = Targets(
            time_to_first_token=trial.targets.first_token,
            inter_token_latency=trial.targets.inter_token,
        )

    def run(self, until: float) -> Iterator[tuple[float, Capacity]]:
        """Let time pass; yield what is said every quarter of a minute."""
        while self._second < until:
            around = surroundings(self._case.trial.disturbances, float(self._second))
            self._engine.conditions = around.conditions
            self._second += 1
            self._engine.advance(float(self._second))
            time = START + self._second
            ids, values = self._replica.samples(self._table, time)
            self._window.append(Frame(time, self._table, ids, values))
            if self._second % JUDGE_EVERY:
                continue
            view = next(iter(self._views.views(self._table).values()))
            step = self._steps.observe(view)
            if self._second % ESTIMATE_EVERY == 0:
                said = self._learner.observe(
                    view, step=step, limits=limits_of(view), targets=self._targets
                )
                yield float(self._second), said


def limits_of(view: View) -> Told:
    """Return the limits that a view tells."""

    def limit(metric: Metric, source: Source) -> Limit:
        value = float(view[metric][-1])
        return Limit() if isnan(value) else Limit(value, source)

    return Told(
        sequences=limit(catalog.MAX_NUM_SEQS, "command_line"),
        step_tokens=limit(catalog.MAX_NUM_BATCHED_TOKENS, "command_line"),
        kv_tokens=limit(catalog.KV_CACHE_CAPACITY, "page"),
    )


def watch(one: Case, truth: Truth) -> list[Estimated]:
    """Return what is said of a workload at each level, one after the other."""
    parts: list[tuple[float, float, Rate]] = []
    begin = 0.0
    for level in LEVELS:
        most = level * truth.rate
        length = min(max(_SHORTEST, _REQUESTS / (0.6 * most)), _LONGEST)
        parts.append((begin, begin + length, one.load(most, begin=begin, length=length)))
        begin += length

    def rate(time: float) -> float:
        return next((part(time) for _b, end, part in parts if time < end), LEVELS[0] * truth.rate)

    watched = Watched(one, rate, LEVELS[-1] * truth.rate)
    found = []
    for level, (_begin, end, _rate) in zip(LEVELS, parts, strict=True):
        *_before, said = watched.run(end)
        found.append(Estimated(name=one.name, level=level, truth=truth, said=said[1]))
    return found


def estimated(seed: int) -> list[Estimated]:
    """Return what is said of the workload of a seed; nothing where it bears no load at all."""
    one = case(seed)
    truth = truth_of(one)
    return watch(one, truth) if truth.rate else []


def shifted(seed: int) -> list[Estimated]:
    """Return what is said `SHIFT_AFTER` seconds after requests became longer.

    The load is 60 % of what the engine bears then.
    """
    one = case(seed)
    longer = replace(one.trial, mix=Longer(one.trial.mix), limits=_roomier(one.trial.limits))
    after = replace(one, trial=longer)
    truth = truth_of(after)
    if not truth.rate:
        return []
    level = LEVELS[1]
    begin = min(max(_SHORTEST, _REQUESTS / (0.6 * level * truth.rate)), _LONGEST)
    mix = Shift(begin, one.trial.mix, longer.mix)
    rate = one.load(level * truth.rate, begin=0.0, length=begin)
    watched = Watched(after, rate, level * truth.rate, mix=mix)
    *_before, said = watched.run(begin + SHIFT_AFTER)
    return [Estimated(name=one.name, level=level, truth=truth, said=said[1])]


@dataclass(frozen=True, slots=True)
class Longer:
    """Requests with twice as long prompts, and answers longer by half."""

    mix: Mixes

    def draw(self, dice: random.Random, arrival: float) -> Request:
        """Return a request that arrives then."""
        found = self.mix.draw(dice, arrival)
        found.prompt = 2 * found.prompt - found.prefix
        found.output = round(1.5 * found.output)
        return found


def _roomier(limits: Limits) -> Limits:
    """Return limits under which the longest of the longer requests is still taken."""
    longest = 2 * limits.max_model_len
    blocks = max(limits.num_blocks, 2 + longest // limits.block_size)
    return replace(limits, max_model_len=longest, num_blocks=blocks)


def every(
    what: Callable[[int], list[Estimated]], seeds: Sequence[int], *, workers: int = 2
) -> Iterator[Estimated]:
    """Yield what is said of each workload, several at a time."""
    with ProcessPoolExecutor(workers) as pool:
        for found in pool.map(what, seeds):
            yield from found
