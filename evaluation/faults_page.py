"""The tables of `docs/reliability.md`, from the figures of a run.

    python -m evaluation.faults_page

writes them anew from `build/reliability.json` without breaking anything.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "reliability.md"
FIGURES: Final = ROOT / "build" / "reliability.json"

BEGIN: Final = "<!-- made by `python -m evaluation.faults` -->"
END: Final = "<!-- end of what is made -->"

_HEAD: Final = (
    "| fault | users let down | the agent's first alert | verdict | incident kept "
    "| stock Prometheus, first alert |"
)


def write(figures: Mapping[str, Any], *, page: Path = PAGE) -> None:
    """Replace what stands between the marks of the page."""
    before, _mark, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{text(figures)}\n{END}{after}", encoding="utf-8")


def text(figures: Mapping[str, Any]) -> str:
    """Return the tables and what was said as Markdown."""
    rows = figures["faults"]
    parts = [
        "\n".join(
            [
                _HEAD,
                "|---|---|---|---|---|---|",
                *map(_row, rows),
            ]
        ),
        *map(_fault, rows),
        _before(figures["before"]),
        cost_table(figures["cost"]),
    ]
    return "\n\n".join(parts) + "\n"


def _row(row: Mapping[str, Any]) -> str:
    """Return one line of the table."""
    cells = [
        row["fault"],
        "never" if row["harm"] is None else _after(row["harm"]),
        _first(row),
        _verdict(row),
        ", ".join(dict.fromkeys(f"`{one['trigger']}`" for one in row["incidents"])) or "none",
        _stock(row),
    ]
    return f"| {' | '.join(cells)} |"


def _after(seconds: float) -> str:
    return f"{seconds:.0f} s"


def _beside(seconds: float, harm: float | None) -> str:
    """Return how a time stands to the harm."""
    if harm is None:
        return ""
    early = harm - seconds
    return f", {abs(early):.0f} s {'before' if early > 0 else 'after'} the harm"


def _first(row: Mapping[str, Any]) -> str:
    """Return the first alert that is about the fault."""
    wanted = [one for one in row["alerts"] if one["wanted"]]
    if not wanted:
        return "**nothing**" if row["wanted"] else "nothing"
    one = wanted[0]
    return f"{one['alert']}, {_after(one['after'])}{_beside(one['after'], row['harm'])}"


def _stock(row: Mapping[str, Any]) -> str:
    if not row["stock"]:
        return "nothing"
    one = row["stock"][0]
    return f"{one['alert']}, {_after(one['after'])}{_beside(one['after'], row['harm'])}"


def _verdict(row: Mapping[str, Any]) -> str:
    """Return whether it was right, and when."""
    right = row["right"]
    if right is not None:
        return f"right: {right['cause']}, {_after(right['after'])}"
    if not row["verdicts"] and "healthy" in row["expected"]:
        return "right: unchanged"
    said = ", ".join(dict.fromkeys(one["cause"] for one in row["verdicts"])) or "unchanged"
    return f"**not right**: {said}"


def _fault(row: Mapping[str, Any]) -> str:
    """Return all that was said of one fault."""
    what = f"{row['what']}; over after {_after(row['lasted'])}."
    if row.get("again"):
        what += " Made again in a later run."
    lines = [f"### {row['fault'][0].upper()}{row['fault'][1:]}", "", what, ""]
    for one in row["alerts"]:
        mark = "" if one["wanted"] else " (not listed for this fault)"
        when = _after(one["after"])
        if one.get("ended") is not None:
            when += f" to {_after(one['ended'])}"
        lines.append(f"- {when}: {one['alert']}, {one['severity']}{mark}: {one['summary']}")
    lines += [f"- {_after(one['after'])}: Prometheus: {one['alert']}" for one in row["stock"]]
    lines += [
        f"- {_after(one['after'])}: verdict {one['cause']}: {one['sentence']}"
        for one in row["verdicts"]
    ]
    lines += [
        f"- {_after(one['after'])}: incident `{one['trigger']}`: {one['text']}"
        for one in row["incidents"]
    ]
    return "\n".join(lines)


def _before(before: Mapping[str, Any]) -> str:
    """Return what was said while all was well."""
    share = before["within"]
    kept = "" if share is None else f"; {share:.1%} of the requests kept both targets"
    alerts = ", ".join(before["alerts"]) or "none"
    return f"Before the first fault, {before['seconds']:.0f} s{kept}. Alerts: {alerts}."


def cost_table(cost: Sequence[Mapping[str, Any]]) -> str:
    """Return what processes took over a run, as Markdown."""
    lines = ["| over the run | CPU | share of a core | memory |", "|---|--:|--:|--:|"]
    lines += [
        f"| {one['name']} | {one['cpu']:.1f} s | {one['cpu'] / one['seconds']:.2%} "
        f"| {one['mib']:.0f} MiB |"
        for one in cost
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    write(json.loads(FIGURES.read_text(encoding="utf-8")))
    sys.exit(0)
