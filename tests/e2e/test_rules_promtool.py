"""The shipped rules in the hands of promtool."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.rules import promtool
from tests.servers import NEEDS_PROMTOOL, PROMTOOL, VERSION

pytestmark = [
    pytest.mark.server,
    NEEDS_PROMTOOL,
]

ROOT = promtool.ROOT
RECORDINGS = ROOT / "tests" / "recordings"
SUMMARIES = ROOT / "tests" / "golden" / "alert-summaries.txt"

# When each alert first fires, in seconds, for a sample each second and one every 15 seconds.
# vllm-ramp: 8 streams from 55 s, 16 from 85 s, 32 from 115 s to 155 s, on a cache for six.
# vllm-enginecrash: the engine is gone from 6 s on. The others show engines at work or idle, the
# capacity recording up to what the engine can do.
EXPECTED: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "vllm-ramp": (
        {
            "EngineKvCacheNearlyFull": 111,
            "EnginePreemptions": 122,
            "EngineKvExhaustionSoon": 59,
            "EngineQueueGrowing": 139,
            "EngineQueueWait": 169,
        },
        {
            "EngineKvCacheNearlyFull": 105,
            "EnginePreemptions": 135,
            "EngineKvExhaustionSoon": 60,
            "EngineQueueGrowing": 150,
            "EngineQueueWait": 180,
        },
    ),
    "vllm-enginecrash": (
        {"EngineDied": 16, "EngineDown": 21},
        {"EngineDied": 30, "EngineDown": 30},
    ),
    # The last step of the load is more than the engine can do: requests wait from 318 s on. That
    # its limit of 32 sequences ends the rise of the cache at 88 % is on no page.
    "vllm-capacity": ({"EngineKvExhaustionSoon": 296}, {"EngineKvExhaustionSoon": 300}),
    # A tenth of a core from 106 s to 287 s: the batch is full, 119 requests wait, and 16
    # requests cannot fill the cache.
    "vllm-starved": (
        {"EngineQueueGrowing": 148, "EngineQueueWait": 252},
        {"EngineQueueGrowing": 150, "EngineQueueWait": 255},
    ),
    "vllm-aborts": ({}, {}),
    "llama-ramp": ({}, {}),
}

# Here samples lie on the ends of windows, and those of version 3 do not have the one at their
# beginning: at 15 s four samples in a minute where version 2 has five. By recording and seconds
# between samples; None is an alert that does not fire.
OTHERWISE_IN_3: dict[tuple[str, int], dict[str, int | None]] = {
    ("vllm-ramp", 1): {"EngineQueueGrowing": 138},
    ("vllm-capacity", 1): {"EngineKvExhaustionSoon": 295},
    # In the minute up to 135 s the cache was 25.3 % full, with the sample before it 20.2 %.
    ("vllm-capacity", 15): {"EngineKvExhaustionSoon": 135},
    ("vllm-starved", 1): {"EngineQueueWait": 251},
    # The engine finished nothing from 150 s to 255 s: then there is no mean, and it is over before
    # it lasted for 30 s.
    ("vllm-starved", 15): {"EngineQueueWait": None},
}


def check(*arguments: str | Path) -> str:
    """Return what promtool says; it must succeed."""
    done = subprocess.run(
        [PROMTOOL, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=promtool.UNIT_TESTS,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_rules_are_clean():
    """Prometheus takes the rules and its linter has nothing to say."""
    said = check("check", "rules", *promtool.rule_files())
    assert said.count("SUCCESS") == len(promtool.rule_files())
    assert "FAILED" not in said
    assert "lint" not in said


@pytest.mark.parametrize("name", sorted(path.stem for path in promtool.UNIT_TESTS.glob("*.yml")))
def test_unit_tests_pass(name: str):
    """Each alert fires when it should, not on the near misses, and ends."""
    check("test", "rules", f"{name}.yml")


@pytest.mark.parametrize("step", [1, 15])
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_what_fires_on_a_recording(name: str, step: int, tmp_path: Path):
    """On recordings of real engines what should fire fires, nothing else, at 1 s and at 15 s."""
    series, end = promtool.recorded(RECORDINGS / f"{name}.rec.gz", step=step)
    found = promtool.fired(tmp_path, series, end=end, step=step)
    expected: dict[str, int | None] = {**EXPECTED[name][step == 15]}
    if VERSION >= (3, 0):
        expected |= OTHERWISE_IN_3.get((name, step), {})
    assert found == {alert: second for alert, second in expected.items() if second is not None}


def test_every_recording_is_judged():
    """A recording that is added gets its expectation."""
    assert {path.name.removesuffix(".rec.gz") for path in RECORDINGS.glob("*.rec.gz")} == set(
        EXPECTED
    )


def test_summaries_read_well(tmp_path: Path):
    """The summary of each alert, with its numbers, is the golden one; `make golden` writes it."""
    lines = []
    for file in sorted(promtool.UNIT_TESTS.glob("*.yml")):
        seen: set[str] = set()
        for name, summary in promtool.summaries(tmp_path, yaml.safe_load(file.read_text())):
            if name not in seen:
                lines.append(f"{name}: {summary}\n")
            seen.add(name)
    if os.environ.get("INFERWATCH_GOLDEN"):
        SUMMARIES.write_text("".join(lines))
    # The order of the alerts of one moment is promtool's, and another in version 3.
    assert sorted(lines) == sorted(SUMMARIES.read_text().splitlines(keepends=True))
    alerts = {
        rule["alert"]
        for file in promtool.rule_files()
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    assert {line.partition(":")[0] for line in lines} == alerts
