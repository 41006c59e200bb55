"""What is known of the time of an engine's step, as a value that can be asked and kept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import hypot, sqrt
from typing import Any, Final, NamedTuple

import numpy as np

from agent.analysis.step_fit import SCALE_FLOOR, TERMS, StepFit, quantile_t, spread_of

TRUSTED_WIDTH: Final = 0.15
"""Half width of the interval, relative to the estimate, up to which a prediction is trusted."""

FURTHEST: Final = 2.0
"""Multiple of the largest batch seen beyond which nothing is trusted: a knee gives no warning."""

_VARIED: Final = 1.25  # ratio of the 95th to the 5th percentile of step times
_EXPLAINED: Final = 0.3  # share of the variance; scatter alone is no variation of the load
_SHARE: Final = 0.10  # of the step time, to which the contribution of a term must be known


class Prediction(NamedTuple):
    """Seconds of a step, with the interval that holds the mean step in nine of ten cases."""

    estimate: float
    low: float
    high: float


class Term(NamedTuple):
    """A coefficient in seconds, its 90 % interval, and whether the data tell it from the others."""

    value: float
    low: float
    high: float
    identifiable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimeModel:
    """The mean time of a step as a function of its load.

    Attributes:
        time: Unix seconds of the newest stretch that it rests on.
        coefficients: seconds, in the order of `step_fit.TERMS`.
        replicates: the same with each load bucket left out, for the interval.
        alternative: the same by the form that was not chosen, with or without the bend.
        doubt: how open it is which form is right, from 0 to 1.
        inverse: inverse of the weighted X'X of relative errors.
        residual: relative scatter of the stretches about it.
        explained: share of the variance of step times that it explains (R²).
        stretches: how many it rests on.
        batch: smallest and largest batch seen, sequences that decode.
        load: medians of prefill tokens a step, sequences and tokens held.
        spread: the 95th over the 5th percentile of step times seen.
        slowness: mean time of a step against that of the law, which is of undisturbed steps.
        drift: standard deviation of the logarithm of that, from minute to minute.
        minutes: in how many of them the stretches lie.
    """

    time: float
    coefficients: tuple[float, ...]
    replicates: tuple[tuple[float, ...], ...]
    alternative: tuple[float, ...]
    doubt: float
    inverse: tuple[tuple[float, ...], ...]
    residual: float
    explained: float
    stretches: int
    batch: tuple[float, float]
    load: tuple[float, float, float]
    spread: float
    slowness: float = 1.0
    drift: float = 0.0
    minutes: int = 0

    @classmethod
    def of(cls, fit: StepFit, time: float) -> "StepTimeModel":
        """Return the model of a fit.

        Args:
            fit: by `step_fit.fit`.
            time: Unix seconds of its newest stretch.
        """
        return cls(
            time=time,
            coefficients=tuple(fit.coefficients.tolist()),
            replicates=tuple(tuple(row) for row in fit.replicates.tolist()),
            alternative=tuple(fit.alternative.tolist()),
            doubt=fit.doubt,
            inverse=tuple(tuple(row) for row in fit.inverse.tolist()),
            residual=fit.residual,
            explained=fit.explained,
            stretches=fit.stretches,
            batch=fit.batch,
            load=fit.load,
            spread=fit.spread,
            slowness=fit.drift.slowness,
            drift=fit.drift.spread,
            minutes=fit.drift.minutes,
        )

    @property
    def identifiable(self) -> bool:
        """Whether the load varied enough to say more than the mean of what was seen."""
        varied = self.spread >= _VARIED and self.explained >= _EXPLAINED
        return varied and len(self.replicates) > len(TERMS)

    @property
    def bends(self) -> bool:
        """Whether step time was seen to rise faster than the batch."""
        return self.coefficients[-1] > 0

    def estimate(self, prefill: float, decode: float, kv: float) -> float:
        """Return the mean time of a step at a load, without its interval."""
        base, each_prompt, each_sequence, each_held, bend = self.coefficients
        by_batch = (each_sequence + bend * decode) * decode
        return base + each_prompt * prefill + by_batch + each_held * kv

    def predict(
        self, prefill: float, decode: float, kv: float, *, drifting: bool = False
    ) -> Prediction:
        """Return the mean time of a step at a load.

        The interval has four parts, added as squares: the scatter of the fit (the larger of the
        jackknife's and the classical standard error, times Student's t), the answer of the other
        form so far as the data leave it open or the batch lies outside of what was seen, and the
        misfit that any such form has (2 %).

        Args:
            prefill: prompt tokens computed each step.
            decode: sequences that get a further token.
            kv: tokens held in the KV cache.
            drifting: whether stretches of one minute share what the machine did in it, so that
                there is as little to learn from as there are minutes that differ.
        """
        load = np.array([1.0, prefill, decode, kv, decode * decode])
        estimate = self.estimate(prefill, decode, kv)
        error = max(
            spread_of(np.array(self.replicates) @ load, estimate),
            self._scatter(drifting=drifting) * sqrt(max(0.0, load @ np.array(self.inverse) @ load)),
        )
        other = abs(float(load @ np.array(self.alternative)) - estimate)
        lowest, largest = self.batch
        outside = max(decode / largest - 1.0 if largest > 0 else 1.0, 0.0)
        if lowest > 0:
            outside = max(outside, 1.0 - decode / lowest)
        half = sqrt(
            (quantile_t(len(self.replicates) - 1) * error) ** 2
            + max(self.doubt, min(1.0, outside)) * other**2
            + (SCALE_FLOOR * estimate) ** 2
        )
        return Prediction(estimate, max(0.0, estimate - half), estimate + half)

    def _scatter(self, *, drifting: bool) -> float:
        """Return the relative scatter of a stretch, as if all were independent."""
        scatter = max(self.residual, SCALE_FLOOR)
        if not (drifting and self.minutes):
            return scatter
        return hypot(scatter, self.drift * sqrt(self.stretches / self.minutes))

    def at_batch(self, decode: float) -> Prediction:
        """Return the mean time of a step at a batch, with the mix of work seen so far.

        Prefill and tokens held grow with the batch, as they do while requests stay as they are.
        """
        prefill, batch, kv = self.load
        share = decode / batch if batch > 0 else 1.0
        return self.predict(prefill * share, decode, kv * share)

    @property
    def trusted_to_batch(self) -> float:
        """Largest batch, at the mix seen so far, up to which predictions are trusted; 0 for none.

        At most `FURTHEST` times what was seen, and while the interval is no wider than
        `TRUSTED_WIDTH` to either side.
        """
        largest = self.batch[1]
        if not self.identifiable:
            return largest
        trusted = 0.0
        for eighth in range(1, int(8 * FURTHEST) + 1):
            batch = largest * eighth / 8
            if batch < self.load[1]:
                continue
            estimate, _low, high = self.at_batch(batch)
            if high - estimate > TRUSTED_WIDTH * estimate:
                break
            trusted = batch
        return trusted

    def terms(self) -> dict[str, Term]:
        """Return the coefficients by name, in seconds for each unit of load.

        A term is identifiable when its share of the step time at the median load is known to a
        tenth of that time: by the jackknife, and by the classical standard error, which knows of
        columns that went up and down together what the bound at zero hides.
        """
        replicates = np.array(self.replicates)
        times = quantile_t(len(replicates) - 1)
        prefill, decode, kv = self.load
        usual = self.predict(prefill, decode, kv).estimate
        scatter = max(self.residual, SCALE_FLOOR)
        terms = {}
        units = (1.0, prefill, decode, kv, decode * decode)
        for index, (name, unit) in enumerate(zip(TERMS, units, strict=True)):
            value = self.coefficients[index]
            half = times * max(
                spread_of(replicates[:, index], value),
                scatter * sqrt(max(0.0, self.inverse[index][index])),
            )
            known = self.inverse[index][index] > 0 and half * unit <= _SHARE * usual
            terms[name] = Term(value, max(0.0, value - half), value + half, known)
        return terms

    def state(self) -> dict[str, Any]:
        """Return it as what JSON can hold; `restore` reads it."""
        return asdict(self)

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "StepTimeModel":
        """Return the model that `state` was taken of.

        Raises:
            KeyError: something is missing.
            TypeError: something is no number.
            ValueError: likewise, or the state is of another form of the law.
        """
        coefficients = _floats(state["coefficients"], len(TERMS))
        prefill, decode, kv = _floats(state["load"], 3)
        lowest, largest = _floats(state["batch"], 2)
        return cls(
            time=float(state["time"]),
            coefficients=coefficients,
            replicates=tuple(_floats(row, len(TERMS)) for row in state["replicates"]),
            alternative=_floats(state["alternative"], len(TERMS)),
            doubt=float(state["doubt"]),
            inverse=tuple(_floats(row, len(TERMS)) for row in state["inverse"]),
            residual=float(state["residual"]),
            explained=float(state["explained"]),
            stretches=int(state["stretches"]),
            batch=(lowest, largest),
            load=(prefill, decode, kv),
            spread=float(state["spread"]),
            # States of earlier versions have none of these.
            slowness=float(state.get("slowness", 1.0)),
            drift=float(state.get("drift", 0.0)),
            minutes=int(state.get("minutes", 0)),
        )


def _floats(values: Sequence[Any], count: int) -> tuple[float, ...]:
    """Return so many numbers."""
    if len(values) != count:
        raise ValueError(f"expected {count} numbers, got {len(values)}")
    return tuple(float(value) for value in values)
