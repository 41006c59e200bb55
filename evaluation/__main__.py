"""Evaluates the estimators: `docs/evaluation.md`, and `build/evaluation.json`.

    python -m evaluation

The simulated hosts have laws, loads and limits that nothing in the agent knows. Estimators were
made with the scenarios as they stand in `tests/simulator`; here they are also judged on scenarios
of the same kinds with other seeds, drawn for this and looked at by nobody.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from evaluation import (
    capacity_report,
    captures,
    demand,
    forecast_report,
    forecasts,
    glance,
    intervals,
    recorded,
    scaling,
    step_times,
    verdicts,
)
from evaluation.verdicts import Confusion
from tests.simulator.scenarios import SCENARIOS, held_out

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "evaluation.md"
FIGURES: Final = ROOT / "build" / "evaluation.json"

_HELD_OUT: Final = 1000
"""The first seed that nobody has looked at."""

_EACH: Final = 20
"""How many of each kind the forecasts are held out of.

Five times as many as of the verdicts: 19 exhaustions and two days of usual load, as there were, do
not tell 80 % from 90 %, nor one false alarm a day from two.
"""

_PART: Final = "<!-- made by `make evaluate` -->"


def main() -> int:
    """Run it all and write both files."""
    parser = argparse.ArgumentParser(prog="python -m evaluation", description=__doc__)
    parser.parse_args()
    figures: dict[str, Any] = {}
    parts: list[str] = []
    for text, found in (
        *_verdicts(),
        *_forecasts(),
        *_capacity(),
        *_demand(),
        *_scaling(),
        *_recordings(),
    ):
        parts.append(text)
        figures.update(found)
    before, _mark, _old = PAGE.read_text(encoding="utf-8").partition(_PART)
    parts.insert(0, "## At a glance\n\n" + glance.table(figures))
    PAGE.write_text(f"{before}{_PART}\n\n" + "\n\n".join(parts).rstrip() + "\n", encoding="utf-8")
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(_finite(figures), indent=2) + "\n", encoding="utf-8")
    json.dump(_finite(figures), sys.stdout, indent=2)
    return 0


def _verdicts() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the confusion matrices."""
    own = [*verdicts.watched(SCENARIOS)]
    fresh = [*verdicts.watched(held_out(first=_HELD_OUT))]
    everything = verdicts.together(part for _name, part, _pages in fresh)
    pages = verdicts.together(part for _name, _all, part in fresh)
    known = verdicts.together(part for _name, part, _pages in own)
    known_pages = verdicts.together(part for _name, _all, part in own)
    yield (
        "## Verdicts\n\nSeconds of simulated engines by what was true (rows) and what was said "
        "(columns), on scenarios held out.\n\n"
        f"With GPUs, processes and host seen ({len(fresh)} scenarios):\n\n"
        f"{verdicts.table(everything)}\n\nBy the engine's pages alone:\n\n"
        f"{verdicts.table(pages)}\n\n"
        f"On the scenarios that the rules were made with: {known.accuracy:.1%}, by pages alone "
        f"{known_pages.accuracy:.1%}.\n\n"
        "Where it is wrong: scenarios held out of which less than 90 % was right.\n\n"
        + verdicts.worst(_seen(fresh), below=0.9),
        {
            "verdict_accuracy": everything.accuracy,
            "verdict_accuracy_pages_only": pages.accuracy,
            "verdict_accuracy_made_with": known.accuracy,
            "verdict_accuracy_made_with_pages_only": known_pages.accuracy,
            "verdict_seconds": everything.seconds.total(),
        },
    )


def _seen(found: list[tuple[str, Confusion, Confusion]]) -> Iterator[tuple[str, Confusion]]:
    """Yield each scenario as it was seen with everything, and by pages alone."""
    for name, everything, pages in found:
        yield name, everything
        yield f"{name}, pages alone", pages


def _forecasts() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield how good the forecasts are."""
    held = held_out(first=_HELD_OUT, each=_EACH).values()
    scores = forecasts.evaluate(one for one in held if one.kind in {"forecast", "quiet", "day"})
    small = forecasts.evaluate(one for one in held if one.kind == "small")
    small = {what: score for what, score in small.items() if what in {"kv", "preemption"}}
    yield (
        "## Forecasts\n\nOn scenarios held out, of exhaustions whose cause began a minute or more "
        "before. In brackets what so many can tell: the share, or the rate, is between these "
        "with 95 % (Wilson; Garwood; the seconds of one scenario count as no more than they "
        "scatter from one to the next).\n\n"
        f"{forecast_report.table(scores)}\n\n"
        "Of KV caches for a dozen requests: ramps, and what a limit on sequences keeps from "
        "filling them (long queues, an engine kept from its CPU, a day in twenty minutes).\n\n"
        + forecast_report.table(small),
        {
            "kv_warning_recall": scores["kv"].recall,
            "kv_warning_recall_between": forecast_report.recall(scores["kv"]),
            "false_alarms_per_day": sum(score.false_per_day for score in scores.values()),
            "false_alarms_per_usual_day": sum(
                score.false_per_quiet_day for score in scores.values()
            ),
            "forecast_coverage": scores["kv"].coverage,
            "forecast_coverage_between": intervals.share_of_runs(scores["kv"].runs),
            "forecasts": forecast_report.figures(scores),
            "forecasts_small_caches": forecast_report.figures(small),
        },
    )


def _demand() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield how well demand is foreseen."""
    text, figures = demand.evaluate(first=_HELD_OUT)
    yield "## Demand ahead\n\n" + text, figures


def _scaling() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield how autoscalers fare against one another."""
    text, found = scaling.evaluate(first=_HELD_OUT)
    yield f"## Autoscalers\n\n{text}", found


def _capacity() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield how good the estimates of capacity are."""
    text, found = capacity_report.evaluate(first=_HELD_OUT)
    yield f"## Capacity\n\n{text}", found
    yield f"On real engines:\n\n{capacity_report.recorded()}", {}


def _recordings() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what was inferred from real engines against what their client measured."""
    yield "## The time of a step\n\n" + step_times.summary(step_times.foretold()), {}
    yield (
        "On real recordings:\n\n" + captures.step_time_table(captures.step_times()),
        {},
    )
    yield (
        "## Verdicts on real engines\n\n"
        + "\n\n".join(map(recorded.verdict_table, ("vllm-ramp", "vllm-capacity", "llama-ramp"))),
        {},
    )
    yield (
        "## The captured crash\n\nThe last good page shows nothing wrong: one second later streams "
        "end in errors, then the server answers 500, then nothing.\n\n"
        + "\n".join(recorded.death_lines()),
        {},
    )
    if captures.CAPTURES.is_dir():
        yield (
            "## Latencies against the client's own log\n\n"
            + captures.latency_table(captures.latencies()),
            {},
        )


def _finite(value: Any) -> Any:
    """Return a value as JSON takes it: what is no finite number is null."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    sys.exit(main())
