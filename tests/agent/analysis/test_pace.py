"""How fast an engine steps against what is known of it."""

import math

from agent.analysis.pace import Pace
from agent.analysis.step_fit import fit
from agent.analysis.step_model import StepTimeModel
from agent.analysis.step_store import load_of
from agent.analysis.step_time import StepTime, StepTimeResult
from tests.agent.analysis.stretches import START, linear, stretches
from tests.agent.analysis.test_bottleneck import HEALTHY


def test_a_law_that_is_no_longer_known_still_compares() -> None:
    """After a change of the law there is too little for a new one; the old one says how slow."""
    given = stretches(linear, count=80)
    found = fit(given, [load_of(one) for one in given])
    assert found is not None
    model = StepTimeModel.of(found, START)
    pace = Pace()
    known = StepTimeResult(model=model, terms=model.terms())
    assert pace.compare(known, HEALTHY, time=START).slowdown > 0
    forgotten = pace.compare(StepTimeResult(changed=START + 60), HEALTHY, time=START + 120)
    assert forgotten.slowdown > 0
    assert math.isnan(forgotten.prefill_share)


def test_nothing_is_left_to_fit_when_everything_is_forgotten() -> None:
    """A clock that was set can make every stretch too old; the step time is then unknown."""
    one = StepTime()
    one._fit(START)
    assert one._result == StepTimeResult()
