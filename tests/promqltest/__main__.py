"""Run Prometheus's test scripts: `python -m tests.promqltest [FOLDER]`.

Writes build/promqltest.json and build/promqltest.txt. Without the scripts it says so and ends
well: they are not part of this repository.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path

from tests.promqltest.runner import Outcome, Result, run_script

ROOT = Path(__file__).parents[2]


def scripts() -> list[Path]:
    """Return the scripts: of the folder PROMQLTEST names, or beside the repository."""
    folder = os.environ.get("PROMQLTEST") or str(ROOT.parent / "shared" / "promqltest")
    return sorted(Path(folder).glob("*.test"))


def counts(results: list[Result]) -> dict[str, int]:
    """Return how many cases passed, failed or are out of scope."""
    found = Counter(result.outcome for result in results)
    return {outcome.value: found[outcome] for outcome in Outcome}


def main() -> int:
    """Run all scripts, write the reports, print a summary."""
    found = scripts()
    if not found:
        sys.stdout.write("no test scripts: set PROMQLTEST to a folder of them\n")
        return 0
    results = {path.stem: [*run_script(path)] for path in found}
    everything = [result for items in results.values() for result in items]
    report: dict[str, object] = {
        **counts(everything),
        "scripts": {name: counts(items) for name, items in results.items()},
    }
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    (build / "promqltest.json").write_text(json.dumps(report, indent=2) + "\n")
    (build / "promqltest.txt").write_text("".join(_lines(everything)))
    for name, items in results.items():
        sys.stdout.write(f"{name:24} {_summary(counts(items))}\n")
    sys.stdout.write(f"{'all':24} {_summary(counts(everything))}\n")
    return 0


def _summary(found: dict[str, int]) -> str:
    """Return one line of figures."""
    passed, failed = found["passed"], found["failed"]
    share = 100 * passed / max(passed + failed, 1)
    return (
        f"{passed:4} of {passed + failed:4} ({share:5.1f} %), {found['out_of_scope']} out of scope"
    )


def _lines(results: list[Result]) -> list[str]:
    """Return the failing cases and those out of scope, with the reason."""
    return [
        f"{result.outcome} {result.script}.test:{result.line}: {result.query}\n"
        f"    {result.reason}\n"
        for result in sorted(results, key=lambda result: result.outcome)
        if result.outcome is not Outcome.PASSED
    ]


if __name__ == "__main__":
    sys.exit(main())
