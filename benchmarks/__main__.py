"""Measures what the agent costs beside real peers: a table, and `build/bench.json`.

Budgets that are missed are marked; they do not fail the run, since the machine has its say too.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import history, measure, pages, report, rules

OUT = Path(__file__).parents[1] / "build" / "bench.json"


def main() -> int:
    """Run it all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="length of each of the three periods"
    )
    parser.add_argument("--output", type=Path, default=OUT, help="where the figures go as JSON")
    parser.add_argument(
        "--watch-only",
        action="store_true",
        help="measure the agent without history and rules, against tighter budgets",
    )
    parser.add_argument(
        "--profile", action="store_true", help="show where the agent's time goes instead"
    )
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="runs the agents; one that has what they need and no more measures what users have",
    )
    parser.add_argument("--engines", type=int, default=measure.ENGINES, help="for --profile")
    parser.add_argument("--top", type=int, default=60, help="rows of the profile")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="inferwatch-bench-") as name:
        folder = Path(name)
        if given.profile:
            found = measure.profiled(
                folder, given.seconds, given.engines, whole=not given.watch_only
            )
            print(report.profile_table(found, given.top))
            return 0
        longest = max(measure.SETTLED, measure.WARM_UP + 3 * given.seconds)
        print(f"takes about {longest + 180:.0f} s", flush=True)
        page_costs = pages.page_costs(40)
        with measure.engines(folder) as ports:
            tick_costs = pages.tick_costs(ports, 10)
        measured = measure.measure(
            folder, given.seconds, whole=not given.watch_only, python=given.python
        )
    classic = pages.classic_exposition(measured.page, 10)
    figures = report.figures(measured, page_costs, tick_costs, classic)
    if not given.watch_only:
        figures |= history.keys(history.measure()) | rules.measure()
    print(report.table(figures, watch_only=given.watch_only))
    if measured.others:
        print(f"{measured.others} engines of this host were watched as well: figures are too high")
    report.write(figures, given.output)
    print(f"written to {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
