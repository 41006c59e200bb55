"""Runs scenarios and says whether each one is about what its name says, by the truth alone.

python -m tests.simulator.check [NAME …]
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.simulator.scenarios import SCENARIOS, Scenario
from tests.simulator.simulation import Exhaustion
from tests.simulator.truth import Cause

_ENOUGH: Final = 100
_STRAY: Final = 60
_QUIET: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a scenario was.

    Attributes:
        good: it was what its name says.
        scored: scored seconds by cause.
        exhaustions: what ran out.
        trend: seconds from the beginning of a trend until what it is about ran out; 0 for none.
    """

    good: bool
    scored: Counter[Cause]
    exhaustions: Sequence[Exhaustion]
    trend: float


def outcome(scenario: Scenario) -> Outcome:
    """Run a scenario to its end.

    Its cause must be scored for 100 seconds, and others than calm ones for less than a minute; what
    should run out must do so after its trend began and not before; what is quiet must be quiet.
    """
    simulation = scenario.simulate()
    scored: Counter[Cause] = Counter()
    for second in range(simulation.seconds):
        simulation.step(second)
        truth = simulation.truths["engine-0", 0]
        scored[truth.cause] += truth.scored
    stray = sum(
        count
        for cause, count in scored.items()
        if cause not in {Cause.HEALTHY, Cause.IDLE, scenario.cause}
    )
    ends = [one.time for one in simulation.exhaustions if one.kind == scenario.exhausts]
    trend = ends[0] - simulation.trend if ends else 0.0
    if scenario.kind == "cause":
        # What a stalled engine has to make up for afterwards is its own trouble.
        good = stray < _STRAY or scenario.cause is Cause.STALLED
        good = good and scenario.cause is not None and scored[scenario.cause] >= _ENOUGH
    elif scenario.exhausts:
        good = trend > 0.0
    else:
        # Of a small cache that does not run out something else is short, and may well be.
        good = not simulation.exhaustions and (stray < _QUIET or scenario.kind == "small")
    return Outcome(good=good, scored=scored, exhaustions=simulation.exhaustions, trend=trend)


def main(names: Sequence[str]) -> int:
    """Check the named scenarios, or all but the whole days; return 1 if one is not as it should."""
    chosen = names or [name for name, one in SCENARIOS.items() if one.kind != "day"]
    bad = 0
    for name in chosen:
        found = outcome(SCENARIOS[name])
        bad += not found.good
        counts = ", ".join(f"{cause} {count}" for cause, count in found.scored.items() if count)
        trend = f"; after {found.trend:.0f} s" if found.trend else ""
        sys.stdout.write(f"{'ok ' if found.good else 'BAD'} {name}: {counts}{trend}\n")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
