"""The stretches of work that a law of the step rests on, as columns: for laws of another form."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.analysis.step_fit import design, weighed
from agent.analysis.step_model import StepTimeModel
from agent.analysis.step_windows import Stretch
from agent.analysis.window import Column


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepEvidence:
    """Stretches of work, each column of shape (stretches,).

    Attributes:
        seconds: mean time of a step.
        prefill: prompt tokens computed, a step.
        prompts: prompts that these belong to, a step; NaN where it is not known.
        decode: sequences that got a further token, a step.
        kv: tokens held in the KV cache; 0 where the engine does not say.
        picked: whether only steps that compute a prompt are in it.
        weights: 0 to 1, less of what something disturbed.
        residual: relative scatter about the law that was learned.
        misfit: weighted mean square of the relative errors of that law.
        drift: standard deviation of the logarithm of a minute's steps against it.
    """

    seconds: Column
    prefill: Column
    prompts: Column
    decode: Column
    kv: Column
    picked: NDArray[np.bool_]
    weights: Column
    residual: float
    misfit: float
    drift: float

    @classmethod
    def of(cls, stretches: Sequence[Stretch], model: StepTimeModel) -> "StepEvidence":
        """Return that of a model.

        Args:
            stretches: that it rests on.
            model: as it was fitted to them.
        """
        load, seconds = design(stretches)
        errors = 1.0 - load @ np.array(model.coefficients) / seconds
        weights = weighed(stretches, errors)
        return cls(
            seconds=seconds,
            prefill=load[:, 1],
            prompts=np.array([np.nan if one.prompts is None else one.prompts for one in stretches]),
            decode=load[:, 2],
            kv=load[:, 3],
            picked=np.array([one.by == "prompts" for one in stretches]),
            weights=weights,
            residual=model.residual,
            drift=model.drift,
            misfit=float(weights @ errors**2) / max(float(weights.sum()), 1e-12),
        )
