"""The law of the step, foretelling simulated engines whose law it does not know."""

from evaluation.step_times import Foretold, foretell, summary
from tests.simulator.scenarios import SCENARIOS
from tests.simulator.truth import Cause


def test_a_steady_engine_is_foretold():
    """What was learned of a healthy engine holds for the rest of the run, within 6 %."""
    scenario = next(one for one in SCENARIOS.values() if one.cause is Cause.HEALTHY)
    found = foretell(scenario)
    assert found is not None
    assert not found.changing
    assert found.error < 0.06
    assert found.inside > 0.7


def test_summary_keeps_changing_laws_apart():
    """Runs whose law changes on purpose do not enter the figure of the others."""

    def run(error: float, *, changing: bool) -> Foretold:
        return Foretold(
            scenario="x", changing=changing, error=error, bias=-error, inside=0.9, reach=1.0
        )

    lines = summary([run(0.02, changing=False), run(0.5, changing=True)]).splitlines()
    assert lines[2] == "| law stands | 1 | 2.0% | 2.0% | -2.0% | 90% |"
    assert lines[3] == "| law changes | 1 | 50.0% | 50.0% | -50.0% | 90% |"
