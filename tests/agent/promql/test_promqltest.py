"""Prometheus's own test scripts, where they lie beside the repository."""

from pathlib import Path

import pytest

from tests.promqltest.__main__ import scripts
from tests.promqltest.runner import Outcome, run_script

SCRIPTS = scripts()


@pytest.mark.skipif(not SCRIPTS, reason="Prometheus's test scripts are not here: set PROMQLTEST")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_at_least_95_of_100_cases_pass(script: Path):
    """Of the cases of a script that are in scope, at least 95 in 100 pass."""
    results = [*run_script(script)]
    failed = [result for result in results if result.outcome is Outcome.FAILED]
    passed = [result for result in results if result.outcome is Outcome.PASSED]
    assert passed
    assert len(failed) <= 0.05 * (len(failed) + len(passed)), failed


@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        ("eval instant at 10s x\n  x 2", "passed"),
        ("eval instant at 10s x\n  x 3", "failed"),
        ("eval instant at 10s x", "failed"),
        ('eval instant at 10s x\n  x 2\n  x{a="b"} 2', "failed"),
        ("eval instant at 10s x\n  expect fail", "failed"),
        ("eval instant at 10s x{\n  expect fail", "passed"),
        ("eval instant at 10s x\n  expect warn\n  x 2", "failed"),
        ("eval instant at 10s rate(x[1m])\n  expect no_info\n  {} 0.04", "failed"),
        ("eval range from 0 to 20s step 10s x\n  x 1 2 3", "passed"),
        ("eval range from 0 to 20s step 10s x\n  x 1 2", "failed"),
        ("eval range from 0 to 20s step 10s x\n  x 1 _ 3", "failed"),
        ("eval instant at 10s h\n  h {{count:1}}", "out_of_scope"),
        ("eval instant at 10s count(h)\n  {} 1", "out_of_scope"),
        ("eval instant at 10s info(x)\n  x 2", "out_of_scope"),
        ("eval instant at 10s 1 + 1\n  2", "passed"),
        ("eval instant at 10s 1 + 1\n  3", "failed"),
        ('eval instant at 10s "a"\n  expect string "b"', "failed"),
        (
            "eval instant at 20s x[15s]\n  expect range vector from 10s to 20s step 10s\n  x 2 3",
            "passed",
        ),
        (
            "eval instant at 20s x[15s]\n  expect range vector from 10s to 20s step 10s\n  x 2 4",
            "failed",
        ),
    ],
)
def test_the_runner_tells_right_from_wrong(tmp_path: Path, case: str, outcome: str):
    """A case passes only with the demanded answer."""
    script = tmp_path / "small.test"
    script.write_text(f"load 10s\n  x 1 2 3\n  h {{{{count:1}}}}x3\n\n{case}\n")
    assert [result.outcome.value for result in run_script(script)] == [outcome]
