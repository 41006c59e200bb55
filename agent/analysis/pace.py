"""How fast an engine steps against what is known of it: the model of its step time, put to use."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from agent.analysis.evidence import Evidence
from agent.analysis.median import median_of
from agent.analysis.step_model import StepTimeModel
from agent.analysis.step_time import StepTimeResult
from agent.analysis.window import mean

BACK: Final = 1.1
"""Step time against an earlier law below which that law holds again."""

LAG: Final = 60.0
"""Seconds that a model must be old to be compared with."""

SPACING: Final = 60.0
"""Seconds from one kept model to the next."""

REMEMBERED: Final = 15
"""Models that are kept: a quarter of an hour of them."""

_FURTHEST: Final = 1024  # requests in a batch


@dataclass(frozen=True, slots=True)
class Compared:
    """What the model says of the present load; NaN where it cannot say.

    Attributes:
        slowdown: seconds a step takes against what this load took before.
        prefill_share: share of the step time that goes to prompt tokens.
    """

    slowdown: float = math.nan
    prefill_share: float = math.nan


class Pace:
    """Holds the step time of a replica against its model.

    A model follows a slower law within minutes, and would then find nothing slow about it. So the
    comparison is with the median of what the models of the last quarter of an hour say, the newest
    minute left out; and after a change of the law with the last model from before it, until the
    engine is as fast again.
    """

    def __init__(self) -> None:
        self._newest: StepTimeModel | None = None
        self._kept: deque[StepTimeModel] = deque(maxlen=REMEMBERED)
        self._before: StepTimeModel | None = None
        self._changed: float | None = None

    def compare(self, result: StepTimeResult, evidence: Evidence, *, time: float) -> Compared:
        """Return how the evidence compares with what is known at a time in Unix seconds."""
        self._learn(result)
        load = (evidence.prefill_per_step, evidence.decode_per_step, _held(evidence))
        if self._newest is None or math.isnan(evidence.step_time) or math.isnan(sum(load)):
            return Compared()
        now = _mean_step(self._newest, load)
        expected = self._expected(load, time)
        if min(now, expected) <= 0:
            return Compared()
        slowdown = evidence.step_time / expected
        if slowdown < BACK:
            self._before = None
        share = self._newest.coefficients[1] * load[0] / now
        term = result.terms.get("prefill")  # none while there is too little for a newer law
        return Compared(slowdown, share if term and term.identifiable else math.nan)

    def _learn(self, result: StepTimeResult) -> None:
        """Take note of a new model, and of the one that held before the law changed."""
        if result.changed is not None and result.changed != self._changed:
            self._changed = result.changed
            self._before = self._before or self._older_than(result.changed)
        model = result.model
        if model is None or model is self._newest:
            return
        self._newest = model
        if not self._kept or model.time - self._kept[-1].time >= SPACING:
            self._kept.append(model)

    def _expected(self, load: tuple[float, float, float], time: float) -> float:
        """Return the seconds that a step of this load took before."""
        if self._before is not None:
            return _mean_step(self._before, load)
        older = [model for model in self._kept if model.time <= time - LAG] or [self._kept[0]]
        return median_of(_mean_step(model, load) for model in older)

    def _older_than(self, time: float) -> StepTimeModel | None:
        """Return the last model that rests only on what was before a time."""
        older = (model for model in reversed(self._kept) if model.time <= time)
        return next(older, None)

    @property
    def model(self) -> StepTimeModel | None:
        """The newest law, None before the first."""
        return self._newest


def batch_within(model: StepTimeModel | None, seconds: float) -> float | None:
    """Return the largest batch whose steps take no longer, at the mix of work seen so far.

    None where the law cannot say: there is none, or it is not trusted that far.
    """
    if model is None or not model.identifiable:
        return None
    trusted = min(model.trusted_to_batch, float(_FURTHEST))
    if model.at_batch(trusted).estimate <= seconds:
        return None
    low, high = 0.0, trusted
    while high - low > 0.5:  # noqa: PLR2004 - half a request
        middle = (low + high) / 2
        if model.at_batch(middle).estimate <= seconds:
            low = middle
        else:
            high = middle
    return float(math.floor(high))


def _mean_step(model: StepTimeModel, load: tuple[float, float, float]) -> float:
    """Return the mean seconds of a step with so many tokens prefilled, decoded and held."""
    base, prefill, decode, kv, bend = model.coefficients
    return base + prefill * load[0] + decode * load[1] + kv * load[2] + bend * load[1] * load[1]


def _held(evidence: Evidence) -> float:
    """Return the tokens held in the KV cache, their mean; 0 where the engine does not say."""
    held = mean(evidence.kv_usage) * evidence.kv_capacity
    return 0.0 if math.isnan(held) else held
