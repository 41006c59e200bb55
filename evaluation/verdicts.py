"""How often the verdict is right, second by second, on simulated engines whose truth is known.

Each scenario is seen twice: with its GPUs, processes and host, and by the engine's pages alone, as
somebody sees an engine who has nothing else. What slows an engine from outside cannot be told from
its pages; such seconds are left out of the second score.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.analysis.bottleneck import Targets
from agent.analysis.engines import EngineAnalysis
from agent.catalog.verdict import Cause
from agent.model import SeriesTable
from tests.simulator.scenarios import Scenario

OUTSIDE: Final = frozenset({Cause.POWER_THERMAL, Cause.CO_TENANT, Cause.HOST_CPU})
"""What no page of an engine shows."""

KINDS: Final = ("cause", "quiet")

Pair = tuple[Cause, Cause]


@dataclass(slots=True)
class Confusion:
    """Seconds by what was true and what was said."""

    seconds: Counter[Pair] = field(default_factory=Counter)

    @property
    def accuracy(self) -> float:
        """Share of the seconds in which what was said was true; NaN of none."""
        right = sum(count for (true, said), count in self.seconds.items() if true is said)
        total = self.seconds.total()
        return right / total if total else float("nan")

    def recall(self, true: Cause) -> float:
        """Share of the seconds of a cause in which it was said; NaN where it never was true."""
        total = sum(count for (cause, _said), count in self.seconds.items() if cause is true)
        return self.seconds[true, true] / total if total else float("nan")

    def precision(self, said: Cause) -> float:
        """Share of the seconds in which a cause was said that it was true; NaN if never said."""
        total = sum(count for (_true, cause), count in self.seconds.items() if cause is said)
        return self.seconds[said, said] / total if total else float("nan")


def watch(scenario: Scenario, *, pages_only: bool) -> Confusion:
    """Return what was said of the scored seconds of a scenario."""
    simulation = scenario.simulate(pages_only=pages_only)
    targets = Targets(
        time_to_first_token=simulation.targets.first_token,
        inter_token_latency=simulation.targets.inter_token,
    )
    analysis = EngineAnalysis(lambda _model: targets)
    table = SeriesTable()
    found = Confusion()
    for frame, truth in simulation.run(table):
        analysis.observe(frame)
        true = Cause(truth.cause.value)
        if truth.scored and not (pages_only and true in OUTSIDE):
            found.seconds[true, analysis.states()[0].verdict.cause] += 1
    return found


def watched(scenarios: Mapping[str, Scenario]) -> Iterator[tuple[str, Confusion, Confusion]]:
    """Yield each scenario's name and what was said with everything seen, and by pages alone."""
    for name, scenario in scenarios.items():
        if scenario.kind in KINDS:
            yield name, watch(scenario, pages_only=False), watch(scenario, pages_only=True)


def together(parts: Iterable[Confusion]) -> Confusion:
    """Return the seconds of several scenarios."""
    whole = Confusion()
    for part in parts:
        whole.seconds += part.seconds
    return whole


def table(found: Confusion) -> str:
    """Return the confusion matrix as Markdown: rows are what was true, columns what was said."""
    causes = [cause for cause in Cause if any(cause in pair for pair in found.seconds)]
    lines = [
        "| true \\ said | " + " | ".join(cause.value for cause in causes) + " | recall |",
        "|---|" + "---:|" * (len(causes) + 1),
    ]
    for true in causes:
        row = [str(found.seconds[true, said] or "") for said in causes]
        recall = found.recall(true)
        shown = "" if recall != recall else f"{recall:.1%}"  # noqa: PLR0124 - NaN
        lines.append(f"| {true.value} | " + " | ".join(row) + f" | {shown} |")
    precise = [found.precision(said) for said in causes]
    shown_all = ["" if share != share else f"{share:.1%}" for share in precise]  # noqa: PLR0124
    lines.append("| precision | " + " | ".join(shown_all) + f" | **{found.accuracy:.1%}** |")
    return "\n".join(lines)


def worst(found: Iterable[tuple[str, Confusion]], *, below: float) -> str:
    """Return the scenarios that were seen worse than this share, as Markdown."""
    lines = ["| scenario | seconds | right | said instead |", "|---|---:|---:|---|"]
    for name, confusion in found:
        if not confusion.accuracy < below:
            continue
        wrong = Counter(
            {pair: count for pair, count in confusion.seconds.items() if pair[0] is not pair[1]}
        )
        said = ", ".join(
            f"{true.value} → {cause.value} ({count})"
            for (true, cause), count in wrong.most_common(3)
        )
        total = confusion.seconds.total()
        lines.append(f"| {name} | {total} | {confusion.accuracy:.1%} | {said} |")
    return "\n".join(lines)
