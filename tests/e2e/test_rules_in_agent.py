"""The unit tests of the shipped rules, written for promtool, in the agent's own hands."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from agent.alerts.engine import RuleEngine
from agent.alerts.load import compile_groups
from agent.alerts.rule import AlertRule, Group
from agent.alerts.state import State
from agent.config.rule_files import read_rule_file
from agent.model import Frame, Metric, MetricType, SeriesTable
from agent.store.history import History
from tests.fakes.clock import ManualClock
from tests.rules import notation

START = 1_800_000_000.0


def cases() -> Iterator[Any]:
    """Yield each unit test; those of days are left to promtool."""
    for file, document in notation.unit_tests().items():
        step = notation.seconds(document["evaluation_interval"])
        if step > 60:
            continue
        rules = tuple((file.parent / name).resolve() for name in document["rule_files"])
        for case in document["tests"]:
            assert notation.seconds(case["interval"]) == step
            yield pytest.param(rules, case, step, id=case["name"])


@cache
def compiled(files: tuple[Path, ...]) -> list[Group]:
    """Return the groups of some files."""
    found, problems = compile_groups([group for file in files for group in read_rule_file(file)[0]])
    assert not problems
    return found


def groups(files: tuple[Path, ...], alert: str) -> list[Group]:
    """Return the rules that an alert needs, all evaluated at every tick as promtool does.

    Those are all that record, and the alerts that its expression names.
    """
    alerts = [rule for group in compiled(files) for rule in group.rules if rule.name == alert]
    needed = {alert, *re.findall(r"\b[A-Z]\w+\b", " ".join(rule.query.text for rule in alerts))}
    return [
        replace(
            group,
            interval=0.0,
            rules=tuple(
                rule
                for rule in group.rules
                if not isinstance(rule, AlertRule) or rule.name in needed
            ),
        )
        for group in compiled(files)
    ]


def played(table: SeriesTable, case: dict[str, Any], *, step: int) -> Iterator[Frame]:
    """Yield the frames of a unit test. Times as values count from its start, as for promtool."""
    metrics: dict[tuple[str, tuple[str, ...]], Metric] = {}
    columns: dict[int, list[float | None]] = {}
    for item in case["input_series"]:
        name, labels = notation.series(item["series"])
        names = tuple(label for label, _value in labels)
        metric = metrics.setdefault(
            (name, names),
            Metric(name=name, type=MetricType.GAUGE, help="Of a test.", labels=names, source=""),
        )
        samples = notation.values(item["values"])
        if name.endswith("_timestamp_seconds"):
            samples = [None if value is None else START + value for value in samples]
        columns[table.intern(metric, [value for _label, value in labels])] = samples
    last = max(notation.seconds(check["eval_time"]) for check in case["promql_expr_test"])
    for number in range(last // step + 1):
        row = {
            series_id: value
            for series_id, samples in columns.items()
            if number < len(samples) and (value := samples[number]) is not None
        }
        yield Frame(START + number * step, table, list(row), list(row.values()), ())


@pytest.mark.parametrize(("files", "case", "step"), list(cases()))
def test_the_agent_does_as_promtool(files: tuple[Path, ...], case: dict[str, Any], step: int):
    """What promtool is expected to find firing at a time is firing in the agent, no more."""
    table = SeriesTable()
    history = History(table, clock=ManualClock(), span=1e6)
    engine = RuleEngine(groups(files, case["name"]), table=table, tick=step, stagger=False)
    checks = {notation.seconds(check["eval_time"]): check for check in case["promql_expr_test"]}
    for frame in played(table, case, step=step):
        history.append(frame)
        assert engine.evaluate(frame.time, history).failures == []
        check = checks.pop(round(frame.time - START), None)
        if check is None:
            continue
        firing = Counter(
            dict(instance.labels)["instance"]
            for rule, instance in engine.alerts()
            if rule == case["name"] and instance.state is State.FIRING
        )
        expected = {
            dict(notation.series(sample["labels"])[1])["instance"]: sample["value"]
            for sample in check["exp_samples"]
        }
        assert firing == expected, check["eval_time"]
    assert not checks
