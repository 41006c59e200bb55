"""Capacity as the agent estimates it against what the simulated engine truly bears.

The agent sees pages alone, of an engine whose load moves up to a level of its capacity; what it
says then is compared with the highest load that the same engine bears, found by simulating it.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from math import isnan, log
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
from evaluation.capacity_cases import Case, case, drifting
from tests.simulator.capacity import Trial
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

EXACT: Final = 30_000
"""Requests simulated for each load that is tried while the truth is pinned down."""

_OTHER_CHANCE: Final = 1_000_003
_TRIALS: Final = 9
_BESIDE: Final = 0.05  # first step to either side of the guess
_CLOSE: Final = 1.02  # ratio of two rates between which the truth is interpolated
_EARLY: Final = 1e-9
_LATE: Final = 3.0  # logarithm of the lateness beyond which more says nothing


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
    """Return what an engine truly bears.

    A percentile of a few thousand requests that stood in one queue is chance: two such searches
    differ by 6 %. So what they find is only where the search with many more requests begins. What
    binds is asked with the same chance as the first search: there only differences count.
    """
    trial = one.trial
    rough = trial.saturated()
    guess, _met = trial.rate(_ABOVE * rough.rate)
    if not guess:
        return Truth(rate=0.0, tokens=0.0, saturated=0.0, saturated_tokens=0.0, binding=())
    many = replace(trial, requests=EXACT, seed=trial.seed + _OTHER_CHANCE)
    full = many.saturated()
    rate, each = exact_rate(many, guess=guess, most=_ABOVE * full.rate)
    return Truth(
        rate=rate,
        tokens=60.0 * rate * each,
        saturated=full.rate,
        saturated_tokens=full.tokens,
        binding=trial.binding(guess, rough.rate),
    )


def exact_rate(trial: Trial, *, guess: float, most: float) -> tuple[float, float]:
    """Return the highest rate that meets both targets, and the mean tokens of a request.

    Brackets it from around a guess and interpolates: few loads are tried, each for long.

    Args:
        trial: the engine.
        guess: what it may be.
        most: no rate above it is tried.
    """
    rate, step = min(guess, most), 1.0 + _BESIDE
    below: tuple[float, float] | None = None
    above: tuple[float, float] | None = None
    tokens = 0.0
    for _ in range(_TRIALS):
        found = trial.at(rate)
        tokens = found.tokens / (60.0 * found.rate)
        late = min(log(max(trial.late(found), _EARLY)), _LATE)
        if late > 0.0:
            above = rate, late
        else:
            below = rate, late
        if below and above:
            rate = _between(below, above, inner=True)
            if above[0] < _CLOSE * below[0]:
                break
        elif above is None and rate >= most:
            break
        else:
            rate = rate / step if above else min(rate * step, most)
            step *= step
    return (_between(below, above, inner=False) if below and above else rate), tokens


def _between(below: tuple[float, float], above: tuple[float, float], *, inner: bool) -> float:
    """Return where the lateness is likely nil between two rates; if asked, away from both."""
    share = below[1] / (below[1] - above[1])
    if inner:
        share = min(max(share, 0.15), 0.85)
    return below[0] + share * (above[0] - below[0])


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


def drifted(seed: int) -> list[Estimated]:
    """Return what is said of the workload of a seed on a machine that drifts, at each level."""
    one = drifting(seed)
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
