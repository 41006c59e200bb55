"""How well the law of the step, learned for a while, foretells the time after it.

On the simulated hosts, each of which has a law of its own that bends and that the agent does not
know. `python -m evaluation.step_times` prints the table.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import hypot, isnan
from typing import Final

import numpy as np

from agent.analysis.replicas import Replicas
from agent.analysis.step_fit import fit
from agent.analysis.step_model import StepTimeModel
from agent.analysis.step_store import StepStore
from agent.analysis.step_windows import Stretch, Stretches
from agent.analysis.window import Window
from agent.catalog import engine, metrics_of
from agent.model import SeriesTable
from tests.simulator.scenarios import SCENARIOS, Scenario
from tests.simulator.truth import Cause

LEARNED: Final = 0.6
"""Share of a run that is learned from."""

CHANGING: Final = frozenset({Cause.HOST_CPU, Cause.POWER_THERMAL, Cause.CO_TENANT, Cause.STALLED})
"""What changes the law itself in the course of a run."""

_WHOLE: Final = 1e9  # seconds, longer than any run
_FEWEST: Final = 5  # stretches to be foretold


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """One run of one scenario.

    Attributes:
        scenario: its name.
        changing: the law itself changes in the course of the run.
        error: median of the absolute relative error of the stretches foretold.
        bias: median of their relative error.
        inside: share of them within the interval of the mean, widened by their own scatter.
        reach: largest batch foretold, as a multiple of the largest learned from.
    """

    scenario: str
    changing: bool
    error: float
    bias: float
    inside: float
    reach: float


def foretell(scenario: Scenario) -> Foretold | None:
    """Return how a run is foretold from its beginning; None where there is too little work."""
    table = SeriesTable()
    window = Window(metrics_of(engine), span=_WHOLE)
    for frame, _truth in scenario.run(table, pages_only=True):
        window.append(frame)
    view = next(iter(Replicas(window).views(table).values()))
    stretches = Stretches().observe(view)
    first = int(len(stretches) * LEARNED)
    model = _learned(stretches[:first])
    rest = stretches[first:]
    if model is None or len(rest) < _FEWEST:
        return None
    errors, inside = [], []
    for one in rest:
        guess = model.predict(one.prefill, one.decode, 0.0 if isnan(one.kv) else one.kv)
        errors.append(guess.estimate / one.seconds - 1.0)
        scatter = 1.645 * max(model.residual, 0.41 / one.steps) * guess.estimate
        half = hypot(guess.high - guess.estimate, scatter)
        inside.append(abs(guess.estimate - one.seconds) <= half)
    return Foretold(
        scenario=scenario.name,
        changing=scenario.cause in CHANGING,
        error=float(np.median(np.abs(errors))),
        bias=float(np.median(errors)),
        inside=float(np.mean(inside)),
        reach=max(one.decode for one in rest) / max(1.0, model.batch[1]),
    )


def foretold(*, every: int = 1) -> Iterator[Foretold]:
    """Yield the result of each scenario but the days, or of each `every`-th of them."""
    names = [name for name, scenario in SCENARIOS.items() if scenario.kind not in {"day", "small"}]
    for name in names[::every]:
        found = foretell(SCENARIOS[name])
        if found is not None:
            yield found


def summary(runs: Iterable[Foretold]) -> str:
    """Return the runs in two groups, as Markdown."""
    every = list(runs)
    lines = [
        "| runs | number | median error | 9 of 10 within | median bias | in the interval |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, changing in (("law stands", False), ("law changes", True)):
        group = [run for run in every if run.changing is changing]
        if group:
            errors = [run.error for run in group]
            lines.append(
                f"| {name} | {len(group)} | {np.median(errors):.1%} "
                f"| {np.percentile(errors, 90):.1%} | {np.median([r.bias for r in group]):+.1%} "
                f"| {np.mean([r.inside for r in group]):.0%} |"
            )
    return "\n".join(lines) + "\n"


def _learned(stretches: Sequence[Stretch]) -> StepTimeModel | None:
    """Return the law that the agent has after these stretches."""
    store = StepStore()
    for one in stretches:
        store.add(one)
    kept = list(store.items())
    found = fit([one for _load, one in kept], [load for load, _one in kept])
    return StepTimeModel.of(found, stretches[-1].time) if found else None


if __name__ == "__main__":
    sys.stdout.write(summary(foretold()))
