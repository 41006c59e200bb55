"""Asks promtool what the shipped rules do, on series of our own or on a recording."""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from agent.app.conclusions import new_pipeline
from agent.model import Reading, SeriesTable
from agent.recording import RecordingReader
from agent.replay import play
from tests.servers import PROMTOOL

ROOT = Path(__file__).parents[2]
RULES = ROOT / "agent" / "alerts" / "rules"
UNIT_TESTS = ROOT / "tests" / "rules"

_NAMES = re.compile(r"\binferwatch_[a-z0-9_]+")
_SAMPLE = re.compile(r'\{alertname="(\w+)"\} ([0-9.E+]+)')


def rule_files() -> list[Path]:
    """Return the shipped rule files."""
    return sorted(RULES.glob("*.yml"))


def recorded(path: Path, *, step: int = 1) -> tuple[list[dict[str, str]], int]:
    """Return what the rules read of a recording, as `input_series` of promtool, and its length.

    Args:
        path: the recording; its ticks are a second apart.
        step: every how many ticks there is a sample, as if scraped so many seconds apart.

    Returns:
        The series, with a staleness marker where one ends, and the time of the last sample.
    """
    wanted = set(_NAMES.findall(" ".join(file.read_text() for file in rule_files())))
    table = SeriesTable()
    pipeline = new_pipeline(table)
    seen: dict[int, dict[int, float]] = {}
    number = -1
    for number, tick in enumerate(RecordingReader(path, table).ticks()):
        frame = play(pipeline, tick, Reading([], []))
        if number % step == 0:
            for series, value in zip(frame.ids, frame.values, strict=True):
                seen.setdefault(series, {})[number // step] = value
    count = number // step + 1
    return [
        {"series": _text(name, dict(table[series].label_pairs())), "values": _values(have, count)}
        for series, have in seen.items()
        if (name := table[series].metric.name + table[series].suffix) in wanted
    ], (count - 1) * step


def _text(name: str, labels: Mapping[str, str]) -> str:
    """Return a series as PromQL writes it."""
    pairs = ", ".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
    return f"{name}{{{pairs}}}"


def _values(have: Mapping[int, float], count: int) -> str:
    """Return the samples of a series, one for each step."""
    words = []
    for number in range(count):
        if number in have:
            words.append(repr(have[number]))
        else:
            words.append("stale" if number - 1 in have else "_")
    return " ".join(words)


def run(folder: Path, document: Mapping[str, Any]) -> str:
    """Return what `promtool test rules` says of a document."""
    file = folder / "test.yml"
    file.write_text(yaml.safe_dump(dict(document), width=1 << 30))
    done = subprocess.run(
        [PROMTOOL, "test", "rules", str(file)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def fired(
    folder: Path, series: Sequence[Mapping[str, str]], *, end: int, step: int
) -> dict[str, int]:
    """Return which alerts fire on these series, and at which second each first does.

    Args:
        folder: for temporary files.
        series: as `recorded` gives them.
        end: seconds to play.
        step: seconds between samples and between evaluations.
    """
    # Nothing is expected, so that promtool says what it got.
    first = (
        "min by (alertname) "
        f'(min_over_time(timestamp(ALERTS{{alertstate="firing"}})[{end + 1}s:{step}s]))'
    )
    said = run(
        folder,
        {
            "rule_files": [str(file) for file in rule_files()],
            "evaluation_interval": f"{step}s",
            "tests": [
                {
                    "interval": f"{step}s",
                    "input_series": list(series),
                    "promql_expr_test": [
                        {"expr": first, "eval_time": f"{end}s", "exp_samples": []}
                    ],
                }
            ],
        },
    )
    assert "SUCCESS" in said or "got:" in said, said
    return {name: int(float(second)) for name, second in _SAMPLE.findall(said)}


def summaries(folder: Path, document: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield each alert of a file of unit tests with its summary, once for each alert that fires."""
    tests = []
    for test in document["tests"]:
        time = next(case["eval_time"] for case in test["promql_expr_test"] if case["exp_samples"])
        rule = {"alertname": test["name"], "eval_time": time, "exp_alerts": []}
        series = {key: test[key] for key in ("interval", "input_series")}
        tests.append({**series, "alert_rule_test": [rule]})
    files = [str((UNIT_TESTS / name).resolve()) for name in document["rule_files"]]
    said = run(folder, {**document, "rule_files": files, "tests": tests})
    for labels, summary in re.findall(
        r'Labels:\{(.*?)\}\s+Annotations:\{.*?summary="((?:[^"\\]|\\.)*)"', said
    ):
        name = re.search(r'alertname="(\w+)"', labels)
        assert name is not None
        yield name[1], json.loads(f'"{summary}"')
