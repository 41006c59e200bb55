"""Cuts the life of an engine into stretches of work, of each of which the mean step is known."""

from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Final, Literal, TypeAlias

import numpy as np

from agent.analysis.step_prompts import PromptsUnderWay
from agent.analysis.window import Column, View
from agent.catalog import engine

SHORTEST: Final = 4.0
LONGEST: Final = 30.0
"""Seconds that a stretch lasts, at most, unless it has too few steps even then."""

LONG_ENOUGH: Final = 12.0
"""Seconds after which it ends where steps with a prompt are long."""

ENOUGH_STEPS: Final = 24
FEWEST_STEPS: Final = 8
"""Counters move when a step ends: at either end of a stretch up to one step is miscounted."""

LONG_PROMPT: Final = 64
ENOUGH_PROMPTS: Final = 12
"""Prompt tokens are counted when all of a prompt is computed. Where prompts are no trifle, a
stretch begins and ends while no prompt is under way, or holds so many that those matter little."""

BUDGET: Final = 2048.0
"""Tokens of a step at most where nobody tells: the smallest default of vLLM's server."""

_RECOMPUTED: Final = 0.5
"""Tokens computed again for a request that was thrown out, against what requests hold on average.
No counter has them. The youngest is thrown out, which holds its prompt and little more."""

_ALONE: Final = 1.02  # requests' time over wall time up to which they ran one after the other
_PROMPT_STEPS: Final = 12.0  # as many of which a stretch lasts: one at either end is miscounted
_SILENCE: Final = 10.0  # seconds without a step after which an engine is no longer at work

_KEYS: Final = (
    (engine.REQUESTS_RUNNING, ""),
    (engine.STEPS, ""),
    (engine.PROMPT_TOKENS, ""),
    (engine.PROMPT_TOKENS_CACHED, ""),
    (engine.PREFIX_CACHE_HITS, ""),
    (engine.GENERATION_TOKENS, ""),
    (engine.INTER_TOKEN_LATENCY, "_count"),
    (engine.INTER_TOKEN_LATENCY, "_sum"),
    (engine.TIME_TO_FIRST_TOKEN, "_sum"),
    (engine.TIME_TO_FIRST_TOKEN, "_count"),
    (engine.E2E_LATENCY, "_count"),
    (engine.KV_CACHE_USED, ""),
    (engine.PREEMPTIONS, ""),
    (engine.REQUESTS_WAITING, ""),
    (engine.PREFILL_TIME, "_sum"),
    (engine.PREFILL_TIME, "_count"),
    (engine.MAX_NUM_BATCHED_TOKENS, ""),
)
(
    _RUNNING,
    _STEPS,
    _PROMPT,
    _CACHED,
    _HITS,
    _GENERATED,
    _GAPS,
    _GAP_TIME,
    _FIRST_TIME,
    _FIRST,
    _ENDED,
    _KV,
    _PREEMPTED,
    _WAITING,
    _PREFILL_TIME,
    _PREFILLS,
    _BUDGET,
) = range(len(_KEYS))


Clock: TypeAlias = Literal["wall", "gaps", "prompts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The steps of some seconds in which an engine was at work throughout.

    Attributes:
        time: Unix seconds of its end.
        steps: how many steps it has.
        seconds: mean time of a step.
        prefill: prompt tokens computed, a step; with an estimate of those that were computed again.
        decode: sequences that got a further token, a step.
        kv: tokens held in the KV cache, mean over the steps; NaN where the engine does not say.
        decode_squared: mean over the steps of the square of `decode`, as far as seconds tell it.
        by: the clock that timed it. `wall`: all steps of a time without a pause. `gaps`: between
            tokens, so that a step, and what is in it, counts as often as it has sequences.
            `prompts`: only steps that compute a prompt, which tell nothing of what is usual.
        longest: seconds of a step with a prompt, as far as known, of which one at either end may be
            miscounted.
        prompts: prompts computed, a step; None where it is not known.
    """

    time: float
    steps: float
    seconds: float
    prefill: float
    decode: float
    kv: float
    decode_squared: float
    by: Clock = "wall"
    longest: float = 0.0
    prompts: float | None = None


@dataclass(slots=True)
class _Sum:
    """What a stretch holds so far; `short` is one that would do if no better one comes."""

    begin: float
    end: float
    moved: float
    steps: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0
    decode_squared: float = 0.0
    kv: float = 0.0
    gap_time: float = 0.0
    first_time: float = 0.0
    first: float = 0.0
    queued: bool = False
    fewest: float = inf
    short: Stretch | None = None


class Stretches:
    """Follows one replica and gives each stretch when it is complete."""

    def __init__(self) -> None:
        self._last: list[float] | None = None
        self._time = nan
        self._sum: _Sum | None = None
        self._stepped = False
        self._prompts = PromptsUnderWay()
        self._long = False

    def observe(self, view: View) -> list[Stretch]:
        """Return the stretches that were completed since the last call."""
        fresh = view.times > self._time
        count = int(np.count_nonzero(fresh)) if self._last is not None else len(view)
        if not count:
            if len(view) and view.times[-1] < self._time:
                self._last, self._sum, self._time, self._stepped = (
                    None,
                    None,
                    nan,
                    False,
                )  # the clock was set back
            return []
        recent = view.rows(len(view) - count, len(view))
        found: list[Stretch] = []
        table: Column = recent.table(_KEYS)
        for time, row in zip(recent.times.tolist(), table.tolist(), strict=True):
            found += self._advance(time, row)
        return found

    def _advance(self, time: float, row: list[float]) -> list[Stretch]:
        """Take one tick.

        A stretch begins and ends with ticks in which a step ended, so that a slow engine is not
        taken for faster or slower by where in a step it was.
        """
        last, self._last = self._last, row
        before, self._time = self._time, time
        stepped_before, may_begin = self._stepped, self._prompts.none or self._prompts.steady
        self._prompts.tick(
            row[_FIRST] - row[_ENDED] - row[_RUNNING],
            preempted=last is not None and row[_PREEMPTED] > last[_PREEMPTED],
        )
        self._stepped = last is not None and row[_STEPS] > last[_STEPS]
        tokens = _tokens(last, row) if last is not None else None
        if last is None or tokens is None or not (row[_RUNNING] > 0 and last[_RUNNING] > 0):
            return self._cut_short()
        total = self._sum
        if total is None:
            if not stepped_before or (self._long and not may_begin):
                return []
            total = self._sum = _Sum(before, before, before)
        self._add(total, time, last, row, tokens)
        if row[_FIRST] > last[_FIRST]:
            self._long = tokens[0] > LONG_PROMPT * (row[_FIRST] - last[_FIRST])
        if time - total.moved >= _SILENCE:
            return self._cut_short()
        return self._finish(total, row) if self._stepped else []

    @staticmethod
    def _add(
        total: _Sum, time: float, last: list[float], row: list[float], tokens: tuple[float, float]
    ) -> None:
        """Add the tick to the stretch."""
        prefill, decode = tokens
        steps = row[_STEPS] - last[_STEPS]
        total.end = time
        if steps > 0:
            total.moved = time
            total.decode_squared += decode * decode / steps
        total.steps += steps
        total.prefill += prefill
        total.decode += decode
        total.kv += steps * (last[_KV] + row[_KV]) / 2
        total.gap_time += row[_GAP_TIME] - last[_GAP_TIME]
        total.first_time += row[_FIRST_TIME] - last[_FIRST_TIME]
        total.first += row[_FIRST] - last[_FIRST]
        total.queued = total.queued or row[_WAITING] > 0
        total.fewest = min(total.fewest, last[_RUNNING], row[_RUNNING])

    def _finish(self, total: _Sum, row: list[float]) -> list[Stretch]:
        """Return the stretch if it is long enough, and begin the next."""
        wall = total.end - total.begin
        cut = self._long and not self._prompts.none
        if cut and total.first < ENOUGH_PROMPTS and wall < 2 * LONGEST:
            return []
        enough = wall >= SHORTEST and total.steps >= ENOUGH_STEPS
        if not enough and not (wall >= LONGEST and total.steps >= FEWEST_STEPS):
            return []
        found = _stretch(total, wall, longest=_prompt_step(row) if self._long else 0.0)
        if found is not None and wall < min(_PROMPT_STEPS * found.longest, LONG_ENOUGH):
            total.short = found
            return []
        self._sum = None
        return [] if found is None else [found]

    def _cut_short(self) -> list[Stretch]:
        """End the stretch where work ends, and return what there is of it."""
        total, self._sum = self._sum, None
        return [] if total is None or total.short is None else [total.short]


def _stretch(total: _Sum, wall: float, *, longest: float) -> Stretch | None:
    """Return a stretch, None where it cannot be told how long there was work."""
    busy = _busy(total, wall)
    if not busy:
        return None
    return Stretch(
        time=total.end,
        steps=total.steps,
        seconds=busy / total.steps,
        prefill=total.prefill / total.steps,
        decode=total.decode / total.steps,
        kv=total.kv / total.steps,
        decode_squared=total.decode_squared / total.steps,
        longest=longest,
        prompts=None if isnan(total.first) else total.first / total.steps,
    )


def _prompt_step(row: list[float]) -> float:
    """Return the seconds of a step with a prompt by the engine's stopwatch; 0 without one."""
    if not (row[_PREFILL_TIME] > 0 and row[_PREFILLS] > 0 and row[_FIRST] > 0):
        return 0.0
    budget = row[_BUDGET] if row[_BUDGET] > 0 else BUDGET
    return row[_PREFILL_TIME] / row[_PREFILLS] / max(1.0, row[_PROMPT] / row[_FIRST] / budget)


def _busy(total: _Sum, wall: float) -> float | None:
    """Return the seconds of a stretch in which there was work, None where that cannot be told.

    A pause between two ticks does not show in the gauge of running requests where that may have
    been at zero between: where it was at one. Requests one after the other take in all the time in
    which there was work; side by side, more. Then only the gaps between tokens are sure to be work.
    """
    requests = total.gap_time + total.first_time
    if total.fewest > 1 or total.queued or isnan(requests):
        return wall
    if requests <= wall * _ALONE:
        return min(wall, requests)
    if total.prefill == 0 and total.decode > 0:
        return min(wall, total.steps * total.gap_time / total.decode)
    return None


def _tokens(last: list[float], row: list[float]) -> tuple[float, float] | None:
    """Return the prompt tokens computed and the tokens that sequences were continued by.

    None where the engine does not say, or began anew.
    """
    steps = row[_STEPS] - last[_STEPS]
    if not steps >= 0:
        return None
    prefill = row[_PROMPT] - last[_PROMPT]
    for cached in (row[_CACHED] - last[_CACHED], row[_HITS] - last[_HITS]):
        if not isnan(cached):
            prefill = max(0.0, prefill - cached)
            break
    thrown_out = row[_PREEMPTED] - last[_PREEMPTED]
    if thrown_out > 0:
        held = (row[_KV] + last[_KV]) / max(1.0, row[_RUNNING] + last[_RUNNING])
        prefill += 0.0 if isnan(held) else thrown_out * _RECOMPUTED * held
    # The first token of a request comes from its prefill, and has no gap before it. Without the
    # gaps, tokens may be counted only when their request ends: then the batch tells them.
    decode = row[_GAPS] - last[_GAPS]
    if isnan(decode):
        decode = steps * (last[_RUNNING] + row[_RUNNING]) / 2
    return (prefill, decode) if prefill >= 0 and decode >= 0 else None
