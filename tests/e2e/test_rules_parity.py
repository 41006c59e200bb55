"""The agent and promtool make the same of the same rules on the same samples."""

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.alerts.engine import RuleEngine
from agent.alerts.group import Site
from agent.alerts.rule import Group
from agent.app.conclusions import new_pipeline
from agent.app.rules import load_rules, shipped_rule_files
from agent.model import Frame, Metric, MetricType, Reading, SeriesTable
from agent.recording import RecordingReader
from agent.replay import ReplayClock, play
from agent.store.history import History
from agent.store.series import Labels, Matcher, MatchOp, is_stale
from tests.rules import promtool
from tests.servers import NEEDS_PROMTOOL

pytestmark = [
    pytest.mark.server,
    NEEDS_PROMTOOL,
]

RECORDINGS = sorted((promtool.ROOT / "tests" / "recordings").glob("*.rec.gz"))

# Samples lie half a second before evaluations: Prometheus 2 has windows closed at both ends, where
# Prometheus 3 and the agent leave the beginning out.
HALF = 0.5

Spans = dict[str, tuple[int, int, int]]
"""By series: seconds of its first and last sample, and how many it has."""

# As promtool prints a result: the labels, then the value.
_RESULT = re.compile(r"\{([^{}]*)\} (-?[0-9.eE+]+)")


def by_promtool(
    folder: Path, rules: Sequence[Path], series: Sequence[Mapping[str, str]], *, end: int, name: str
) -> Spans:
    """Return what promtool makes of the rules, of all series of one name."""
    found: list[dict[str, int]] = []
    end += 1
    window = f"[{end + 1}s:1s]"
    for expression in (
        f"min_over_time(timestamp({name}){window})",
        f"max_over_time(timestamp({name}){window})",
        f"count_over_time({name}{window})",
    ):
        said = promtool.run(
            folder,
            {
                "rule_files": [str(path) for path in rules],
                "evaluation_interval": "1s",
                # By itself promtool takes groups in the order of their names.
                "group_eval_order": [group.name for group in load_rules(rules)],
                "tests": [
                    {
                        "interval": "500ms",
                        "input_series": [
                            {**one, "values": halved(one["values"])} for one in series
                        ],
                        "promql_expr_test": [
                            {"expr": expression, "eval_time": f"{end}s", "exp_samples": []}
                        ],
                    }
                ],
            },
        )
        assert "SUCCESS" in said or "got:" in said, said
        got = said.partition("got:")[2]
        found.append({labels: round(float(value)) for labels, value in _RESULT.findall(got)})
    first, last, count = found
    return {labels: (first[labels], last[labels], count[labels]) for labels in first}


def halved(values: str) -> str:
    """Return samples of every second as samples half a second later, one each half second."""
    return " ".join(f"_ {word}" for word in values.split())


def by_agent(
    groups: Sequence[Group], frames: Iterator[Frame], table: SeriesTable, *, name: str, end: int
) -> Spans:
    """Return what the agent makes of them."""
    history = History(table, clock=ReplayClock(), span=1e6)
    # promtool evaluates every group at every step, whatever its interval.
    groups = [replace(group, interval=0.0) for group in groups]
    engine = RuleEngine(groups, table=table, tick=1.0, site=Site(), stagger=False)
    engine.evaluate(0.0, history)
    for frame in frames:
        history.append(frame)
        assert engine.evaluate(frame.time + HALF, history).failures == []
    spans: Spans = {}
    for series in history.select([Matcher("__name__", MatchOp.EQUAL, name)], -10.0, end + 2.0):
        times = [
            round(time)
            for time, value in zip(series.times, series.values, strict=True)
            if not is_stale(value)
        ]
        spans[shown(series.labels)] = (times[0], times[-1], len(times))
    return spans


def shown(labels: Labels) -> str:
    """Return labels as promtool prints them."""
    pairs = [f"{key}={json.dumps(value)}" for key, value in labels if key != "__name__"]
    return ", ".join(pairs)


def recorded_frames(path: Path, table: SeriesTable) -> Iterator[Frame]:
    """Yield the frames of a recording, a second apart, from time 0."""
    pipeline = new_pipeline(table)
    for number, tick in enumerate(RecordingReader(path, table).ticks()):
        frame = play(pipeline, tick, Reading([], []))
        yield replace(frame, time=number + HALF)


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.name.partition(".")[0])
def test_shipped_rules_on_recordings(recording: Path, tmp_path: Path):
    """The same alerts wait and fire from and to the same second, with the same labels."""
    series, end = promtool.recorded(recording)
    expected = by_promtool(tmp_path, shipped_rule_files(), series, end=end, name="ALERTS")
    table = SeriesTable()
    frames = recorded_frames(recording, table)
    rules = load_rules(shipped_rule_files())
    found = by_agent(rules, frames, table, name="ALERTS", end=end)
    assert found == expected
    if recording.name.startswith(("vllm-ramp", "vllm-enginecrash")):
        assert any("firing" in labels for labels in found)


RULES = """
groups:
  - name: g
    rules:
      - record: a:sum
        expr: sum by (i) (v)
        labels: {made: "yes"}
      - record: a:rate
        expr: rate(c[10s])
      - alert: Plain
        expr: v > 5
      - alert: Held
        expr: v > 3
        for: 4s
        labels: {severity: "s{{ $labels.i }}"}
      - alert: Kept
        expr: v > 6
        for: 2s
        keep_firing_for: 5s
      - alert: Both
        expr: a:sum > 4 and on (i) v < 7
        for: 1s
      - alert: Rate
        expr: a:rate > 0.5
        for: 3s
      - alert: Gone
        expr: absent_over_time(v{i="0"}[3s])
        for: 2s
      - alert: Chained
        expr: count by (alertname) (ALERTS{alertstate="firing", alertname="Held"}) > 1
"""


@pytest.mark.parametrize("seed", range(6))
def test_made_up_rules_on_random_samples(seed: int, tmp_path: Path):
    """Every kind of rule, on series that jump, end, and return, gives the same in both."""
    chance = random.Random(seed)
    end = 90
    columns: dict[str, list[float | None]] = {}
    for i in range(3):
        columns[f'v{{i="{i}"}}'] = walk(chance, end, counter=False)
        columns[f'c{{i="{i}"}}'] = walk(chance, end, counter=True)
    file = tmp_path / "rules.yml"
    file.write_text(RULES)
    series = [{"series": name, "values": words(column)} for name, column in columns.items()]
    for name in ("ALERTS", "a:sum", "a:rate"):
        expected = by_promtool(tmp_path, [file], series, end=end, name=name)
        table = SeriesTable()
        found = by_agent(
            load_rules([file]), made_frames(columns, table, end), table, name=name, end=end
        )
        assert found == expected
        assert found


def walk(chance: random.Random, end: int, *, counter: bool) -> list[float | None]:
    """Return values that go up and down, or up and back to 0, with times of absence."""
    values: list[float | None] = []
    value, there = 4.0, True
    for _second in range(end + 1):
        there = chance.random() < (0.95 if there else 0.3)
        if counter:
            value = 0.0 if chance.random() < 0.05 else value + chance.choice((0, 0, 1, 2))
        else:
            value = min(9.0, max(0.0, value + chance.choice((-2, -1, 0, 1, 2))))
        values.append(value if there else None)
    return values


def words(column: Sequence[float | None]) -> str:
    """Return a column as promtool reads it."""
    before = [None, *column]
    return " ".join(
        ("_" if was is None else "stale") if value is None else f"{value:g}"
        for was, value in zip(before, column, strict=False)
    )


def made_frames(
    columns: Mapping[str, Sequence[float | None]], table: SeriesTable, end: int
) -> Iterator[Frame]:
    """Yield the columns as frames."""
    metrics = {
        name: Metric(name=name, type=MetricType.GAUGE, help="Made up.", labels=("i",))
        for name in ("v", "c")
    }
    for second in range(end + 1):
        samples = {
            table.intern(metrics[text[0]], (text.split('"')[1],)): column[second]
            for text, column in columns.items()
        }
        there: dict[int, Any] = {key: value for key, value in samples.items() if value is not None}
        yield Frame(second + HALF, table, [*there], [*there.values()])


TEMPLATES = (
    "{{ $value }}",
    "{{ humanize $value }}",
    "{{ humanize1024 $value }}",
    "{{ humanizeDuration $value }}",
    "{{ humanizePercentage $value }}",
    '{{ printf "%.2g" $value | humanizePercentage }}',
    '{{ printf "%.2f" $value | humanizePercentage }}',
    "{{ if lt $value 0.01 }}less{{ else if gt $value 0.99 }}more{{ else }}between{{ end }}",
    "{{ humanizeTimestamp $value }}",
    '{{ printf "%.3g|%8.2f|%e|%v|%d" $value $value $value $value $value }}',
    '{{ printf "%s|%5.0f|%+g|%g" $value $value $value $value }}',
    "{{ if gt $value 1.0 }}more{{ else if eq $value 1.0 }}one{{ else }}less{{ end }}",
    '{{ range query "x" | sortByLabel "i" }}{{ .Labels.i }}={{ .Value }};{{ end }}',
    '{{ with query "x" | sortByLabel "i" }}{{ . | first | value | humanize }}{{ end }}',
    "{{ $labels.i | title }} {{ $labels.nope }} {{ len $labels }} {{ $labels }}",
)


def test_templates_say_the_same(tmp_path: Path):
    """Annotations over numbers of every size read the same from both."""
    chance = random.Random(7)
    values = [0.0, 1.0, -1.5, 1024.0, 999.9995, 5e9, 123456789.0]
    values += [chance.uniform(-1, 1) * 10.0 ** chance.randint(-9, 9) for _number in range(23)]
    rule = {
        "alert": "A",
        "expr": "x",
        "annotations": {f"t{number:02d}": text for number, text in enumerate(TEMPLATES)},
    }
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}, width=1000))
    table = SeriesTable()
    metric = Metric(name="x", type=MetricType.GAUGE, help="Made up.", labels=("i",))
    history = History(table, clock=ReplayClock())
    engine = RuleEngine(load_rules([file]), table=table, tick=1.0, stagger=False)
    history.append(
        Frame(
            0.0,
            table,
            [table.intern(metric, (f"n{number}",)) for number in range(len(values))],
            values,
        )
    )
    expected = []
    for alert in engine.evaluate(0.0, history).alerts:
        annotations = {key: text for key, text in alert.annotations.items() if key[0] == "t"}
        expected.append({"exp_labels": {"i": alert.labels["i"]}, "exp_annotations": annotations})
    assert len(expected) == len(values)
    said = promtool.run(
        tmp_path,
        {
            "rule_files": [str(file)],
            "evaluation_interval": "1s",
            "tests": [
                {
                    "interval": "1s",
                    "input_series": [
                        {"series": f'x{{i="n{number}"}}', "values": repr(value)}
                        for number, value in enumerate(values)
                    ],
                    "alert_rule_test": [
                        {"alertname": "A", "eval_time": "0s", "exp_alerts": expected}
                    ],
                }
            ],
        },
    )
    assert "SUCCESS" in said, said
