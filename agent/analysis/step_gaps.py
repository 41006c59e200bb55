"""What the time of a step is while an engine is idle between requests: from its own stopwatches.

Where an engine pauses between two ticks, wall time says nothing of its steps. But it times itself:
each gap between two tokens of a request is one step, and the time from its place in the batch to
its first token is the step that computes its prompt. Neither has a pause in it.

A mean over gaps counts a step as often as there are sequences in it, so the load beside it is
counted likewise. Who arrives at random finds as many at work as a token has beside it (arrivals see
time averages, Wolff 1982): that number follows from tokens and steps.
"""

from collections.abc import Container
from dataclasses import dataclass
from math import exp, expm1, inf, isnan, nan, sqrt
from operator import itemgetter, lt
from typing import Final, TypeAlias

from agent.analysis.step_windows import BUDGET, Stretch
from agent.analysis.window import View
from agent.catalog import engine

Row: TypeAlias = list[float]
"""What the engine counts at one tick, in the order of the keys below."""

PERIOD: Final = 15.0
"""Seconds over which gaps are added up, at least."""

LONGEST: Final = 180.0
"""And at most: what is told is told of one load."""

ENOUGH_STEPS: Final = 48
"""Steps without prompts that a period must have."""

ENOUGH_PROMPTS: Final = 12
"""Prompts whose mean time is taken for that of a step."""

WHOLE: Final = 3.0
"""Tokens of a step against those of a mean prompt from which on nearly all are computed in one."""

CHANCE: Final = 0.05
"""Share of the gaps' time that chance may be off by in the prompts that they were held up by."""

QUIET: Final = 1.0
"""Sequences beside a prompt up to which its time is that of its own step.

An engine that plans a step while the one before is running counts the rest of that one as well.
"""

_KEYS: Final = (
    (engine.REQUESTS_WAITING, ""),
    (engine.PREEMPTIONS, ""),
    (engine.STEPS, ""),
    (engine.PROMPT_TOKENS, ""),
    (engine.PROMPT_TOKENS_CACHED, ""),
    (engine.PREFIX_CACHE_HITS, ""),
    (engine.TIME_TO_FIRST_TOKEN, "_count"),
    (engine.INTER_TOKEN_LATENCY, "_count"),
    (engine.INTER_TOKEN_LATENCY, "_sum"),
    (engine.PREFILL_TIME, "_count"),
    (engine.PREFILL_TIME, "_sum"),
    (engine.REQUEST_PROMPT_TOKENS, "_sum"),
    (engine.KV_CACHE_USED, ""),
    (engine.MAX_NUM_BATCHED_TOKENS, ""),
)
(
    _WAITING,
    _PREEMPTED,
    _STEPS,
    _PROMPT,
    _CACHED,
    _HITS,
    _FIRST,
    _GAPS,
    _GAP_TIME,
    _PREFILLS,
    _PREFILL_TIME,
    _PREFILL_TOKENS,
    _KV,
    _BUDGET,
) = range(len(_KEYS))
_COUNTED: Final = (_PREEMPTED, _STEPS, _PROMPT, _FIRST, _GAPS, _GAP_TIME)
_counted: Final = itemgetter(*_COUNTED)
_ROUNDS: Final = 40
_SCATTER: Final = 2.0  # variance of what prompts hold up, against a Poisson count's: they differ


@dataclass(frozen=True, slots=True)
class _Between:
    """What two ticks have between them.

    Attributes:
        time: Unix seconds of the later one.
        seconds: from one to the other.
        steps: of the engine.
        gaps: between tokens.
        gap_time: seconds of all of them.
        prompts: first tokens.
        computed: prompt tokens computed, of each prompt.
        cached: share of the prompt tokens that was found in the cache.
        held: tokens of each request in the KV cache, NaN where the engine does not say.
    """

    time: float
    seconds: float
    steps: float
    gaps: float
    gap_time: float
    prompts: float
    computed: float
    cached: float
    held: float

    @classmethod
    def of(cls, begin: float, first: Row, time: float, last: Row) -> "_Between":
        """Return what grew from one tick to another."""
        grown = _grown(first, last)
        cached = next((grown[at] for at in (_CACHED, _HITS) if not isnan(grown[at])), 0.0)
        share = min(max(cached / grown[_PROMPT], 0.0), 1.0) if grown[_PROMPT] > 0 else 0.0
        prompts = grown[_FIRST]
        whole = grown[_PROMPT] / prompts if prompts > 0 else 0.0
        answer = grown[_GAPS] / prompts if prompts > 0 else 0.0
        return cls(
            time=time,
            seconds=time - begin,
            steps=grown[_STEPS],
            gaps=grown[_GAPS],
            gap_time=grown[_GAP_TIME],
            prompts=prompts,
            computed=whole * (1.0 - share),
            cached=share,
            held=nan if isnan(last[_KV]) else whole + 0.5 * answer,
        )

    @property
    def alone(self) -> float:
        """Steps that only decode: each prompt is computed in a step of its own."""
        return self.steps - self.prompts

    @property
    def beside(self) -> float:
        """Sequences that a token has beside it, and that a prompt finds at work, on average."""
        return beside(self.gaps, self.alone, self.prompts)

    def stretch(self) -> Stretch:
        """Return the step that a token sees, on average."""
        others = self.beside
        return Stretch(
            time=self.time,
            steps=self.alone,
            seconds=self.gap_time / self.gaps,
            prefill=self.prompts * self.computed * others / self.gaps,
            decode=1.0 + others,
            kv=self.held * (1.0 + others),
            decode_squared=1.0 + 3.0 * others + others * others,
            by="gaps",
            prompts=self.prompts * others / self.gaps,
        )


def beside(gaps: float, steps: float, prompts: float) -> float:
    """Return how many sequences a token has beside it, on average.

    Of a number that is distributed after Poisson those steps are seen in which it is not nil, and
    the prompts find it as it is. Of one sequence at a time there is none beside.

    Args:
        gaps: tokens in all steps.
        steps: that have no prompt.
        prompts: each in a step of its own.
    """
    if gaps <= steps:
        return 0.0
    low, high = 0.0, gaps / steps
    for _ in range(_ROUNDS):
        mean = 0.5 * (low + high)
        if mean / -expm1(-mean) * steps + mean * prompts < gaps:
            low = mean
        else:
            high = mean
    return 0.5 * (low + high)


class Gaps:
    """Follows one replica and gives what its stopwatches tell, period by period."""

    def __init__(self) -> None:
        self._time = -inf
        self._begin: list[tuple[float, Row] | None] = [None, None]
        self._last: Row | None = None

    def observe(self, view: View, *, busy: Container[float]) -> list[Stretch]:
        """Return what was completed since the last call.

        Args:
            view: of the replica.
            busy: times at which stretches of work ended: what wall time tells is better.
        """
        if not len(view):
            return []
        if view.times[-1] < self._time:  # the clock was set back
            self._time, self._last = -inf, None
            self._begin = [None, None]
        fresh = view.rows(int(view.times.searchsorted(self._time, side="right")), len(view))
        if len(fresh):
            self._time = float(fresh.times[-1])
        found: list[Stretch] = []
        for time, row in zip(fresh.times.tolist(), fresh.table(_KEYS).tolist(), strict=True):
            if not isnan(sum(_counted(row))):
                found += self._advance(time, row, busy=time in busy)
        return found

    def _advance(self, time: float, row: Row, *, busy: bool) -> list[Stretch]:
        """Take one tick."""
        last, self._last = self._last, row
        if (
            last is None
            or busy
            or row[_WAITING] > 0.0
            or row[_PREEMPTED] > last[_PREEMPTED]
            or any(map(lt, _counted(row), _counted(last)))
        ):
            self._begin = [(time, row), (time, row)]
            return []
        found = []
        for which, taken in enumerate((_gap, _prompt)):
            begun = self._begin[which]
            if begun is None or time - begun[0] > LONGEST:
                self._begin[which] = (time, row)
            elif time - begun[0] >= PERIOD:
                told = taken(*begun, time, row)
                if told is not None:
                    found.append(told)
                    self._begin[which] = (time, row)
        return found


def _grown(first: Row, last: Row) -> Row:
    """Return by how much each column grew."""
    return [after - before for before, after in zip(first, last, strict=True)]


def _gap(begin: float, first: Row, time: float, last: Row) -> Stretch | None:
    """Return what the gaps between tokens tell, None where there are too few."""
    between = _Between.of(begin, first, time, last)
    if between.alone < ENOUGH_STEPS or between.gap_time <= 0.0 or between.gaps < between.alone:
        return None
    if not _whole(between.computed, last):
        return None
    # How many of the prompts were met by others is known on average alone.
    met = between.prompts * between.beside
    each = last[_PREFILL_TIME] / last[_PREFILLS] if last[_PREFILLS] > 0 else inf
    if met > 0.0 and met * each * sqrt(_SCATTER / met) > CHANCE * between.gap_time:
        return None
    return between.stretch()


def _prompt(begin: float, first: Row, time: float, last: Row) -> Stretch | None:
    """Return what the times of prompts tell, None where they are too few or too long."""
    grown = _grown(first, last)
    prompts = grown[_PREFILLS]
    if not prompts >= ENOUGH_PROMPTS or not grown[_PREFILL_TIME] > 0.0:
        return None
    between = _Between.of(begin, first, time, last)
    # Both are counted when a request ends.
    tokens = grown[_PREFILL_TOKENS] / prompts * (1.0 - between.cached)
    if between.alone <= 0.0 or not tokens > 0.0 or not _whole(tokens, last):
        return None
    others = between.beside
    if others > QUIET:
        return None
    # What comes while a step runs is computed together in the next.
    step = between.gap_time / between.gaps if between.gaps > 0 else 0.0
    together = between.prompts / between.seconds * step * (1.0 - exp(-others))
    return Stretch(
        time=time,
        steps=prompts,
        seconds=grown[_PREFILL_TIME] / prompts,
        prefill=tokens * (1.0 + together),
        decode=others,
        kv=between.held * others + tokens,
        decode_squared=others + others * others,
        by="prompts",
        prompts=1.0 + together,
    )


def _whole(tokens: float, last: Row) -> bool:
    """Return whether nearly all prompts are computed in one step, if that is their mean.

    Steps with a part of a prompt alone give no token, and an engine may not count them.
    """
    budget = last[_BUDGET] if last[_BUDGET] > 0 else BUDGET
    return WHOLE * tokens <= budget
