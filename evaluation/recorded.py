"""What the agent says of real engines over recordings: verdicts with their reasons, and a death."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from agent.app.conclusions import Conclusions
from agent.config import Settings
from agent.config.settings import Targets
from agent.model import Event, Reading, SeriesTable
from agent.recording import RecordingReader
from agent.replay import play
from collectors.engine_ends.patterns import LogWatch
from evaluation.captures import CAPTURES, RECORDINGS

SLOW: Final = Targets(time_to_first_token=3.0, inter_token_latency=0.3)
"""What users of an engine on two CPU cores may expect."""

LOG: Final = CAPTURES / "vllm-enginecrash.server.log"

_STAMP: Final = re.compile(r"(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d) \[")
_YEAR: Final = 2026  # the log leaves it out


@dataclass(frozen=True, slots=True)
class Said:
    """What was concluded about a recording, and when it began."""

    start: float
    concluded: dict[str, Any]


def watch(name: str, *, targets: Targets = SLOW, events: tuple[Event, ...] = ()) -> Said:
    """Return what is concluded at the end of a recording.

    Args:
        name: of the recording.
        targets: of its users.
        events: what other sources saw meanwhile, in the order of time.
    """
    table = SeriesTable()
    conclusions = Conclusions(Settings(targets=targets))
    pipeline = conclusions.pipeline(table)
    start: float | None = None
    told = 0
    for tick in RecordingReader(RECORDINGS / f"{name}.rec.gz", table).ticks():
        start = tick.time if start is None else start
        due = [event for event in events[told:] if event.time <= tick.time]
        told += len(due)
        play(pipeline, tick, Reading([], [], due))
    return Said(start or 0.0, conclusions.as_json())


def log_events(path: Path = LOG) -> tuple[Event, ...]:
    """Return what the log of an engine says, as the agent reads it, by the log's own times."""
    watched = LogWatch()
    time = 0.0
    found: list[Event] = []
    for line in path.read_bytes().splitlines():
        stamp = _STAMP.search(line.decode("utf-8", "replace"))
        if stamp is not None:
            month, day, *clock = map(int, stamp.groups())
            time = datetime(_YEAR, month, day, *clock, tzinfo=UTC).timestamp()
        labels = {"engine": "vllm", "instance_name": "chat"}
        found += [
            Event(time, "engine_log", "engine_ends", {**labels, "finding": one.kind}, one.text)
            for one in watched.take(line, time)
        ]
    return tuple(found)


def verdict_table(name: str) -> str:
    """Return the regimes of a recording as Markdown."""
    said = watch(name)
    lines = [
        f"{name}, targets 3 s to the first token and 300 ms between tokens:",
        "",
        "| from | for | verdict | because |",
        "|--:|--:|---|---|",
    ]
    for regime in said.concluded["replicas"][0]["regimes"]:
        begun = max(0.0, regime["start"] - said.start)
        lasted = "" if regime["end"] is None else f"{regime['end'] - regime['start']:.0f} s"
        lines.append(f"| {begun:.0f} s | {lasted} | {regime['cause']} | {regime['sentence']} |")
    return "\n".join(lines)


def death_lines() -> Iterator[str]:
    """Yield how the captured crash is explained, by pages alone and with the engine's log."""
    for title, events in (
        ("by its pages alone", ()),
        ("with its log file configured", log_events() if LOG.is_file() else None),
    ):
        if events is None:
            continue
        for death in watch("vllm-enginecrash", events=events).concluded["deaths"]:
            yield f"- {title}: **{death['cause']}**. {death['sentence']}"
