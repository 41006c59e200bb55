"""Say when each alert would have fired on a recording, and how long before an incident."""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agent.alerts.backtest import Backtest, Firing, backtest
from agent.alerts.engine import RuleEngine
from agent.alerts.errors import RuleError
from agent.alerts.rule import Group
from agent.alerts.severity import names
from agent.app.conclusions import Conclusions
from agent.app.rules import load_rules, severe, shipped_rule_files
from agent.commands.common import settings_from
from agent.config import Settings
from agent.model import Frame, Reading, RecordingFailedError, SeriesTable
from agent.moment import END, unix_seconds
from agent.recording import RecordingReader
from agent.replay import ReplayClock, play, until_damage
from agent.store.history import HOT_SPAN, History
from agent.store.target import Target

_LONGEST: Final = 1e9  # seconds of a recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("recording", type=Path, metavar="RECORDING")
    parser.add_argument(
        "--rules",
        type=Path,
        action="append",
        metavar="FILE",
        help="a rule file, several times for several; without one, the rules of the agent",
    )
    parser.add_argument(
        "--incident",
        type=_time,
        action="append",
        default=[],
        metavar="TIME",
        help="when something happened, beside what the recording marks: Unix seconds, ISO 8601, "
        "or +SECONDS from the beginning of the recording",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="whose targets, severities and disabled alerts count; without one, the defaults",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _time(text: str) -> tuple[bool, float]:
    """Return whether a time counts from the beginning, and its seconds."""
    relative = text.startswith("+")
    try:
        seconds = unix_seconds(text)
    except ValueError:
        seconds = math.inf
    if seconds > (_LONGEST if relative else END):
        raise argparse.ArgumentTypeError("expected Unix seconds, ISO 8601 or +SECONDS")
    return relative, seconds


def run(arguments: argparse.Namespace) -> int:
    """Play the recording through the rules and print what they made of it."""
    settings = settings_from(arguments.config)
    groups = load_rules(arguments.rules or shipped_rule_files())
    if not names(groups):
        raise RuleError(f"{', '.join(map(str, arguments.rules))}: no rule there gives an alert")
    groups = severe(groups, settings.alerts)
    result = run_backtest(arguments.recording, groups, settings)
    start = result.start or 0.0
    result.incidents += [
        start + seconds if relative else seconds for relative, seconds in arguments.incident
    ]
    result.incidents.sort()
    if arguments.json:
        print(json.dumps(result.as_json(), indent=2))
    else:
        print("\n".join(_lines(result)))
    return 0


def run_backtest(
    recording: Path, groups: tuple[Group, ...], settings: Settings | None = None
) -> Backtest:
    """Return what rules make of a recording.

    Args:
        recording: the file.
        groups: the rules.
        settings: for the targets of the models; None for the defaults.

    Raises:
        RecordingError: it is none, or not one tick of it can be read.
        RecordingFailedError: it is whole and has no tick.
    """
    settings = settings or Settings()
    table = SeriesTable()
    reader = RecordingReader(recording, table)
    pipeline = Conclusions(settings).pipeline(table)
    reach = max((rule.query.reach() for group in groups for rule in group.rules), default=0.0)
    target = Target(job=settings.labels.job, instance="recording")
    history = History(table, clock=ReplayClock(), target=target, span=max(HOT_SPAN, reach + 30))
    engine = RuleEngine(groups, table=table, tick=settings.tick.interval, stagger=False)
    read = frozenset().union(*(group.metric_names for group in groups))

    def warn(damage: str) -> None:
        print(damage, file=sys.stderr)

    def frames() -> Iterator[Frame]:
        for tick in until_damage(reader.ticks(), warn):
            yield _only(play(pipeline, tick, Reading((), ())), read)

    result = backtest(frames(), engine, history)
    if result.start is None:
        raise RecordingFailedError(
            f"{recording}: holds no ticks: its recorder ended before the first"
        )
    return result


def _only(frame: Frame, names: frozenset[str]) -> Frame:
    """Return a frame with those series that rules read: hours of the others would fill memory."""
    table = frame.table
    pairs = [
        (series_id, value)
        for series_id, value in zip(frame.ids, frame.values, strict=True)
        if table[series_id].sample_name in names
    ]
    ids = [series_id for series_id, _value in pairs]
    return Frame(frame.time, table, ids, [value for _series_id, value in pairs], frame.events)


def _lines(result: Backtest) -> Iterator[str]:
    """Yield the report."""
    start, end = result.start or 0.0, result.end or 0.0
    yield f"{_clock(start)} to {_clock(end)}, {end - start:.0f} s"
    for time in result.incidents:
        yield f"incident at {_clock(time)} (+{time - start:.0f} s)"
    for group, rule, why in result.failures:
        yield f"rule {rule} of group {group} had no result: {why}"
    for firing in result.firings:
        yield _line(firing, start, result.incidents)
        if "summary" in firing.annotations:
            yield f"    {firing.annotations['summary']}"
    if not result.firings:
        yield "no alert would have fired"


def _line(firing: Firing, start: float, incidents: list[float]) -> str:
    """Return when an alert fired, for how long, and with what lead."""
    shown = ", ".join(
        f"{name}={value}"
        for name, value in firing.labels
        if name not in ("alertname", "job", "instance", "ruleset")
    )
    ended = firing.resolved_at
    lasted = "until the end" if ended is None else f"for {ended - firing.fired_at:.0f} s"
    lead = firing.lead(incidents)
    said = ""
    if lead is not None:
        said = f", {abs(lead):.0f} s {'before' if lead >= 0 else 'after'} the incident"
    after = firing.fired_at - start
    return f"+{after:.0f} s  {firing.alert} fires {lasted}{said}  {{{shown}}}"


def _clock(time: float) -> str:
    """Return a time for people, UTC."""
    return datetime.fromtimestamp(time, tz=UTC).strftime("%Y-%m-%d %H:%M:%SZ")
