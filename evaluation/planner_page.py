"""The planner's part of `docs/evaluation.md`, and what watching cost, from the figures of a run.

    python -m evaluation.planner_page

writes both anew from `build/planner.json` without running anything.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from evaluation.faults_page import cost_table

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "evaluation.md"
COSTS: Final = ROOT / "docs" / "reliability.md"
FIGURES: Final = ROOT / "build" / "planner.json"

BEGIN: Final = "<!-- made by `python -m evaluation.planner` -->"
END: Final = "<!-- end of what the planner made -->"

_HEAD: Final = (
    "| minute | asked | within | capacity said | from | to | error | stability limit said "
    "| error | binding | other work |"
)
_PAIRS: Final = (
    "| pair | requests | first token with | without | ratio | between tokens with | without "
    "| ratio |"
)

KEPT: Final = 0.95
"""Share of the requests that must keep both targets, as the agent has it."""


def truth(steps: Sequence[Mapping[str, float]]) -> tuple[float, float, float] | None:
    """Return the load up to which the targets held: best guess, surely, surely not.

    The guess is where a straight line between the last step that kept them and the first that did
    not crosses `KEPT`. Tokens a minute; infinite where every step kept them, None where none did.

    Args:
        steps: of a climb: `asked` tokens a minute and the share `within`; by chance less may have
            been asked in a later one.
    """
    held = None
    for step in sorted(steps, key=lambda one: one["asked"]):
        if step["within"] >= KEPT:
            held = step
            continue
        if held is None:
            return None
        part = (held["within"] - KEPT) / (held["within"] - step["within"])
        between = held["asked"] + part * (step["asked"] - held["asked"])
        return between, held["asked"], step["asked"]
    return None if held is None else (float("inf"), held["asked"], float("inf"))


def summary(figures: Mapping[str, Any]) -> dict[str, float | None]:
    """Return how far off what was said is, over all minutes in which something was said.

    Keys: `said`, the share of the minutes in which a capacity was said; `stability_…` against what
    the saturated server carried; `capacity_…` against the load at which the targets ceased to hold,
    None where they held at every step.
    """
    said = figures["day"]["said"]
    carried = figures["truth"]["carried"]
    stability = [one["stability"] for one in said if one["stability"]]
    capacity = [one["capacity"] for one in said if one["capacity"]]
    known = truth(figures["truth"]["steps"])
    guess = known[0] if known is not None and known[0] != float("inf") else None
    return {
        "said": len(capacity) / len(said),
        "stability_median_error": median(abs(one[0] / carried - 1.0) for one in stability)
        if stability
        else None,
        "stability_held": sum(one[1] <= carried <= one[2] for one in stability) / len(stability)
        if stability
        else None,
        "capacity_median_error": median(abs(one[0] / guess - 1.0) for one in capacity)
        if capacity and guess is not None
        else None,
        "capacity_held": sum(one[1] <= guess <= one[2] for one in capacity) / len(capacity)
        if capacity and guess is not None
        else None,
    }


def text(figures: Mapping[str, Any]) -> str:
    """Return the section as Markdown."""
    day, found = figures["day"], figures["truth"]
    known = truth(found["steps"])
    guess = None if known is None else known[0]
    opening = (
        f"A day in {day['seconds'] / 60.0:.0f} minutes, {day['requests']:,} requests, "
        f"{_share(day['within'])} of them within both targets. Tokens a minute; errors against "
        "what was found afterwards."
    )
    lines = [
        opening,
        "",
        _HEAD,
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|--:|",
        *(_row(one, guess, found["carried"]) for one in day["said"]),
        "",
        "Found afterwards, on the same server:",
        "",
        "| asked | served | requests | within both targets | other work |",
        "|--:|--:|--:|--:|--:|",
        *(
            f"| {one['asked']:,.0f} | {one['carried']:,.0f} | {one['requests']} "
            f"| {_share(one['within'])} | {_cores(one)} |"
            for one in found["steps"]
        ),
        f"| {found['streams']} at a time | {found['carried']:,.0f} | | | {_cores(found)} |",
        "",
        _words(known),
    ]
    errors = summary(figures)
    lines += ["", *(f"- {_LABELS[name]}: {_share(value)}" for name, value in errors.items())]
    return "\n".join(lines)


_LABELS: Final = {
    "said": "minutes in which a capacity was said",
    "stability_median_error": "median error of the stability limit",
    "stability_held": "intervals of it that held what the saturated server served",
    "capacity_median_error": "median error of the capacity under the targets",
    "capacity_held": "intervals of it that held the truth",
}


def _words(known: tuple[float, float, float] | None) -> str:
    """Return the truth as a sentence."""
    if known is None:
        return "The targets held at none of these steps."
    guess, low, high = known
    if guess == float("inf"):
        return f"The targets held at every step, up to {low:,.0f} tokens a minute."
    return (
        f"The targets held up to {low:,.0f} and not at {high:,.0f} tokens a minute; "
        f"between the two, {guess:,.0f}."
    )


def _row(one: Mapping[str, Any], guess: float | None, carried: float) -> str:
    """Return a minute of the day."""
    capacity, stability = one["capacity"], one["stability"]
    cells = [f"{one['at'] / 60.0:.0f}", f"{one['asked']:,.0f}", _share(one["within"])]
    if capacity is None:
        cells += [one["reason"] or "not said", "", "", ""]
    else:
        cells += [f"{value:,.0f}" for value in capacity]
        known = guess is not None and guess != float("inf")
        cells.append(f"{capacity[0] / guess - 1.0:+.0%}" if known and guess else "")
    cells += (
        ["", ""]
        if stability is None
        else [f"{stability[0]:,.0f}", f"{stability[0] / carried - 1.0:+.0%}"]
    )
    return f"| {' | '.join([*cells, one['binding'] or '', _cores(one)])} |"


def _cores(one: Mapping[str, Any]) -> str:
    """Return what other work took meanwhile."""
    return f"{one['others']:.1f} cores"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def paired_table(pairs: Sequence[Mapping[str, Any]]) -> str:
    """Return the latencies with the agent and without, pair by pair, as Markdown."""
    lines = [
        _PAIRS,
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for number, one in enumerate(pairs, 1):
        first, gap = one["first"], one["gap"]
        lines.append(
            f"| {number} | {one['requests'][0]}, {one['requests'][1]} | {first[0] * 1e3:.1f} ms "
            f"| {first[1] * 1e3:.1f} ms | {first[0] / first[1]:.2f} | {gap[0] * 1e3:.2f} ms "
            f"| {gap[1] * 1e3:.2f} ms | {gap[0] / gap[1]:.2f} |"
        )
    ratios = [[one[name][0] / one[name][1] for one in pairs] for name in ("first", "gap")]
    lines.append(f"| median | | | | {median(ratios[0]):.2f} | | | {median(ratios[1]):.2f} |")
    return "\n".join(lines)


def write(figures: Mapping[str, Any], *, page: Path = PAGE, costs: Path = COSTS) -> None:
    """Replace what stands between the marks of both pages."""
    _replace(page, text(figures))
    watching = [cost_table(figures["cost"])]
    if figures.get("paired"):
        watching.append(paired_table(figures["paired"]))
    _replace(costs, "\n\n".join(watching))


def _replace(page: Path, made: str) -> None:
    before, _mark, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write(json.loads(FIGURES.read_text(encoding="utf-8")))
    sys.exit(0)
