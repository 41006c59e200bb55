"""The stretches that a law of the step rests on."""

import numpy as np
import pytest

from agent.analysis.step_evidence import StepEvidence
from agent.analysis.step_fit import fit
from agent.analysis.step_model import StepTimeModel
from agent.analysis.step_windows import Stretch
from tests.agent.analysis.stretches import linear, stretches


def evidence(some: list[Stretch]) -> StepEvidence:
    """Return that of the law that is fitted to them."""
    found = fit(some, [number // 4 for number in range(len(some))])
    assert found is not None
    return StepEvidence.of(some, StepTimeModel.of(found, some[-1].time))


def test_columns_are_those_of_the_stretches():
    """Each stretch is there once, in its order; what nobody told is NaN or nothing."""
    some = stretches(linear)
    found = evidence(some)
    assert found.seconds.tolist() == [one.seconds for one in some]
    assert found.prefill.tolist() == [one.prefill for one in some]
    assert found.decode.tolist() == [one.decode for one in some]
    assert np.isnan(found.prompts).all()
    assert not found.picked.any()


def test_the_misfit_is_that_of_the_law():
    """Of stretches that scatter by 3 % the law is off by 3 %, in the root of the mean square."""
    found = evidence(stretches(linear, noise=0.03))
    assert found.misfit**0.5 == pytest.approx(0.03, rel=0.3)


def test_disturbed_stretches_have_no_weight():
    """What took half as long again weighs nothing, and hardly anything else does."""
    some = stretches(linear, noise=0.01, disturbed=0.2)
    found = evidence(some)
    slow = np.array([one.seconds > 1.25 * linear(one.prefill, one.decode, one.kv) for one in some])
    assert slow.sum() > 5
    assert found.weights[slow].max() == 0.0
    assert found.weights[~slow].mean() > 0.6
